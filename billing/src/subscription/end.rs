//! Stopping a subscription.

use super::RUNNING;
use super::subscribe::entry_of;
use crate::ledger;
use entity::subscription::{Column, Entity, Model, Status};
use entity::{Actor, Database, Scoped, SubscriptionId, TenantId, Timestamp, Tx, audit_trail};
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QuerySelect};

/// When a subscription stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At the end of the running period.
    AtPeriodEnd,
    /// At once; what is left of the allowance cannot be spent any more.
    Now,
}

/// Why a subscription was not ended.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// The tenant has none with this id, or it is ending already.
    #[error("no running subscription has this id")]
    NotFound,
    /// The clock has gone back to before the running period.
    #[error("the moment lies before the running period")]
    Clock,
    /// The database failed.
    #[error("the subscription was not changed: {0}")]
    Store(#[from] DbErr),
}

/// A stop, with its reason.
#[derive(Clone, Debug)]
pub struct Stop {
    /// When.
    pub end: End,
    /// Why, where an operator decides it.
    pub reason: Option<String>,
}

/// Stops a subscription.
///
/// # Errors
/// [`EndError`].
pub async fn end(
    db: &Database,
    whose: (TenantId, SubscriptionId),
    end: End,
    actor: Actor,
    now: Timestamp,
) -> Result<(), EndError> {
    stop_for(db, whose, Stop { end, reason: None }, actor, now).await
}

/// As [`end()`], with a reason for the audit trail.
///
/// # Errors
/// [`EndError`].
#[tracing::instrument(name = "subscription.end", skip_all, fields(tenant.id = %tenant, subscription.id = %id))]
pub async fn stop_for(
    db: &Database,
    (tenant, id): (TenantId, SubscriptionId),
    Stop { end, reason }: Stop,
    actor: Actor,
    now: Timestamp,
) -> Result<(), EndError> {
    db.write(move |tx| {
        Box::pin(async move {
            let mut entry = entry_of(&actor, "subscription.end", id, tenant);
            entry.reason = reason;
            let old = locked(tx, tenant, id).await?;
            if now < old.period_start {
                return Err(EndError::Clock);
            }
            let (status, ended_at) = match (end, old.status) {
                (End::AtPeriodEnd, Status::Active) => (Status::Canceling, None),
                // Nothing was paid for the period that would have come, so there is nothing to wait for.
                (End::AtPeriodEnd, Status::PastDue) => (Status::Ended, Some(old.period_end)),
                (End::AtPeriodEnd, _) => return Err(EndError::NotFound),
                (End::Now, _) => (Status::Ended, Some(now)),
            };
            move_in(tx, &old, status, ended_at).await?;
            if end == End::Now {
                let lapsed = ledger::lapse_in(tx, (tenant, id), &actor, now).await?;
                entry.detail = Some(serde_json::json!({
                    "lots_shut": lapsed.lots, "credits": lapsed.credits,
                }));
            }
            audit_trail::append(tx, entry, now).await?;
            Ok(())
        })
    })
    .await
}

/// Takes a stop at the period's end back, while the period still runs.
///
/// # Errors
/// [`EndError`].
#[tracing::instrument(name = "subscription.resume", skip_all, fields(tenant.id = %tenant, subscription.id = %id))]
pub async fn resume(
    db: &Database,
    (tenant, id): (TenantId, SubscriptionId),
    actor: Actor,
    now: Timestamp,
) -> Result<(), EndError> {
    db.write(move |tx| {
        Box::pin(async move {
            let old = locked(tx, tenant, id).await?;
            if old.status != Status::Canceling || old.period_end <= now {
                return Err(EndError::NotFound);
            }
            move_in(tx, &old, Status::Active, None).await?;
            let entry = entry_of(&actor, "subscription.resume", id, tenant);
            audit_trail::append(tx, entry, now).await?;
            Ok(())
        })
    })
    .await
}

async fn locked(tx: &Tx, tenant: TenantId, id: SubscriptionId) -> Result<Model, EndError> {
    Entity::of(tenant)
        .filter(Column::Id.eq(id))
        .filter(Column::Status.is_in(RUNNING))
        .lock(LockType::NoKeyUpdate)
        .one(tx)
        .await?
        .ok_or(EndError::NotFound)
}

/// One conditional change of state.
async fn move_in(
    tx: &Tx,
    old: &Model,
    status: Status,
    ended_at: Option<Timestamp>,
) -> Result<(), EndError> {
    let changed = Entity::of_change(old.tenant_id)
        .col_expr(Column::Status, Expr::value(status))
        .col_expr(Column::EndedAt, Expr::value(ended_at))
        .filter(Column::Id.eq(old.id))
        .filter(Column::Status.eq(old.status))
        .exec(tx)
        .await?;
    if changed.rows_affected == 1 {
        Ok(())
    } else {
        Err(EndError::NotFound)
    }
}
