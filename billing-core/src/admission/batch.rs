//! One batch in memory: the wallets it locked and what was read about its callers and models, and what each ask comes
//! to, in the order of arrival. Where the rows come from and how the changes are written is its carrier's affair.

use super::{
    Caller, Changes, EndRefusal, ExtendRefusal, Growth, HoldOrder, HoldRefusal, Note, Offer,
    Settled, Settlement, VoidReason, Wallet,
};
use entity::DbErr;
use entity::{Credits, HoldId, KeyId, ModelId, TenantId, Timestamp, attempt, rejection};
use std::{collections::HashMap, sync::Arc};

/// One thing to do. Doing it twice is doing it once: ids are the asker's.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Hold credits.
    Hold(Arc<HoldOrder>),
    /// End a hold.
    End {
        /// Whose.
        tenant: TenantId,
        /// Which.
        id: HoldId,
        /// How.
        ending: Ending,
    },
    /// Let a hold grow.
    Extend {
        /// Whose.
        tenant: TenantId,
        /// Which.
        id: HoldId,
        /// The model that is called, whose name scopes speak of.
        model: ModelId,
        /// How far.
        growth: Growth,
    },
    /// Note what a running call has cost so far.
    Note {
        /// Whose.
        tenant: TenantId,
        /// Which.
        id: HoldId,
        /// What.
        note: Note,
    },
    /// Note that a key was used.
    Touch {
        /// Which.
        key: KeyId,
        /// When.
        now: Timestamp,
    },
    /// Keep a refused call for its owner to see.
    Reject(Arc<rejection::Model>),
    /// Keep what one attempt at an upstream came to.
    Attempt(Arc<attempt::Model>),
}

/// How a hold is to end.
#[derive(Clone, Debug)]
pub enum Ending {
    /// Charged.
    Settle(Arc<Settlement>),
    /// Not charged.
    Void {
        /// Why.
        reason: VoidReason,
        /// When.
        now: Timestamp,
    },
    /// By its last checkpoint, if its time ran out.
    Expire {
        /// When that is looked at.
        now: Timestamp,
    },
}

/// What came of an ask.
#[derive(Debug)]
pub enum Answer {
    /// How much is held, or why nothing is.
    Held(Result<Credits, HoldRefusal>),
    /// How the hold ended; `None` where it has time left.
    Ended(Result<Option<Settled>, EndRefusal>),
    /// How much more is held.
    Extended(Result<Credits, ExtendRefusal>),
    /// Nobody waits for it.
    Noted,
}

/// What a batch works on.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The wallets it locked, with what was read about them.
    pub wallets: HashMap<TenantId, Wallet>,
    /// Who asks.
    pub callers: HashMap<KeyId, Caller>,
    /// For which models.
    pub offers: HashMap<ModelId, Offer>,
}

impl Ask {
    /// Whose wallet has to be locked.
    pub fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Hold(order) => Some(order.tenant),
            Self::End { tenant, .. } | Self::Extend { tenant, .. } | Self::Note { tenant, .. } => {
                Some(*tenant)
            }
            Self::Touch { .. } | Self::Reject(_) | Self::Attempt(_) => None,
        }
    }

    /// Whether nobody minds a moment's delay.
    pub fn can_wait(&self) -> bool {
        match self {
            Self::Note { .. } | Self::Touch { .. } | Self::Reject(_) | Self::Attempt(_) => true,
            Self::Hold(_) | Self::End { .. } | Self::Extend { .. } => false,
        }
    }

    /// The call whose time may have run out, where that is what is asked.
    pub fn expires(&self) -> Option<HoldId> {
        match self {
            Self::End {
                id,
                ending: Ending::Expire { .. },
                ..
            } => Some(*id),
            _ => None,
        }
    }

    /// What to say when the database failed.
    pub fn failed(&self, fault: DbErr) -> Answer {
        match self {
            Self::Hold(_) => Answer::Held(Err(HoldRefusal::Store(fault))),
            Self::End { .. } => Answer::Ended(Err(EndRefusal::Store(fault))),
            Self::Extend { .. } => Answer::Extended(Err(ExtendRefusal::Store(fault))),
            Self::Note { .. } | Self::Touch { .. } | Self::Reject(_) | Self::Attempt(_) => {
                Answer::Noted
            }
        }
    }
}

