//! The job that moves subscriptions into their next period, or ends them.

use super::RUNNING;
use super::offer::{price_in_credits, rules_of};
use super::period::{boundary, periods_until};
use super::subscribe::{SubscribeError, enter_period, entry_of, version_of};
use crate::ledger::{self, Roll};
use entity::subscription::{Column, Entity, Model, Source, Status};
use entity::{
    Actor, Database, PlanVersionId, Scoped, SubscriptionId, TenantId, Timestamp, Tx, audit_trail,
    plan_version,
};
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder, QuerySelect};
use std::time::Duration;

/// Subscriptions moved in one run of [`renew_due`], and as many unpaid ones.
const DUE_MAX: u64 = 200;
/// How long an unpaid renewal is tried again.
const GRACE: Duration = Duration::from_hours(72);

/// What a run of [`renew_due`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// Subscriptions that entered their next period.
    pub renewed: u32,
    /// Subscriptions that ended.
    pub ended: u32,
}

/// The next period of a subscription.
struct Next {
    version: plan_version::Model,
    anchor: Timestamp,
    start: Timestamp,
    end: Timestamp,
}

/// Moves every subscription whose period is over into its next period, or ends it. Each in a transaction of its own;
/// any number of replicas may run it at once. What the wallet cannot pay for is past due: it counts for nothing, and is
/// tried again for three days.
///
/// A period that passed while nothing ran is left out: its allowance would have lapsed by now.
///
/// # Errors
/// When the database does not answer; what was moved before stays.
#[tracing::instrument(name = "subscription.renew_due", skip_all)]
pub async fn renew_due(db: &Database, now: Timestamp) -> Result<Renewed, SubscribeError> {
    let mut done = Renewed::default();
    for statuses in [&RUNNING[..1], &RUNNING[1..]] {
        let due = Entity::across_tenants()
            .filter(Column::Status.is_in(statuses.iter().copied()))
            .filter(Column::PeriodEnd.lte(now))
            .order_by_asc(Column::PeriodEnd)
            .limit(DUE_MAX)
            .all(db.read())
            .await?;
        for subscription in due {
            match renew(db, subscription, now).await {
                Ok(Some(Status::Ended)) => done.ended = done.ended.saturating_add(1),
                Ok(Some(Status::Active)) => done.renewed = done.renewed.saturating_add(1),
                Ok(_) => {}
                Err(SubscribeError::Store(fault)) => return Err(fault.into()),
                Err(fault) => {
                    tracing::error!(%fault, "a subscription could not be renewed");
                }
            }
        }
    }
    Ok(done)
}

/// Moves one subscription on; where the wallet does not pay, it is past due, and ended once that lasts too long.
async fn renew(
    db: &Database,
    found: Model,
    now: Timestamp,
) -> Result<Option<Status>, SubscribeError> {
    let (tenant, id) = (found.tenant_id, found.id);
    let rolled = db.write(move |tx| {
        Box::pin(async move {
            match still_due(tx, tenant, id, now).await? {
                Some(current) => roll_in(tx, current, now).await,
                None => Ok(None),
            }
        })
    });
    match rolled.await {
        Err(SubscribeError::NotThere { .. }) => {}
        outcome => return outcome,
    }
    db.write(move |tx| {
        Box::pin(async move {
            match still_due(tx, tenant, id, now).await? {
                Some(current) if current.period_end.plus(GRACE) <= now => {
                    end_in(tx, &current).await
                }
                Some(current) => past_due_in(tx, &current, now).await,
                None => Ok(None),
            }
        })
    })
    .await
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
    let goes_on = old.status != Status::Canceling
        && old.renews
        && old.ends_at.is_none_or(|ends_at| old.period_end < ends_at);
    let next = if goes_on {
        next_period(tx, &old, now).await?
    } else {
        None
    };
    let Some(next) = next else {
        return end_in(tx, &old).await;
    };
    let changed = Entity::of_change(old.tenant_id)
        .col_expr(Column::Status, Expr::value(Status::Active))
        .col_expr(Column::Anchor, Expr::value(next.anchor))
        .col_expr(Column::PeriodStart, Expr::value(next.start))
        .col_expr(Column::PeriodEnd, Expr::value(next.end))
        .col_expr(Column::PlanVersionId, Expr::value(next.version.id))
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
    roll_over(tx, &old, &next, now).await?;
    let price = match old.source {
        Source::Order => price_in_credits(&next.version),
        Source::Code | Source::Operator => None,
    };
    let renewed = Model {
        period_start: next.start,
        period_end: next.end,
        plan_version_id: next.version.id,
        ..old
    };
    enter_period(
        tx,
        &renewed,
        &next.version,
        price,
        (Actor::System, None),
        now,
    )
    .await?;
    Ok(Some(Status::Active))
}

/// What the period that ends leaves moves on as far as its own version promised.
async fn roll_over(
    tx: &Tx,
    old: &Model,
    next: &Next,
    now: Timestamp,
) -> Result<(), SubscribeError> {
    let Some(version) = version_of(tx, old.plan_version_id).await? else {
        return Ok(());
    };
    let roll = Roll {
        tenant: old.tenant_id,
        subscription: old.id,
        lapsed_at: old.period_end,
        starts_at: next.start,
        ends_at: next.end,
        cap: rules_of(&version)?.rollover_cap(),
        priority: i64::from(rules_of(&next.version)?.priority()),
    };
    ledger::roll_in(tx, roll, now).await?;
    Ok(())
}

/// The period that `now` lies in, unless the subscription is over by then. A version with periods of another length
/// counts from where the last period ended.
async fn next_period(tx: &Tx, old: &Model, now: Timestamp) -> Result<Option<Next>, SubscribeError> {
    let id = old.next_plan_version_id.unwrap_or(old.plan_version_id);
    let version = version_of(tx, id)
        .await?
        .ok_or(SubscribeError::NoSuchPlan)?;
    if old.ends_at.is_some_and(|ends_at| ends_at <= now) {
        return Ok(None);
    }
    let before = version_of(tx, old.plan_version_id).await?;
    let same_length = before.is_none_or(|before| before.period == version.period);
    let anchor = if same_length {
        old.anchor
    } else {
        old.period_end
    };
    // The first boundary after now ends the running period, and the one before it starts it.
    let elapsed = periods_until(anchor, version.period, now).ok_or(SubscribeError::Periods)?;
    let start = boundary(anchor, version.period, elapsed).ok_or(SubscribeError::Periods)?;
    let next = elapsed.checked_add(1).ok_or(SubscribeError::Periods)?;
    let end = boundary(anchor, version.period, next).ok_or(SubscribeError::Periods)?;
    Ok(Some(Next {
        version,
        anchor,
        start: start.max(old.period_end),
        end,
    }))
}

async fn past_due_in(
    tx: &Tx,
    old: &Model,
    now: Timestamp,
) -> Result<Option<Status>, SubscribeError> {
    if old.status == Status::PastDue {
        return Ok(None);
    }
    let changed = Entity::of_change(old.tenant_id)
        .col_expr(Column::Status, Expr::value(Status::PastDue))
        .filter(Column::Id.eq(old.id))
        .filter(Column::Status.eq(old.status))
        .filter(Column::PeriodEnd.eq(old.period_end))
        .exec(tx)
        .await?;
    if changed.rows_affected != 1 {
        return Ok(None);
    }
    let entry = entry_of(
        &Actor::System,
        "subscription.past_due",
        old.id,
        old.tenant_id,
    );
    audit_trail::append(tx, entry, now).await?;
    Ok(Some(Status::PastDue))
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
