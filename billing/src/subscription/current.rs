//! The plans a tenant has.

use super::RUNNING;
use entity::subscription::{Column, Entity, Model};
use entity::{Database, Platform, Scoped, TenantId, Timestamp, plan, plan_version};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder, QuerySelect};

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

/// The plans a tenant has now, the oldest first.
pub async fn current(
    db: &Database,
    tenant: TenantId,
    now: Timestamp,
) -> Result<Vec<Current>, DbErr> {
    let subscriptions = Entity::of(tenant)
        .filter(Column::Status.is_in(RUNNING))
        .filter(Column::PeriodEnd.gt(now))
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
        let plan = plan::Entity::every()
            .filter(plan::Column::Id.eq(version.plan_id))
            .one(db.read())
            .await?;
        if let Some(plan) = plan {
            found.push(Current {
                subscription,
                version,
                plan,
            });
        }
    }
    Ok(found)
}
