//! One batch in one transaction: read, decide in the order of arrival, write.

use super::{
    known::Known,
    load::load,
    meter::{Part, Watch},
};
use crate::{
    admission::{Answer, Ask, Changes, Wallet, broken},
    bulk::{self, Removal, Writes},
};
use entity::{
    HoldId, KeyId, Scoped, TenantId, Timestamp, attempt, grant, hold, hold_allocation, hold_window,
    key, ledger_entry, ledger_transaction, quota_counter, rejection, usage, usage_allocation,
    usage_window, wallet,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, QueryFilter};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// What a batch comes to, if it is committed.
pub(super) struct Decided {
    /// In the places of the asks.
    pub(super) answers: Vec<Answer>,
    /// As they then stand.
    pub(super) wallets: HashMap<TenantId, Wallet>,
}

/// Carries out a batch and answers each ask in its place.
pub(super) async fn batch(
    tx: &impl ConnectionTrait,
    asks: &[Ask],
    known: &Known,
    now: Timestamp,
    watch: &mut Watch,
) -> Result<Decided, DbErr> {
    let mut loaded = load(tx, asks, known, now).await?;
    watch.lap(Part::Read);
    let mut answers = Vec::with_capacity(asks.len());
    for ask in asks {
        answers.push(loaded.decide(ask)?);
    }
    let changes = loaded.take_changes(now)?;
    watch.lap(Part::Decide);
    write(tx, &changes).await?;
    ride_along(tx, asks, now).await?;
    watch.lap(Part::Write);
    Ok(Decided {
        answers,
        wallets: loaded.wallets,
    })
}

const WINDOWS: Removal = Removal {
    table: "hold_window",
    column: "hold_id",
    counted: false,
};
const ALLOCATIONS: Removal = Removal {
    table: "hold_allocation",
    column: "hold_id",
    counted: false,
};
/// Removing the row is the claim to end a hold: who does not find it has not ended it.
const HOLDS: Removal = Removal {
    table: "hold",
    column: "id",
    counted: true,
};

async fn write(tx: &impl ConnectionTrait, changes: &Changes) -> Result<(), DbErr> {
    let ids = |holds: &[HoldId]| -> Vec<Uuid> { holds.iter().map(|id| id.uuid()).collect() };
    let ended = ids(&changes.ended_holds);
    let mut writes = Writes::on(tx);
    writes.replace::<wallet::Entity>(&changes.wallets)?;
    writes.replace::<grant::Entity>(&changes.lots)?;
    writes.remove(WINDOWS, &ids(&changes.ended_windows));
    writes.remove(ALLOCATIONS, &ended);
    writes.remove(HOLDS, &ended);
    writes.insert::<hold::Entity>(&changes.new_holds)?;
    writes.replace::<hold::Entity>(&changes.holds)?;
    writes.replace::<hold_allocation::Entity>(&changes.hold_allocations)?;
    writes.replace::<hold_window::Entity>(&changes.hold_windows)?;
    writes.replace::<quota_counter::Entity>(&changes.counters)?;
    writes.insert::<ledger_transaction::Entity>(&changes.transactions)?;
    writes.insert::<ledger_entry::Entity>(&changes.entries)?;
    writes.insert::<usage::Entity>(&changes.usages)?;
    writes.insert::<usage_allocation::Entity>(&changes.usage_allocations)?;
    writes.insert::<usage_window::Entity>(&changes.usage_windows)?;
    let removed = writes.run(tx).await?;
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
