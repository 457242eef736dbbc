//! Ends holds that nobody ended: their process crashed, or lost the database for too long.

use crate::lane::Lanes;
use entity::{Database, HoldId, Scoped, TenantId, Timestamp, crash, hold, usage};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder, QuerySelect};

/// What a run of [`sweep`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Holds that ended as expired, with what their last checkpoint says.
    pub expired: u64,
    /// Holds that were ended by others meanwhile, or got more time.
    pub left: u64,
    /// Holds that could not be ended; the next run tries again.
    pub failed: u64,
}

/// Holds a run looks at; the next run finds the rest.
const HOLDS_MAX: u64 = 1_000;

/// Ends every hold whose time ran out by `now`: charged by its last checkpoint if the call was dispatched, else
/// for nothing. Any replica may run it, any number of times at once.
///
/// # Errors
/// When the database does not answer.
pub async fn sweep(db: &Database, lanes: &Lanes, now: Timestamp) -> Result<Swept, DbErr> {
    let due: Vec<(HoldId, TenantId)> = hold::Entity::across_tenants()
        .select_only()
        .columns([hold::Column::Id, hold::Column::TenantId])
        .filter(hold::Column::ExpiresAt.lte(now))
        .order_by_asc(hold::Column::ExpiresAt)
        .limit(HOLDS_MAX)
        .into_tuple()
        .all(db.read())
        .await?;
    crash::point("sweep found");
    let endings = due
        .into_iter()
        .map(|(id, tenant)| async move { (id, lanes.expire(tenant, id, now).await) });
    let mut swept = Swept::default();
    for (id, ended) in join_all(endings).await {
        let count = match ended {
            Ok(Some(settled)) if settled.outcome == usage::Outcome::Expired => &mut swept.expired,
            Ok(_) => &mut swept.left,
            Err(fault) => {
                tracing::error!(hold.id = %id, %fault, "an expired hold was not ended");
                &mut swept.failed
            }
        };
        *count = count.saturating_add(1);
    }
    Ok(swept)
}
