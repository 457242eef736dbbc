//! What a lane is asked, what it answers, and who waits for the answer.

use super::{Hold, Lanes};
use crate::admission::{
    EndRefusal, ExtendRefusal, Growth, HoldOrder, HoldRefusal, Note, Settled, Settlement,
    VoidReason,
};
use entity::{Credits, HoldId, KeyId, ModelId, TenantId, Timestamp, rejection};
use sea_orm::DbErr;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// One thing to do. Doing it twice is doing it once: ids are the asker's.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Hold(Arc<HoldOrder>),
    End {
        tenant: TenantId,
        id: HoldId,
        ending: Ending,
    },
    Extend {
        tenant: TenantId,
        id: HoldId,
        model: ModelId,
        growth: Growth,
    },
    Note {
        tenant: TenantId,
        id: HoldId,
        note: Note,
    },
    Touch {
        key: KeyId,
        now: Timestamp,
    },
    Reject(Arc<rejection::Model>),
}

/// How a hold is to end.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    Settle(Arc<Settlement>),
    Void { reason: VoidReason, now: Timestamp },
    Expire { now: Timestamp },
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Answer {
    Held(Result<Credits, HoldRefusal>),
    Ended(Result<Option<Settled>, EndRefusal>),
    Extended(Result<Credits, ExtendRefusal>),
    Noted,
}

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

impl Ask {
    /// Whose wallet has to be locked.
    pub(super) fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Hold(order) => Some(order.tenant),
            Self::End { tenant, .. } | Self::Extend { tenant, .. } | Self::Note { tenant, .. } => {
                Some(*tenant)
            }
            Self::Touch { .. } | Self::Reject(_) => None,
        }
    }

    /// Whether nobody minds a moment's delay.
    pub(super) fn can_wait(&self) -> bool {
        match self {
            Self::Note { .. } | Self::Touch { .. } | Self::Reject(_) => true,
            Self::Hold(_) | Self::End { .. } | Self::Extend { .. } => false,
        }
    }

    /// What to say when the database failed.
    pub(super) fn failed(&self, fault: DbErr) -> Answer {
        match self {
            Self::Hold(_) => Answer::Held(Err(HoldRefusal::Store(fault))),
            Self::End { .. } => Answer::Ended(Err(EndRefusal::Store(fault))),
            Self::Extend { .. } => Answer::Extended(Err(ExtendRefusal::Store(fault))),
            Self::Note { .. } | Self::Touch { .. } | Self::Reject(_) => Answer::Noted,
        }
    }
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
