//! An open hold in the hands of whoever makes the call.

use super::Lanes;
use crate::{
    admission::{
        Ask, EndRefusal, Ending, ExtendRefusal, Growth, HoldOrder, Note, Settled, Settlement,
        VoidReason,
    },
    rating::Tokens,
};
use entity::{ChannelId, Credits, HoldId, ModelId, TenantId, Timestamp, usage};
use std::{sync::Arc, time::Duration};

/// Credits that are durably held for one call. It ends by [`Hold::settle`] or [`Hold::void`]; dropped, it
/// settles by its last checkpoint, or voids itself when the call never left, or a fault of ours ends it before anything was
/// handed on. So no path leaks it.
#[must_use = "a hold that is dropped ends by its last checkpoint"]
#[derive(Debug)]
pub struct Hold {
    lanes: Lanes,
    tenant: TenantId,
    id: HoldId,
    model: ModelId,
    channel: Option<ChannelId>,
    amount: Credits,
    ttl: Duration,
    dispatched_at: Option<Timestamp>,
    charge: Credits,
    tokens: Tokens,
    /// What was noted was handed on to the client.
    delivered: bool,
    ended: bool,
}

impl Hold {
    pub(super) fn of(order: &HoldOrder, amount: Credits, lanes: &Lanes) -> Self {
        Self {
            lanes: lanes.clone(),
            tenant: order.tenant,
            id: order.id,
            model: order.model,
            channel: order.channel,
            amount,
            ttl: order.ttl,
            dispatched_at: None,
            charge: Credits::ZERO,
            tokens: Tokens::default(),
            delivered: false,
            ended: false,
        }
    }

    /// The call's id: that of its usage row to be, and of the request.
    pub fn id(&self) -> HoldId {
        self.id
    }

    /// How much is held: what was asked for, or what there was of it.
    pub fn amount(&self) -> Credits {
        self.amount
    }

    /// Charges the call. The lane has it when this returns; the future only waits for the commit.
    ///
    /// # Errors
    /// [`EndRefusal`]; whatever it is, the hold ends in the end.
    pub fn settle(
        mut self,
        settlement: Settlement,
    ) -> impl Future<Output = Result<Settled, EndRefusal>> + Send + use<> {
        self.end(Ending::Settle(Arc::new(settlement)))
    }

    /// Ends the call without a charge. As [`Hold::settle`] otherwise.
    ///
    /// # Errors
    /// [`EndRefusal`].
    pub fn void(
        mut self,
        reason: VoidReason,
    ) -> impl Future<Output = Result<Settled, EndRefusal>> + Send + use<> {
        let now = self.lanes.now();
        self.end(Ending::Void { reason, now })
    }

    /// Holds more for the same call, all of it or none, and keeps the hold alive.
    ///
    /// # Errors
    /// [`ExtendRefusal`]; the hold is as it was.
    pub async fn extend(&mut self, extra: Credits) -> Result<(), ExtendRefusal> {
        self.grow(extra, extra).await.map(drop)
    }

    /// Holds `extra` more for the same call, or what there is of it down to `least`, and keeps the hold alive;
    /// answers how much more.
    ///
    /// # Errors
    /// [`ExtendRefusal`]; the hold is as it was.
    pub async fn grow(&mut self, extra: Credits, least: Credits) -> Result<Credits, ExtendRefusal> {
        let now = self.lanes.now();
        let ask = Ask::Extend {
            tenant: self.tenant,
            id: self.id,
            model: self.model,
            growth: Growth {
                extra,
                least,
                now,
                expires_at: now.plus(self.ttl),
            },
        };
        let more = self.lanes.extend(ask).await?;
        self.amount = self
            .amount
            .checked_add(more)
            .ok_or(ExtendRefusal::OutOfRange)?;
        Ok(more)
    }

    /// Notes that the call leaves for an upstream: from here on it may cost.
    pub fn dispatched(&mut self) {
        let now = self.lanes.now();
        self.dispatched_at = self.dispatched_at.or(Some(now));
        self.note(now);
    }

    /// Notes what the call has cost and used so far, and keeps the hold alive for another time to live. Counts
    /// as a dispatch.
    pub fn checkpoint(&mut self, charge: Credits, tokens: Tokens) {
        self.delivered |= charge.is_positive();
        self.left(charge, tokens);
    }

    /// As [`Hold::checkpoint`], for a call of which nothing was handed on yet: what it costs if it is lost with its process.
    pub fn left(&mut self, charge: Credits, tokens: Tokens) {
        let now = self.lanes.now();
        self.dispatched_at = self.dispatched_at.or(Some(now));
        // What was counted later may be less: then the first count stands.
        if charge >= self.charge {
            self.charge = charge;
            self.tokens = tokens;
        }
        self.note(now);
    }

    fn note(&self, now: Timestamp) {
        let Some(dispatched_at) = self.dispatched_at else {
            return;
        };
        self.lanes.ride(Ask::Note {
            tenant: self.tenant,
            id: self.id,
            note: Note {
                dispatched_at,
                charge: self.charge,
                output: self.tokens.output,
                now,
                expires_at: now.plus(self.ttl),
            },
        });
    }

    fn end(
        &mut self,
        ending: Ending,
    ) -> impl Future<Output = Result<Settled, EndRefusal>> + Send + use<> {
        self.ended = true;
        let answer = self.lanes.end(self.tenant, self.id, ending);
        async move { answer.await?.ok_or(EndRefusal::Unknown) }
    }

    /// How the hold ends when nobody says: by what was noted last.
    fn last_words(&self) -> Ending {
        let now = self.lanes.now();
        let void = |reason| Ending::Void { reason, now };
        if self.dispatched_at.is_none() {
            return void(usage::Finish::ClientGone);
        }
        if !self.delivered && std::thread::panicking() {
            return void(usage::Finish::Lost);
        }
        Ending::Settle(Arc::new(Settlement {
            tokens: self.tokens,
            charge: self.charge,
            quality: usage::Quality::Checkpoint,
            finish: usage::Finish::Lost,
            channel: self.channel,
            provider_cost: None,
            first_byte_at: None,
            ended_at: now,
        }))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.ended {
            self.lanes
                .end_unheard(self.tenant, self.id, self.last_words());
        }
    }
}
