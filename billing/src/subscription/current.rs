//! The plans a tenant has.

use super::RUNNING;
use super::offer::{plan_of, rules_of};
use entity::subscription::{Column, Entity, Model};
use entity::{Database, Platform, Scoped, TenantId, Timestamp, plan, plan_version};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder, QuerySelect, Select};

/// Most subscriptions of a tenant that are read at once.
const CURRENT_MAX: u64 = 100;

/// A tenant's plan as pages show it.
#[derive(Clone, Debug)]
pub struct Current {
    /// The tenant's copy.
    pub subscription: Model,
    /// The version it is a copy of.
    pub version: plan_version::Model,
    /// The plan.
    pub plan: plan::Model,
}

/// The plans a tenant has now, first the one that is asked first: by their place in the stack, then by the end of the
/// period.
///
/// # Errors
/// When the database does not answer, or holds a plan that does not read.
pub async fn current(
    db: &Database,
    tenant: TenantId,
    now: Timestamp,
) -> Result<Vec<Current>, DbErr> {
    let running = Entity::of(tenant)
        .filter(Column::Status.is_in(RUNNING))
        .filter(Column::PeriodEnd.gt(now));
    let mut found = read(db, running).await?;
    let mut places = Vec::with_capacity(found.len());
    for current in found.drain(..) {
        let place = rules_of(&current.version)?.priority();
        let Model { period_end, id, .. } = current.subscription;
        places.push(((place, period_end, id), current));
    }
    places.sort_by_key(|(place, _)| *place);
    Ok(places.into_iter().map(|(_, current)| current).collect())
}

/// The subscriptions that a tenant's page shows: those that run, and those whose renewal is not paid.
///
/// # Errors
/// When the database does not answer.
pub async fn shown(db: &Database, tenant: TenantId) -> Result<Vec<Current>, DbErr> {
    read(db, Entity::of(tenant).filter(Column::Status.is_in(RUNNING))).await
}

async fn read(db: &Database, rows: Select<Entity>) -> Result<Vec<Current>, DbErr> {
    let subscriptions = rows
        .order_by_asc(Column::Id)
        .limit(CURRENT_MAX)
        .all(db.read())
        .await?;
    let mut found = Vec::with_capacity(subscriptions.len());
    for subscription in subscriptions {
        let version = plan_version::Entity::every()
            .filter(plan_version::Column::Id.eq(subscription.plan_version_id))
            .one(db.read())
            .await?;
        let Some(version) = version else { continue };
        if let Some(plan) = plan_of(db.read(), &version).await? {
            found.push(Current {
                subscription,
                version,
                plan,
            });
        }
    }
    Ok(found)
}