impl Batch {
    /// What an ask comes to.
    ///
    /// # Errors
    /// When the rows contradict each other; then nothing of the batch may be written.
    pub fn decide(&mut self, ask: &Ask) -> Result<Answer, DbErr> {
        match ask {
            Ask::Hold(order) => match self.hold(order) {
                Err(HoldRefusal::Store(fault)) => Err(fault),
                held => Ok(Answer::Held(held)),
            },
            Ask::End { tenant, id, ending } => match self.end(*tenant, *id, ending) {
                Err(EndRefusal::Store(fault)) => Err(fault),
                ended => Ok(Answer::Ended(ended)),
            },
            Ask::Extend {
                tenant,
                id,
                model,
                growth,
            } => match self.extend(*tenant, *id, *model, growth) {
                Err(ExtendRefusal::Store(fault)) => Err(fault),
                extended => Ok(Answer::Extended(extended)),
            },
            Ask::Note { tenant, id, note } => {
                if let Some(wallet) = self.wallets.get_mut(tenant) {
                    wallet.checkpoint(*id, *note);
                }
                Ok(Answer::Noted)
            }
            Ask::Touch { .. } | Ask::Reject(_) | Ask::Attempt(_) => Ok(Answer::Noted),
        }
    }

    /// What has to be written, as of `now`. What is left is the wallets as they stand once that is done, for
    /// [`Memory::keep`](super::Memory::keep).
    ///
    /// # Errors
    /// When the rows contradict each other, naming one; then nothing of the batch may be written.
    pub fn take_changes(&mut self, now: Timestamp) -> Result<Changes, DbErr> {
        let mut changes = Changes::default();
        for wallet in self.wallets.values_mut() {
            changes.append(wallet.take_changes(now)?);
        }
        Ok(changes)
    }

    fn hold(&mut self, order: &HoldOrder) -> Result<Credits, HoldRefusal> {
        let caller = self
            .callers
            .get(&order.key)
            .ok_or(HoldRefusal::KeyRevoked)?;
        let offer = self
            .offers
            .get(&order.model)
            .ok_or(HoldRefusal::ModelBlocked)?;
        let wallet = self
            .wallets
            .get_mut(&order.tenant)
            .ok_or(HoldRefusal::KeyRevoked)?;
        wallet.hold(order, caller, offer)
    }

    fn end(
        &mut self,
        tenant: TenantId,
        id: HoldId,
        ending: &Ending,
    ) -> Result<Option<Settled>, EndRefusal> {
        let wallet = self.wallets.get_mut(&tenant).ok_or(EndRefusal::Unknown)?;
        let model = wallet.open_hold(id).map(|open| open.row.model_id);
        let name = model.map_or("", |model| name_of(&self.offers, model));
        match ending {
            Ending::Settle(settlement) => wallet.settle(id, settlement, name).map(Some),
            Ending::Void { reason, now } => wallet.void(id, *reason, *now).map(Some),
            Ending::Expire { now } => wallet.expire(id, name, *now),
        }
    }

    fn extend(
        &mut self,
        tenant: TenantId,
        id: HoldId,
        model: ModelId,
        growth: &Growth,
    ) -> Result<Credits, ExtendRefusal> {
        let wallet = self.wallets.get_mut(&tenant).ok_or(ExtendRefusal::Ended)?;
        let name = name_of(&self.offers, model);
        let key = wallet.open_hold(id).map(|open| open.row.key_id);
        let caller = key.and_then(|key| self.callers.get(&key));
        wallet.extend(id, growth, name, caller.ok_or(ExtendRefusal::Ended)?)
    }
}

fn name_of(offers: &HashMap<ModelId, Offer>, model: ModelId) -> &str {
    offers.get(&model).map_or("", |offer| offer.name.as_str())
}
