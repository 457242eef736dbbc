//! Giving a tenant a plan.

use super::RUNNING;
use super::change::{ChangeError, pay_in};
use super::offer::{for_sale_in, rules_of};
use super::period::{boundary, periods_until};
use crate::ledger::{self, GrantError, GrantOrder};
use entity::plan_version::Period;
use entity::subscription::{ActiveModel, Column, Entity, Model, Source, Status};
use entity::{
    Actor, CodeId, Credits, Database, PlanVersionId, Platform, Scoped, SubscriptionId, TenantId,
    Timestamp, Tx, audit_trail, grant, plan_version, tenant,
};
use sea_orm::sea_query::LockType;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, IntoActiveModel, QueryFilter, QuerySelect, Set,
};
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

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
    /// The tenant has a running subscription to this plan.
    #[error("the tenant has this plan already")]
    HasIt,
    /// The version is not the newest of a plan on offer with a price in credits.
    #[error("the plan is not for sale")]
    NotForSale,
    /// Buy credits first.
    #[error("{needed} credits needed, {available} there")]
    NotThere {
        /// What a period costs.
        needed: Credits,
        /// What may be taken.
        available: Credits,
    },
    /// The wallet does not take the allowance.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The database failed.
    #[error("the subscription was not stored: {0}")]
    Store(#[from] DbErr),
}

impl From<ChangeError> for SubscribeError {
    fn from(fault: ChangeError) -> Self {
        match fault {
            ChangeError::NotFound
            | ChangeError::Same
            | ChangeError::NotBetter
            | ChangeError::OtherPeriod
            | ChangeError::NoPrice
            | ChangeError::Given
            | ChangeError::NotForSale => Self::NotForSale,
            ChangeError::Clock => Self::Periods,
            ChangeError::NotThere { needed, available } => Self::NotThere { needed, available },
            ChangeError::Grant(fault) => Self::Grant(fault),
            ChangeError::Store(fault) => Self::Store(fault),
        }
    }
}

/// Gives a tenant a plan, and the first period's allowance with it. Where the tenant orders it, the wallet pays.
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
    let price = match order.source {
        Source::Order => Some(price_of_order(tx, &order, &version).await?),
        Source::Code | Source::Operator => None,
    };
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
    enter_period(
        tx,
        &subscription,
        &version,
        price,
        (order.actor, order.code),
        now,
    )
    .await?;
    Ok(subscription)
}

/// What is ordered has to be for sale, and not running already.
async fn price_of_order(
    tx: &Tx,
    order: &Subscribe,
    version: &plan_version::Model,
) -> Result<Credits, SubscribeError> {
    let (_, price) = for_sale_in(tx, version.id)
        .await?
        .ok_or(SubscribeError::NotForSale)?;
    let versions = plan_version::Entity::every()
        .filter(plan_version::Column::PlanId.eq(version.plan_id))
        .all(tx)
        .await?;
    let running = Entity::of(order.tenant)
        .filter(Column::Status.is_in(RUNNING))
        .filter(Column::PlanVersionId.is_in(versions.iter().map(|version| version.id)))
        .one(tx)
        .await?;
    match running {
        Some(_) => Err(SubscribeError::HasIt),
        None => Ok(price),
    }
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

/// Pays for the running period where it has a price, and grants its allowance, each once.
pub(super) async fn enter_period(
    tx: &Tx,
    subscription: &Model,
    version: &plan_version::Model,
    price: Option<Credits>,
    (actor, code): (Actor, Option<CodeId>),
    now: Timestamp,
) -> Result<(), SubscribeError> {
    let start = subscription.period_start;
    let period = format!("{}:{}", subscription.id, start.micros());
    if let Some(price) = price.filter(|price| price.is_positive()) {
        let key = format!("pay:{period}");
        pay_in(tx, subscription.tenant_id, price, key, &actor, now).await?;
    }
    let allowance = Allowance {
        amount: version.allowance,
        key: format!("plan:{period}"),
        effective_at: start,
        code,
    };
    grant_allowance(tx, subscription, version, allowance, actor, now).await?;
    Ok(())
}

/// Credits that a subscription brings.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    /// How many; none is granted where there are none.
    pub(super) amount: Credits,
    /// The happening's own name.
    pub(super) key: String,
    /// From when.
    pub(super) effective_at: Timestamp,
    /// The code that gave them.
    pub(super) code: Option<CodeId>,
}

/// Grants an allowance of the running period, once, to the end that the version says.
pub(super) async fn grant_allowance(
    tx: &Tx,
    subscription: &Model,
    version: &plan_version::Model,
    allowance: Allowance,
    actor: Actor,
    now: Timestamp,
) -> Result<(), GrantError> {
    if !allowance.amount.is_positive() {
        return Ok(());
    }
    let rules = rules_of(version)?;
    let start = subscription.period_start;
    let ends_at = match rules.allowance_days() {
        Some(days) => start.plus(DAY.saturating_mul(days)),
        None => subscription.period_end,
    };
    if ends_at <= allowance.effective_at {
        // It lapsed before it came.
        return Ok(());
    }
    let order = GrantOrder {
        expires_at: Some(ends_at),
        priority: Some(i64::from(rules.priority())),
        code: allowance.code,
        subscription: Some(subscription.id),
        ..GrantOrder::new(
            subscription.tenant_id,
            grant::Source::Plan,
            allowance.amount,
            allowance.key,
            actor,
            allowance.effective_at,
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
