//! Credits that lapse. Admission never draws a lot past its end, so the books may follow at leisure; what a
//! running call holds lapses once the call has ended.

use super::{grant::claim, wallet::locked_in};
use crate::{
    admission::{Legs, Lot, broken},
    bulk,
    subscription::RUNNING,
};
use entity::{
    Actor, Credits, Database, LedgerTransactionId, Scoped, SubscriptionId, TenantId, Timestamp, Tx,
    crash,
    grant::{self, Status},
    ledger_entry::{self, Account},
    ledger_transaction::{self, Kind},
    subscription, wallet,
};
use sea_orm::{
    ColumnTrait, DbErr, ExprTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::Expr,
};
use std::collections::BTreeSet;

/// What a run of [`expire_due`] booked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// How many lots lapsed, in whole or in part.
    pub lots: u64,
    /// How many credits.
    pub credits: Credits,
}

/// Lots a run looks at; the next run finds the rest.
const LOTS_MAX: u64 = 200;

/// Books what lapsed by `now`: W(g) -, EXPIRED +, with effect at the lot's own end. Any replica may run it, any
/// number of times.
///
/// # Errors
/// When the database does not answer; what was booked before stays.
pub async fn expire_due(db: &Database, now: Timestamp) -> Result<Expired, DbErr> {
    let tenants: Vec<TenantId> = grant::Entity::across_tenants()
        .select_only()
        .column(grant::Column::TenantId)
        .filter(due(now))
        .order_by_asc(grant::Column::ExpiresAt)
        .limit(LOTS_MAX)
        .into_tuple()
        .all(db.read())
        .await?;
    crash::point("lapse found");
    let mut total = Expired::default();
    for tenant in tenants.into_iter().collect::<BTreeSet<_>>() {
        let part = db
            .write(move |tx| Box::pin(expire_wallet(tx, tenant, now)))
            .await?;
        total.lots = total.lots.saturating_add(part.lots);
        let credits = total.credits.checked_add(part.credits);
        total.credits = credits.unwrap_or(Credits::MAX);
    }
    Ok(total)
}

/// Lots that have lapsed. Those of a subscription whose period is over wait until it is renewed or ended, for what is
/// left of them may roll over.
fn due(now: Timestamp) -> sea_orm::Condition {
    let turning = subscription::Entity::across_tenants()
        .select_only()
        .column(subscription::Column::Id)
        .filter(subscription::Column::Status.is_in(RUNNING))
        .filter(subscription::Column::PeriodEnd.lte(now))
        .into_query();
    let settled = sea_orm::Condition::any()
        .add(grant::Column::SubscriptionId.is_null())
        .add(grant::Column::SubscriptionId.not_in_subquery(turning));
    sea_orm::Condition::all()
        .add(settled)
        .add(grant::Column::ExpiresAt.lte(now))
        .add(Expr::col(grant::Column::Remaining).gt(Expr::col(grant::Column::Held)))
        .add(grant::Column::Status.is_in([Status::Active, Status::Expired]))
}

