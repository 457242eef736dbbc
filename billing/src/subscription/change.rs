//! Another plan instead of the present one: a step up now, anything else when the period ends.

use super::offer::{for_sale_in, terms_of};
use super::subscribe::{Allowance, entry_of, grant_allowance, version_of};
use crate::ledger::{self, AdjustError, GrantError, Taking};
use crate::plan::{
    Span,
    proration::{self, Prorated, Unprorated},
};
use entity::subscription::{Column, Entity, Model, Source, Status};
use entity::{
    Actor, Credits, Database, PlanVersionId, Scoped, SubscriptionId, TenantId, Timestamp, Tx,
    audit_trail, ledger_entry::Account, plan_version,
};
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QuerySelect};

/// Another plan for a subscription.
#[derive(Clone, Debug)]
pub struct Change {
    /// Whose.
    pub tenant: TenantId,
    /// Which subscription.
    pub subscription: SubscriptionId,
    /// The version it changes to: the newest of a plan on offer.
    pub to: PlanVersionId,
    /// Who asks.
    pub actor: Actor,
}

/// What a change would come to.
#[derive(Debug)]
pub struct Quote {
    /// The subscription as it is.
    pub subscription: Model,
    /// What it is a copy of.
    pub from: plan_version::Model,
    /// What it would become.
    pub to: plan_version::Model,
    /// What a period of that costs.
    pub price: Credits,
    /// What the change comes to now, or why it has to wait.
    pub now: Result<Prorated, ChangeError>,
    /// Whether it may be made when the period ends.
    pub at_end: bool,
    /// How many credits the wallet has for it.
    pub there: Credits,
}

/// A step up that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upgraded {
    /// What the wallet paid.
    pub due: Credits,
    /// What came in for the rest of the period.
    pub extra: Credits,
}

/// Why a subscription is not changed. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The tenant has no such subscription, or it is ending, unpaid or over.
    #[error("no active subscription has this id")]
    NotFound,
    /// The version is not the newest of a plan on offer with a price in credits.
    #[error("the plan is not for sale")]
    NotForSale,
    /// It is what the subscription is already.
    #[error("this is the present plan")]
    Same,
    /// It is no step up: change at the period's end.
    #[error("the plan is no better than the present one")]
    NotBetter,
    /// Its period has another length: change at the period's end.
    #[error("the plan has periods of another length")]
    OtherPeriod,
    /// The present price is not in credits, so that it cannot be set against the new one.
    #[error("the present plan has no price in credits")]
    NoPrice,
    /// A code or an operator gave the plan, so that its next period is not the member's to choose.
    #[error("the plan was given")]
    Given,
    /// The moment lies outside the running period: it is being renewed, or the clock has gone back.
    #[error("the moment lies outside the running period")]
    Clock,
    /// Buy credits first.
    #[error("{needed} credits needed, {available} there")]
    NotThere {
        /// What it costs.
        needed: Credits,
        /// What may be taken.
        available: Credits,
    },
    /// The wallet does not take the allowance.
    #[error(transparent)]
    Grant(GrantError),
    /// The database failed.
    #[error("the subscription was not changed: {0}")]
    Store(#[from] DbErr),
}

impl From<GrantError> for ChangeError {
    fn from(fault: GrantError) -> Self {
        match fault {
            GrantError::Store(fault) => Self::Store(fault),
            fault @ (GrantError::OutOfRange | GrantError::KeyInUse) => Self::Grant(fault),
        }
    }
}

impl From<Unprorated> for ChangeError {
    fn from(fault: Unprorated) -> Self {
        match fault {
            Unprorated::NotBetter => Self::NotBetter,
            Unprorated::OutsidePeriod => Self::Clock,
        }
    }
}

/// What a change would come to at this moment. Changes nothing.
///
/// # Errors
/// [`ChangeError`] where there is nothing to change, or nothing to change to.
pub async fn quote(
    db: &Database,
    (tenant, id): (TenantId, SubscriptionId),
    to: PlanVersionId,
    now: Timestamp,
) -> Result<Quote, ChangeError> {
    db.snapshot(move |tx| {
        Box::pin(async move {
            let subscription = active(tx, tenant, id).await?;
            let (from, to, price) = ends_of(tx, &subscription, to).await?;
            Ok(Quote {
                now: prorated(&subscription, &from, &to, now),
                at_end: subscription.source == Source::Order,
                there: ledger::there(tx, tenant, ledger::From::Own, now).await?,
                subscription,
                from,
                to,
                price,
            })
        })
    })
    .await
}

/// Changes to a better plan at once, for the rest of the period: the wallet pays the difference of the prices, gets
/// the difference of the allowances, both prorated. The period keeps its ends. What a code or an operator gave goes
/// on with the next period.
///
/// # Errors
/// [`ChangeError`].
#[tracing::instrument(name = "subscription.upgrade", skip_all, fields(tenant.id = %order.tenant, subscription.id = %order.subscription))]
pub async fn upgrade(
    db: &Database,
    order: Change,
    now: Timestamp,
) -> Result<Upgraded, ChangeError> {
    db.write(move |tx| Box::pin(async move { upgrade_in(tx, &order, now).await }))
        .await
}

