//! Asking the provider how an order stands, without waiting to be told.

use super::super::port::{PaymentProvider, ProviderFault};
use super::apply::{ApplyError, Hint, apply_in};
use super::list::find;
use super::open::{ABANDONED_AFTER, give_up};
use entity::order::{Column, Entity, Model, Status};
use entity::{Database, OrderId, Scoped, TenantId, Timestamp};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder, QuerySelect};
use std::time::Duration;

/// After this long without a word the provider is asked.
const SILENT_AFTER: Duration = Duration::from_hours(1);
/// Orders asked about in one run of [`reconcile`].
const RECONCILE_MAX: u64 = 200;

/// Why an order could not be asked about.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The tenant has no order with this id.
    #[error("no order has this id")]
    NotFound,
    /// The provider did not answer.
    #[error(transparent)]
    Provider(#[from] ProviderFault),
    /// The order could not follow.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The database failed.
    #[error("the order was not read: {0}")]
    Store(#[from] DbErr),
}

/// Asks the provider how an unfinished order stands, moves it there and returns it: for the page a buyer comes back
/// to, which may be faster than the webhook.
#[tracing::instrument(name = "order.refresh", skip_all, fields(order.id = %id))]
pub async fn refresh(
    db: &Database,
    provider: &dyn PaymentProvider,
    (tenant, id): (TenantId, OrderId),
    now: Timestamp,
) -> Result<Model, RefreshError> {
    let order = find(db, tenant, id).await?.ok_or(RefreshError::NotFound)?;
    let unfinished = matches!(order.status, Status::SessionOpen | Status::AwaitingFunds);
    let Some(session) = order.provider_session.clone().filter(|_| unfinished) else {
        return Ok(order);
    };
    if order.provider != provider.name() {
        return Ok(order);
    }
    let view = provider.session(&session).await?;
    let name = provider.name();
    db.write(move |tx| Box::pin(async move { apply_in(tx, name, &view, Hint::None, now).await }))
        .await?;
    find(db, tenant, id).await?.ok_or(RefreshError::NotFound)
}

/// Asks about every order that has been silent for an hour, so that a lost webhook heals, and gives up those that
/// never got a session. Returns how many were asked about.
#[tracing::instrument(name = "order.reconcile", skip_all)]
pub async fn reconcile(
    db: &Database,
    provider: &dyn PaymentProvider,
    now: Timestamp,
) -> Result<u32, DbErr> {
    let silent = Entity::across_tenants()
        .filter(Column::Provider.eq(provider.name()))
        .filter(Column::Status.is_in([Status::Created, Status::SessionOpen, Status::AwaitingFunds]))
        .filter(Column::UpdatedAt.lt(now.minus(SILENT_AFTER)))
        .order_by_asc(Column::UpdatedAt)
        .limit(RECONCILE_MAX)
        .all(db.read())
        .await?;
    let mut asked: u32 = 0;
    for order in silent {
        if order.provider_session.is_some() {
            asked = asked.saturating_add(1);
            if let Err(fault) = refresh(db, provider, (order.tenant_id, order.id), now).await {
                tracing::warn!(order.id = %order.id, %fault, "an order could not be reconciled");
            }
        } else if now.since(order.created_at) >= ABANDONED_AFTER {
            let reason = "no checkout was opened within a day".to_owned();
            give_up(db, &order, Status::Canceled, reason, now).await?;
        }
    }
    Ok(asked)
}
