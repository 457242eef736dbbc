//! Who waits for what a lane is asked.

use super::{Hold, Lanes};
use crate::admission::{Answer, Ask, EndRefusal, ExtendRefusal, HoldRefusal, Settled};
use entity::Credits;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Who waits for it.
#[derive(Debug)]
pub(super) enum Waiter {
    Hold(oneshot::Sender<Result<Hold, HoldRefusal>>),
    End(oneshot::Sender<Result<Option<Settled>, EndRefusal>>),
    Extend(oneshot::Sender<Result<Credits, ExtendRefusal>>),
    Nobody,
}

/// An ask in a lane's queue.
#[derive(Debug)]
pub(super) struct Op {
    pub(super) ask: Ask,
    pub(super) waiter: Waiter,
    /// A place among those who may wait; what ends a hold needs none.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

impl Op {
    /// Whether whoever asked for credits has gone: then they need not be held at all.
    pub(super) fn is_abandoned(&self) -> bool {
        match &self.waiter {
            Waiter::Hold(waiter) => waiter.is_closed(),
            Waiter::End(_) | Waiter::Extend(_) | Waiter::Nobody => false,
        }
    }
}

impl Waiter {
    /// Hands the answer over. A hold whose asker has gone meanwhile is dropped here, which voids it.
    pub(super) fn tell(self, ask: &Ask, answer: Answer, lanes: &Lanes) {
        match (self, answer) {
            (Self::Hold(waiter), Answer::Held(held)) => {
                if let Ask::Hold(order) = ask {
                    drop(waiter.send(held.map(|amount| Hold::of(order, amount, lanes))));
                }
            }
            (Self::End(waiter), Answer::Ended(ended)) => drop(waiter.send(ended)),
            (Self::Extend(waiter), Answer::Extended(extended)) => drop(waiter.send(extended)),
            (Self::Nobody, Answer::Ended(Err(fault))) => {
                tracing::error!(%fault, "a dropped hold was not ended; the sweeper will");
            }
            (Self::Nobody, _) => {}
            (Self::Hold(_) | Self::End(_) | Self::Extend(_), answer) => {
                tracing::error!(?answer, "a lane answered another question");
            }
        }
    }
}
