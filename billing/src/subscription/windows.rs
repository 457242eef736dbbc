//! How far the windows of a tenant's plans are used, for its own pages.

use super::current::Current;
use crate::plan::{Plan, Quantity, Span, Window};
use chrono_tz::Tz;
use entity::{
    Database, Platform, RuleId, Scoped, TenantId, Timestamp,
    quota_counter::{Column, Entity},
    tenant,
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder};
use uuid::Uuid;

/// One window of one quota, as it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowStand {
    /// The quota's name in its plan.
    pub name: String,
    /// How long it counts.
    pub window: Window,
    /// How much it lets through.
    pub limit: Quantity,
    /// How much ended calls used and running calls hold, in the unit of `limit`.
    pub used: Quantity,
    /// When it is whole again.
    pub resets_at: Timestamp,
}

/// The windows of a plan, in the order of its rules; none where it has no quota.
///
/// # Errors
/// When the database does not answer, or holds a plan that does not read.
pub async fn windows(
    db: &Database,
    current: &Current,
    now: Timestamp,
) -> Result<Vec<WindowStand>, DbErr> {
    let plan = Plan::from_json(&current.version.document).map_err(|fault| {
        let version = current.version.id;
        DbErr::Custom(format!(
            "inconsistent: plan_version.document of {version}: {fault}"
        ))
    })?;
    if plan.quotas().is_empty() {
        return Ok(Vec::new());
    }
    let tenant = current.subscription.tenant_id;
    let zone = zone(db, tenant).await?;
    let mut stands = Vec::with_capacity(plan.quotas().len());
    for quota in plan.quotas() {
        let counter = Counter {
            tenant,
            subject: current.subscription.id.uuid(),
            rule: quota.rule,
        };
        let (used, resets_at) = counter
            .read(db, quota.window, quota.limit, zone, now)
            .await?;
        stands.push(WindowStand {
            name: quota.name.clone(),
            window: quota.window,
            limit: quota.limit,
            used,
            resets_at,
        });
    }
    Ok(stands)
}

/// Where a window is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter {
    pub(crate) tenant: TenantId,
    pub(crate) subject: Uuid,
    pub(crate) rule: RuleId,
}

impl Counter {
    /// How much of the window of now is used or held, and when it is whole again.
    pub(crate) async fn read(
        self,
        db: &Database,
        window: Window,
        limit: Quantity,
        zone: Tz,
        now: Timestamp,
    ) -> Result<(Quantity, Timestamp), DbErr> {
        let latest = Entity::of(self.tenant)
            .filter(Column::SubjectId.eq(self.subject))
            .filter(Column::RuleId.eq(self.rule))
            .filter(Column::WindowStart.lte(now))
            .order_by_desc(Column::WindowStart)
            .one(db.read())
            .await?;
        let counted = latest.as_ref().map(|row| Span {
            starts_at: row.window_start,
            ends_at: row.window_end,
        });
        let span = window.span(now, zone, counted);
        let units = latest
            .filter(|row| row.window_start == span.starts_at)
            .map_or(0, |row| row.used.saturating_add(row.reserved));
        Ok((Quantity::of(limit.metric(), units), span.ends_at))
    }
}

/// The tenant's clock, for calendar windows.
pub(crate) async fn zone(db: &Database, tenant: TenantId) -> Result<Tz, DbErr> {
    let row = tenant::Entity::every()
        .filter(tenant::Column::Id.eq(tenant))
        .one(db.read())
        .await?;
    Ok(row
        .and_then(|row| row.time_zone.parse().ok())
        .unwrap_or(Tz::UTC))
}
