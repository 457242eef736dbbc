//! One batch in one transaction: read, decide in the order of arrival, write.

use super::{
    ask::{Answer, Ask, Ending},
    load::{Loaded, load},
};
use crate::{
    admission::{Changes, EndRefusal, ExtendRefusal, HoldOrder, HoldRefusal, Settled, broken},
    bulk,
};
use entity::{
    Credits, HoldId, KeyId, ModelId, Platform, Scoped, TenantId, Timestamp, grant, hold,
    hold_allocation, hold_window, key, ledger_entry, ledger_transaction, quota_counter, rejection,
    usage, usage_allocation, usage_window, wallet,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, QueryFilter};
use std::collections::BTreeSet;

pub(super) use super::load::PlanCache;

/// Carries out a batch and answers each ask in its place.
pub(super) async fn batch(
    tx: &impl ConnectionTrait,
    asks: &[Ask],
    plans: &PlanCache,
    now: Timestamp,
) -> Result<Vec<Answer>, DbErr> {
    let mut loaded = load(tx, asks, plans, now).await?;
    let mut answers = Vec::with_capacity(asks.len());
    for ask in asks {
        answers.push(loaded.decide(ask)?);
    }
    let mut changes = Changes::default();
    for wallet in loaded.wallets.into_values() {
        changes.append(wallet.into_changes(now)?);
    }
    write(tx, changes).await?;
    ride_along(tx, asks, now).await?;
    Ok(answers)
}

impl Loaded {
    /// A fault of the rows themselves fails the whole batch, so that nothing half-decided is written.
    fn decide(&mut self, ask: &Ask) -> Result<Answer, DbErr> {
        match ask {
            Ask::Hold(order) => match self.hold(order) {
                Err(HoldRefusal::Store(fault)) => Err(fault),
                held => Ok(Answer::Held(held)),
            },
            Ask::End { tenant, id, ending } => match self.end(*tenant, *id, ending) {
                Err(EndRefusal::Store(fault)) => Err(fault),
                ended => Ok(Answer::Ended(ended)),
            },
            Ask::Extend { .. } => match self.extend(ask) {
                Err(ExtendRefusal::Store(fault)) => Err(fault),
                extended => Ok(Answer::Extended(extended)),
            },
            Ask::Note { tenant, id, note } => {
                if let Some(wallet) = self.wallets.get_mut(tenant) {
                    wallet.checkpoint(*id, *note);
                }
                Ok(Answer::Noted)
            }
            Ask::Touch { .. } | Ask::Reject(_) => Ok(Answer::Noted),
        }
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

    fn extend(&mut self, ask: &Ask) -> Result<Credits, ExtendRefusal> {
        let Ask::Extend {
            tenant,
            id,
            model,
            growth,
        } = ask
        else {
            return Err(ExtendRefusal::Ended);
        };
        let wallet = self.wallets.get_mut(tenant).ok_or(ExtendRefusal::Ended)?;
        let name = name_of(&self.offers, *model);
        let key = wallet.open_hold(*id).map(|open| open.row.key_id);
        let caller = key.and_then(|key| self.callers.get(&key));
        wallet.extend(*id, growth, name, caller.ok_or(ExtendRefusal::Ended)?)
    }
}

fn name_of(
    offers: &std::collections::HashMap<ModelId, crate::admission::Offer>,
    model: ModelId,
) -> &str {
    offers.get(&model).map_or("", |offer| offer.name.as_str())
}

async fn write(tx: &impl ConnectionTrait, changes: Changes) -> Result<(), DbErr> {
    bulk::replace::<wallet::Entity>(tx, changes.wallets).await?;
    bulk::replace::<grant::Entity>(tx, changes.lots).await?;
    end_holds(tx, &changes.ended_holds).await?;
    bulk::insert::<hold::Entity>(tx, changes.new_holds).await?;
    bulk::replace::<hold::Entity>(tx, changes.holds).await?;
    bulk::replace::<hold_allocation::Entity>(tx, changes.hold_allocations).await?;
    bulk::replace::<hold_window::Entity>(tx, changes.hold_windows).await?;
    bulk::replace::<quota_counter::Entity>(tx, changes.counters).await?;
    bulk::insert::<ledger_transaction::Entity>(tx, changes.transactions).await?;
    bulk::insert::<ledger_entry::Entity>(tx, changes.entries).await?;
    bulk::insert::<usage::Entity>(tx, changes.usages).await?;
    bulk::insert::<usage_allocation::Entity>(tx, changes.usage_allocations).await?;
    bulk::insert::<usage_window::Entity>(tx, changes.usage_windows).await
}

/// Removing the row is the claim to end a hold: who does not find it has not ended it.
async fn end_holds(tx: &impl ConnectionTrait, ended: &[HoldId]) -> Result<(), DbErr> {
    let mut removed = 0_u64;
    for list in bulk::lists(ended.iter().copied()) {
        hold_allocation::Entity::remove()
            .filter(hold_allocation::Column::HoldId.is_in(list.clone()))
            .exec(tx)
            .await?;
        hold_window::Entity::remove()
            .filter(hold_window::Column::HoldId.is_in(list.clone()))
            .exec(tx)
            .await?;
        let claimed = hold::Entity::across_tenants_remove()
            .filter(hold::Column::Id.is_in(list))
            .exec(tx)
            .await?;
        removed = removed.saturating_add(claimed.rows_affected);
    }
    let wanted = u64::try_from(ended.len()).unwrap_or(u64::MAX);
    if removed == wanted {
        Ok(())
    } else {
        Err(broken(
            "hold.id",
            format!("{wanted} holds, of which {removed} were there"),
        ))
    }
}

/// What nobody waits for: last uses, coarse, and refused calls.
async fn ride_along(tx: &impl ConnectionTrait, asks: &[Ask], now: Timestamp) -> Result<(), DbErr> {
    let mut touched: BTreeSet<KeyId> = BTreeSet::new();
    let mut rejections = Vec::new();
    for ask in asks {
        match ask {
            Ask::Touch { key, .. } => {
                touched.insert(*key);
            }
            Ask::Reject(row) => rejections.push(rejection::Model::clone(row)),
            Ask::Hold(_) | Ask::End { .. } | Ask::Extend { .. } | Ask::Note { .. } => {}
        }
    }
    for list in bulk::lists(touched) {
        key::Entity::across_tenants_change()
            .col_expr(key::Column::LastUsedAt, now.micros().into())
            .filter(key::Column::Id.is_in(list))
            .exec(tx)
            .await?;
    }
    bulk::add::<rejection::Entity>(tx, rejections).await
}