async fn expire_wallet(tx: &Tx, tenant: TenantId, now: Timestamp) -> Result<Expired, DbErr> {
    let mut wallet = locked_in(tx, tenant, now).await?;
    let rows = grant::Entity::of(tenant)
        .filter(due(now))
        .order_by_asc(grant::Column::Id)
        .limit(LOTS_MAX)
        .all(tx)
        .await?;
    let mut expired = Expired::default();
    let (mut lots, mut transactions, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    wallet.seq = wallet.seq.saturating_add(1);
    wallet.updated_at = now;
    for row in rows {
        let mut lot = Lot::of(row);
        let lapsed = lot.free();
        let grant = lot.row.id;
        let transaction = transaction_row(&lot, now);
        lot.row.status = Status::Expired;
        lot.spend(lapsed)
            .ok_or_else(|| broken("grant.remaining", grant))?;
        let posted = wallet.posted.checked_sub(lapsed);
        wallet.posted = posted.ok_or_else(|| broken("wallet.posted", wallet.id))?;
        let mut legs = Legs::of(transaction.id, &wallet);
        legs.debit_lot(grant, lapsed)?;
        entries.extend(legs.balanced_by(Account::Expired)?);
        transactions.push(transaction);
        lots.push(lot.row);
        expired.lots = expired.lots.saturating_add(1);
        let credits = expired.credits.checked_add(lapsed);
        expired.credits = credits.unwrap_or(Credits::MAX);
    }
    if expired.lots > 0 {
        bulk::insert::<ledger_transaction::Entity>(tx, transactions).await?;
        bulk::insert::<ledger_entry::Entity>(tx, entries).await?;
        bulk::replace::<grant::Entity>(tx, lots).await?;
        bulk::replace::<wallet::Entity>(tx, vec![wallet]).await?;
    }
    Ok(expired)
}

/// What is left of a lot only falls, so naming it makes the key of each part its own.
fn transaction_row(lot: &Lot, now: Timestamp) -> ledger_transaction::Model {
    ledger_transaction::Model {
        id: LedgerTransactionId::fresh(),
        tenant_id: lot.row.tenant_id,
        kind: Kind::Expire,
        business_key: format!("expire:{}:{}", lot.row.id, lot.row.remaining.nanos()),
        effective_at: lot.row.expires_at.unwrap_or(now),
        posted_at: now,
        actor_kind: Actor::System.kind(),
        actor_id: None,
        reason: None,
        reverses: None,
        detail: None,
    }
}

/// Books at once what is left of a subscription's allowance as lapsed, under the key `end:<subscription>`, and shuts
/// its lots. What running calls hold of them lapses with the lots' own end.
///
/// # Errors
/// When the database does not answer; the caller must then roll back.
pub(crate) async fn lapse_in(
    tx: &Tx,
    (tenant, subscription): (TenantId, SubscriptionId),
    actor: &Actor,
    now: Timestamp,
) -> Result<Expired, DbErr> {
    let mut wallet = locked_in(tx, tenant, now).await?;
    let rows = grant::Entity::of(tenant)
        .filter(grant::Column::SubscriptionId.eq(subscription))
        .filter(grant::Column::Remaining.gt(0))
        .filter(grant::Column::Status.eq(Status::Active))
        .order_by_asc(grant::Column::Id)
        .all(tx)
        .await?;
    let mut expired = Expired::default();
    if rows.is_empty() {
        return Ok(expired);
    }
    let row = ledger_transaction::Model {
        id: LedgerTransactionId::fresh(),
        tenant_id: tenant,
        kind: Kind::Expire,
        business_key: format!("end:{subscription}"),
        effective_at: now,
        posted_at: now,
        actor_kind: actor.kind(),
        actor_id: actor.id(),
        reason: None,
        reverses: None,
        detail: None,
    };
    wallet.seq = wallet.seq.saturating_add(1);
    wallet.updated_at = now;
    let mut legs = Legs::of(row.id, &wallet);
    let mut lots = Vec::with_capacity(rows.len());
    for row in rows {
        let mut lot = Lot::of(row);
        let (grant, free) = (lot.row.id, lot.free());
        lot.row.status = Status::Expired;
        if free.is_positive() {
            lot.spend(free)
                .ok_or_else(|| broken("grant.remaining", grant))?;
            legs.debit_lot(grant, free)?;
            expired.lots = expired.lots.saturating_add(1);
            let credits = expired.credits.checked_add(free);
            expired.credits = credits.unwrap_or(Credits::MAX);
        }
        lots.push(lot.row);
    }
    let posted = wallet.posted.checked_sub(expired.credits);
    wallet.posted = posted.ok_or_else(|| broken("wallet.posted", wallet.id))?;
    if expired.lots > 0 {
        if !claim(tx, row).await? {
            return Err(broken("ledger_transaction.business_key", subscription));
        }
        bulk::insert::<ledger_entry::Entity>(tx, legs.balanced_by(Account::Expired)?).await?;
    }
    bulk::replace::<grant::Entity>(tx, lots).await?;
    bulk::replace::<wallet::Entity>(tx, vec![wallet]).await?;
    Ok(expired)
}