async fn upgrade_in(tx: &Tx, order: &Change, now: Timestamp) -> Result<Upgraded, ChangeError> {
    let old = locked(tx, order.tenant, order.subscription).await?;
    let (from, to, _) = ends_of(tx, &old, order.to).await?;
    let Prorated { due, extra } = prorated(&old, &from, &to, now)?;
    let next = match old.source {
        Source::Order => None,
        Source::Code | Source::Operator => old.next_plan_version_id.or(Some(from.id)),
    };
    let changed = Entity::of_change(order.tenant)
        .col_expr(Column::PlanVersionId, Expr::value(to.id))
        .col_expr(Column::NextPlanVersionId, Expr::value(next))
        .filter(Column::Id.eq(old.id))
        .filter(Column::Status.eq(Status::Active))
        .filter(Column::PlanVersionId.eq(from.id))
        .filter(Column::PeriodStart.eq(old.period_start))
        .exec(tx)
        .await?;
    if changed.rows_affected != 1 {
        return Err(ChangeError::NotFound);
    }
    let key = format!("{}:{}:{}", old.id, old.period_start.micros(), to.id);
    if due.is_positive() {
        let key = format!("upgrade-pay:{key}");
        pay_in(tx, order.tenant, due, key, &order.actor, now).await?;
    }
    let allowance = Allowance {
        amount: extra,
        key: format!("upgrade:{key}"),
        effective_at: now,
        code: None,
    };
    grant_allowance(tx, &old, &to, allowance, order.actor.clone(), now).await?;
    let mut entry = entry_of(&order.actor, "subscription.upgrade", old.id, order.tenant);
    entry.detail = Some(serde_json::json!({
        "from": from.id, "to": to.id, "due": due, "extra": extra,
    }));
    audit_trail::append(tx, entry, now).await?;
    Ok(Upgraded { due, extra })
}

/// Changes the plan when the running period ends, or takes such a change back with `None`.
///
/// # Errors
/// [`ChangeError`].
#[tracing::instrument(name = "subscription.change_at_end", skip_all, fields(tenant.id = %tenant, subscription.id = %id))]
pub async fn change_at_end(
    db: &Database,
    (tenant, id): (TenantId, SubscriptionId),
    to: Option<PlanVersionId>,
    actor: Actor,
    now: Timestamp,
) -> Result<(), ChangeError> {
    db.write(move |tx| {
        Box::pin(async move {
            let old = locked(tx, tenant, id).await?;
            if old.source != Source::Order {
                return Err(ChangeError::Given);
            }
            if let Some(to) = to {
                ends_of(tx, &old, to).await?;
            }
            let changed = Entity::of_change(tenant)
                .col_expr(Column::NextPlanVersionId, Expr::value(to))
                .filter(Column::Id.eq(id))
                .filter(Column::Status.eq(Status::Active))
                .exec(tx)
                .await?;
            if changed.rows_affected != 1 {
                return Err(ChangeError::NotFound);
            }
            let mut entry = entry_of(&actor, "subscription.change_at_end", id, tenant);
            entry.detail = Some(serde_json::json!({ "from": old.plan_version_id, "to": to }));
            audit_trail::append(tx, entry, now).await?;
            Ok(())
        })
    })
    .await
}

/// Takes a plan's price out of the wallet's own credits.
pub(super) async fn pay_in(
    tx: &Tx,
    tenant: TenantId,
    price: Credits,
    business_key: String,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let taking = Taking {
        tenant,
        amount: price,
        from: ledger::From::Own,
        into: Account::IssuedPlan,
        business_key,
        actor: actor.clone(),
        reason: None,
    };
    match ledger::take_in(tx, &taking, now).await {
        Ok(_) => Ok(()),
        Err(AdjustError::NotThere { available }) => Err(ChangeError::NotThere {
            needed: price,
            available,
        }),
        Err(AdjustError::OutOfRange | AdjustError::NoReason) => {
            Err(ChangeError::Grant(GrantError::OutOfRange))
        }
        Err(AdjustError::KeyInUse) => Err(ChangeError::Grant(GrantError::KeyInUse)),
        Err(AdjustError::Store(fault)) => Err(ChangeError::Store(fault)),
    }
}

fn prorated(
    old: &Model,
    from: &plan_version::Model,
    to: &plan_version::Model,
    now: Timestamp,
) -> Result<Prorated, ChangeError> {
    if from.period != to.period {
        return Err(ChangeError::OtherPeriod);
    }
    let (Some(present), Some(wished)) = (terms_of(from), terms_of(to)) else {
        return Err(ChangeError::NoPrice);
    };
    let span = Span {
        starts_at: old.period_start,
        ends_at: old.period_end,
    };
    Ok(proration::prorate(present, wished, span, now)?)
}

/// What the subscription is a copy of, what it would become, and what a period of that costs.
async fn ends_of(
    tx: &Tx,
    old: &Model,
    to: PlanVersionId,
) -> Result<(plan_version::Model, plan_version::Model, Credits), ChangeError> {
    if old.plan_version_id == to {
        return Err(ChangeError::Same);
    }
    let (to, price) = for_sale_in(tx, to).await?.ok_or(ChangeError::NotForSale)?;
    let from = version_of(tx, old.plan_version_id)
        .await?
        .ok_or(ChangeError::NotFound)?;
    Ok((from, to, price))
}

async fn active(tx: &Tx, tenant: TenantId, id: SubscriptionId) -> Result<Model, ChangeError> {
    Entity::of(tenant)
        .filter(Column::Id.eq(id))
        .filter(Column::Status.eq(Status::Active))
        .one(tx)
        .await?
        .ok_or(ChangeError::NotFound)
}

async fn locked(tx: &Tx, tenant: TenantId, id: SubscriptionId) -> Result<Model, ChangeError> {
    Entity::of(tenant)
        .filter(Column::Id.eq(id))
        .filter(Column::Status.eq(Status::Active))
        .lock(LockType::NoKeyUpdate)
        .one(tx)
        .await?
        .ok_or(ChangeError::NotFound)
}
