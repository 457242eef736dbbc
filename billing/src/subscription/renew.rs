//! The job that moves subscriptions into their next period, or ends them.

use super::RUNNING;
use super::period::{boundary, periods_until};
use super::subscribe::{SubscribeError, grant_allowance, version_of};
use entity::subscription::{Column, Entity, Model, Status};
use entity::{
    Actor, Database, PlanVersionId, Scoped, SubscriptionId, TenantId, Timestamp, Tx, plan_version,
};
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder, QuerySelect};

/// Subscriptions moved in one run of [`renew_due`].
const DUE_MAX: u64 = 200;

/// What a run of [`renew_due`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// Subscriptions that entered their next period.
    pub renewed: u32,
    /// Subscriptions that ended.
    pub ended: u32,
}

/// Moves every subscription whose period is over into its next period, or ends it. Each in a transaction of its own;
/// any number of replicas may run it at once.
///
/// A period that passed while nothing ran is left out: its allowance would have lapsed by now.
#[tracing::instrument(name = "subscription.renew_due", skip_all)]
pub async fn renew_due(db: &Database, now: Timestamp) -> Result<Renewed, SubscribeError> {
    let due = Entity::across_tenants()
        .filter(Column::Status.is_in(RUNNING))
        .filter(Column::PeriodEnd.lte(now))
        .order_by_asc(Column::PeriodEnd)
        .limit(DUE_MAX)
        .all(db.read())
        .await?;
    let mut done = Renewed::default();
    for subscription in due {
        let (tenant, id) = (subscription.tenant_id, subscription.id);
        let rolled = db.write(move |tx| {
            Box::pin(async move {
                match still_due(tx, tenant, id, now).await? {
                    Some(current) => roll_in(tx, current, now).await,
                    None => Ok(None),
                }
            })
        });
        match rolled.await {
            Ok(Some(Status::Ended)) => done.ended = done.ended.saturating_add(1),
            Ok(Some(_)) => done.renewed = done.renewed.saturating_add(1),
            Ok(None) => {}
            Err(SubscribeError::Store(fault)) => return Err(fault.into()),
            Err(fault) => {
                tracing::error!(tenant.id = %tenant, subscription.id = %id, %fault, "a subscription could not be renewed");
            }
        }
    }
    Ok(done)
}

/// The subscription as it is now, locked: it may have been made to last longer, or moved by another replica, since it
/// was found.
async fn still_due(
    tx: &Tx,
    tenant: TenantId,
    id: SubscriptionId,
    now: Timestamp,
) -> Result<Option<Model>, DbErr> {
    Entity::of(tenant)
        .filter(Column::Id.eq(id))
        .filter(Column::Status.is_in(RUNNING))
        .filter(Column::PeriodEnd.lte(now))
        .lock(LockType::NoKeyUpdate)
        .one(tx)
        .await
}

/// The subscription's next state.
async fn roll_in(tx: &Tx, old: Model, now: Timestamp) -> Result<Option<Status>, SubscribeError> {
    let goes_on = old.status == Status::Active
        && old.renews
        && old.ends_at.is_none_or(|ends_at| old.period_end < ends_at);
    let next = if goes_on {
        next_period(tx, &old, now).await?
    } else {
        None
    };
    let Some((version, start, end)) = next else {
        return end_in(tx, &old).await;
    };
    let changed = Entity::of_change(old.tenant_id)
        .col_expr(Column::PeriodStart, Expr::value(start))
        .col_expr(Column::PeriodEnd, Expr::value(end))
        .col_expr(Column::PlanVersionId, Expr::value(version.id))
        .col_expr(
            Column::NextPlanVersionId,
            Expr::value(None::<PlanVersionId>),
        )
        .filter(Column::Id.eq(old.id))
        .filter(Column::Status.eq(old.status))
        .filter(Column::PeriodEnd.eq(old.period_end))
        .exec(tx)
        .await?;
    if changed.rows_affected != 1 {
        return Ok(None);
    }
    let status = old.status;
    let renewed = Model {
        period_start: start,
        period_end: end,
        plan_version_id: version.id,
        ..old
    };
    grant_allowance(tx, &renewed, &version, Actor::System, None, now).await?;
    Ok(Some(status))
}

/// The period that `now` lies in, unless the subscription is over by then.
async fn next_period(
    tx: &Tx,
    old: &Model,
    now: Timestamp,
) -> Result<Option<(plan_version::Model, Timestamp, Timestamp)>, SubscribeError> {
    let id = old.next_plan_version_id.unwrap_or(old.plan_version_id);
    let version = version_of(tx, id)
        .await?
        .ok_or(SubscribeError::NoSuchPlan)?;
    if old.ends_at.is_some_and(|ends_at| ends_at <= now) {
        return Ok(None);
    }
    // The first boundary after now ends the running period, and the one before it starts it.
    let elapsed = periods_until(old.anchor, version.period, now).ok_or(SubscribeError::Periods)?;
    let start = boundary(old.anchor, version.period, elapsed).ok_or(SubscribeError::Periods)?;
    let next = elapsed.checked_add(1).ok_or(SubscribeError::Periods)?;
    let end = boundary(old.anchor, version.period, next).ok_or(SubscribeError::Periods)?;
    Ok(Some((version, start.max(old.period_end), end)))
}

async fn end_in(tx: &Tx, old: &Model) -> Result<Option<Status>, SubscribeError> {
    let changed = Entity::of_change(old.tenant_id)
        .col_expr(Column::Status, Expr::value(Status::Ended))
        .col_expr(Column::EndedAt, Expr::value(old.period_end))
        .filter(Column::Id.eq(old.id))
        .filter(Column::Status.eq(old.status))
        .filter(Column::PeriodEnd.eq(old.period_end))
        .exec(tx)
        .await?;
    Ok((changed.rows_affected == 1).then_some(Status::Ended))
}
