//! Giving a tenant a plan.

use super::period::{boundary, periods_until};
use crate::ledger::{self, GrantError, GrantOrder};
use entity::plan_version::Period;
use entity::subscription::{ActiveModel, Column, Entity, Model, Source, Status};
use entity::{
    Actor, CodeId, Database, PlanVersionId, Platform, Scoped, SubscriptionId, TenantId, Timestamp,
    Tx, audit_trail, grant, plan_version, tenant,
};
use sea_orm::sea_query::LockType;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, IntoActiveModel, QueryFilter, QuerySelect, Set,
};

/// A tenant gets a plan.
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// Made by the caller, so that a retry does not subscribe twice.
    pub id: SubscriptionId,
    /// Who gets it.
    pub tenant: TenantId,
    /// Which version.
    pub version: PlanVersionId,
    /// Where it comes from.
    pub source: Source,
    /// For how many periods; until it is ended where there is none.
    pub periods: Option<u32>,
    /// The code that gave it.
    pub code: Option<CodeId>,
    /// Who caused it.
    pub actor: Actor,
}

/// Why a subscription could not be given.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// There is no such version of a plan.
    #[error("the plan version does not exist")]
    NoSuchPlan,
    /// No period, or an end beyond the calendar.
    #[error("a subscription lasts for at least one period, and not for ever")]
    Periods,
    /// The wallet does not take the allowance.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The database failed.
    #[error("the subscription was not stored: {0}")]
    Store(#[from] DbErr),
}

/// Gives a tenant a plan, and the first period's allowance with it.
///
/// Where the tenant already has the same version for a limited time from the same source, that one lasts longer
/// instead: two codes for a month are two months one after the other, and their allowances follow each other.
pub async fn subscribe_in(
    tx: &Tx,
    order: Subscribe,
    now: Timestamp,
) -> Result<Model, SubscribeError> {
    let version = version_of(tx, order.version)
        .await?
        .ok_or(SubscribeError::NoSuchPlan)?;
    if order.periods == Some(0) {
        return Err(SubscribeError::Periods);
    }
    one_at_a_time(tx, order.tenant).await?;
    if let Some(periods) = order.periods
        && let Some(running) = limited_twin(tx, &order, now).await?
    {
        return extend(tx, running, version.period, periods).await;
    }
    let ends_at = match order.periods {
        None => None,
        Some(periods) => {
            Some(boundary(now, version.period, periods).ok_or(SubscribeError::Periods)?)
        }
    };
    let period_end = boundary(now, version.period, 1).ok_or(SubscribeError::Periods)?;
    let subscription = ActiveModel {
        id: Set(order.id),
        tenant_id: Set(order.tenant),
        plan_version_id: Set(order.version),
        status: Set(Status::Active),
        source: Set(order.source),
        period_start: Set(now),
        period_end: Set(period_end),
        anchor: Set(now),
        renews: Set(order.periods != Some(1)),
        ends_at: Set(ends_at),
        next_plan_version_id: Set(None),
        created_at: Set(now),
        ended_at: Set(None),
        legacy_ref: Set(None),
    }
    .insert(tx)
    .await?;
    grant_allowance(tx, &subscription, &version, order.actor, order.code, now).await?;
    Ok(subscription)
}

pub(super) async fn version_of(
    tx: &Tx,
    version: PlanVersionId,
) -> Result<Option<plan_version::Model>, DbErr> {
    plan_version::Entity::every()
        .filter(plan_version::Column::Id.eq(version))
        .one(tx)
        .await
}

/// Subscriptions of one tenant come one after the other, so that two codes at once make one last longer.
async fn one_at_a_time(tx: &Tx, tenant: TenantId) -> Result<(), DbErr> {
    tenant::Entity::every()
        .filter(tenant::Column::Id.eq(tenant))
        .lock(LockType::NoKeyUpdate)
        .one(tx)
        .await?;
    Ok(())
}

async fn limited_twin(tx: &Tx, order: &Subscribe, now: Timestamp) -> Result<Option<Model>, DbErr> {
    Entity::of(order.tenant)
        .filter(Column::PlanVersionId.eq(order.version))
        .filter(Column::Source.eq(order.source))
        .filter(Column::Status.eq(Status::Active))
        .filter(Column::EndsAt.gt(now))
        .filter(Column::NextPlanVersionId.is_null())
        .lock(LockType::NoKeyUpdate)
        .one(tx)
        .await
}

async fn extend(
    tx: &Tx,
    running: Model,
    period: Period,
    periods: u32,
) -> Result<Model, SubscribeError> {
    let start = running.ends_at.unwrap_or(running.period_end);
    let elapsed = periods_until(running.anchor, period, start).ok_or(SubscribeError::Periods)?;
    let total = elapsed
        .checked_add(periods)
        .ok_or(SubscribeError::Periods)?;
    let ends_at = boundary(running.anchor, period, total).ok_or(SubscribeError::Periods)?;
    let mut longer = running.into_active_model();
    longer.renews = Set(true);
    longer.ends_at = Set(Some(ends_at));
    Ok(longer.update(tx).await?)
}

/// Grants the running period's allowance, once.
pub(super) async fn grant_allowance(
    tx: &Tx,
    subscription: &Model,
    version: &plan_version::Model,
    actor: Actor,
    code: Option<CodeId>,
    now: Timestamp,
) -> Result<(), GrantError> {
    if !version.allowance.is_positive() {
        return Ok(());
    }
    let (tenant, start) = (subscription.tenant_id, subscription.period_start);
    let key = format!("plan:{}:{}", subscription.id, start.micros());
    let order = GrantOrder {
        expires_at: Some(subscription.period_end),
        code,
        subscription: Some(subscription.id),
        ..GrantOrder::new(
            tenant,
            grant::Source::Plan,
            version.allowance,
            key,
            actor,
            start,
        )
    };
    ledger::grant_in(tx, order, now).await?;
    Ok(())
}

/// Gives a tenant a plan in a transaction of its own: what an operator does.
#[tracing::instrument(name = "subscription.subscribe", skip_all, fields(tenant.id = %order.tenant))]
pub async fn subscribe(
    db: &Database,
    order: Subscribe,
    now: Timestamp,
) -> Result<Model, SubscribeError> {
    db.write(move |tx| {
        Box::pin(async move {
            let entry = entry_of(&order.actor, "subscription.create", order.id, order.tenant);
            let subscription = subscribe_in(tx, order, now).await?;
            audit_trail::append(tx, entry, now).await?;
            Ok(subscription)
        })
    })
    .await
}

/// The line of the audit trail for what happens to a subscription.
pub(super) fn entry_of(
    actor: &Actor,
    action: &'static str,
    id: SubscriptionId,
    tenant: TenantId,
) -> audit_trail::Entry {
    audit_trail::Entry {
        actor: actor.clone(),
        action,
        subject: ("subscription", id.to_string()),
        tenant: Some(tenant),
        reason: None,
        detail: None,
    }
}
