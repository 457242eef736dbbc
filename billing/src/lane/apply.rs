//! One batch in one transaction: read, decide in the order of arrival, write.

use super::load::load;
use crate::{
    admission::{Answer, Ask, Changes, broken},
    bulk,
};
use entity::{
    HoldId, KeyId, Platform, Scoped, Timestamp, attempt, grant, hold, hold_allocation, hold_window,
    key, ledger_entry, ledger_transaction, quota_counter, rejection, usage, usage_allocation,
    usage_window, wallet,
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
    write(tx, loaded.into_changes(now)?).await?;
    ride_along(tx, asks, now).await?;
    Ok(answers)
}

async fn write(tx: &impl ConnectionTrait, changes: Changes) -> Result<(), DbErr> {
    bulk::replace::<wallet::Entity>(tx, changes.wallets).await?;
    bulk::replace::<grant::Entity>(tx, changes.lots).await?;
    end_windows(tx, &changes.ended_windows).await?;
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

async fn end_windows(tx: &impl ConnectionTrait, ended: &[HoldId]) -> Result<(), DbErr> {
    for list in bulk::lists(ended.iter().copied()) {
        hold_window::Entity::remove()
            .filter(hold_window::Column::HoldId.is_in(list))
            .exec(tx)
            .await?;
    }
    Ok(())
}

/// Removing the row is the claim to end a hold: who does not find it has not ended it.
async fn end_holds(tx: &impl ConnectionTrait, ended: &[HoldId]) -> Result<(), DbErr> {
    let mut removed = 0_u64;
    for list in bulk::lists(ended.iter().copied()) {
        hold_allocation::Entity::remove()
            .filter(hold_allocation::Column::HoldId.is_in(list.clone()))
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

/// What nobody waits for: last uses, coarse, refused calls, and tries in vain.
async fn ride_along(tx: &impl ConnectionTrait, asks: &[Ask], now: Timestamp) -> Result<(), DbErr> {
    let mut touched: BTreeSet<KeyId> = BTreeSet::new();
    let mut rejections = Vec::new();
    let mut attempts = Vec::new();
    for ask in asks {
        match ask {
            Ask::Touch { key, .. } => {
                touched.insert(*key);
            }
            Ask::Reject(row) => rejections.push(rejection::Model::clone(row)),
            Ask::Attempt(row) => attempts.push(attempt::Model::clone(row)),
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
    bulk::add::<attempt::Entity>(tx, attempts).await?;
    bulk::add::<rejection::Entity>(tx, rejections).await
}
