//! Stopping a subscription.

use super::RUNNING;
use super::subscribe::entry_of;
use crate::ledger;
use entity::subscription::{Column, Entity, Status};
use entity::{
    Actor, Database, Scoped, SubscriptionId, TenantId, Timestamp, Tx, audit_trail, grant,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DbErr, QueryFilter};

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
    /// The database failed.
    #[error("the subscription was not changed: {0}")]
    Store(#[from] DbErr),
}

/// Stops a subscription.
#[tracing::instrument(name = "subscription.end", skip_all, fields(tenant.id = %tenant, subscription.id = %id))]
pub async fn end(
    db: &Database,
    (tenant, id): (TenantId, SubscriptionId),
    end: End,
    actor: Actor,
    now: Timestamp,
) -> Result<(), EndError> {
    db.write(move |tx| {
        Box::pin(async move {
            let mut entry = entry_of(&actor, "subscription.end", id, tenant);
            let change = Entity::of_change(tenant).filter(Column::Id.eq(id));
            let change = match end {
                End::AtPeriodEnd => change
                    .col_expr(Column::Status, Expr::value(Status::Canceling))
                    .filter(Column::Status.eq(Status::Active)),
                End::Now => change
                    .col_expr(Column::Status, Expr::value(Status::Ended))
                    .col_expr(Column::EndedAt, Expr::value(now))
                    .filter(Column::Status.is_in(RUNNING)),
            };
            if change.exec(tx).await?.rows_affected != 1 {
                return Err(EndError::NotFound);
            }
            if end == End::Now {
                let detail = shut_allowance(tx, tenant, id, now).await?;
                entry.detail = Some(detail);
            }
            audit_trail::append(tx, entry, now).await?;
            Ok(())
        })
    })
    .await
}

/// Lets what is left of the allowance lapse now instead of at the period's end; the books follow as with any lot that
/// lapses. Under the wallet's lock, since calls draw on the lots.
async fn shut_allowance(
    tx: &Tx,
    tenant: TenantId,
    id: SubscriptionId,
    now: Timestamp,
) -> Result<serde_json::Value, DbErr> {
    ledger::lock_in(tx, vec![tenant]).await?;
    let shut = grant::Entity::of_change(tenant)
        .col_expr(grant::Column::ExpiresAt, Expr::value(now))
        .filter(grant::Column::SubscriptionId.eq(id))
        .filter(grant::Column::ExpiresAt.gt(now))
        .filter(grant::Column::EffectiveAt.lt(now))
        .exec(tx)
        .await?;
    Ok(serde_json::json!({ "lots_shut": shut.rows_affected }))
}
