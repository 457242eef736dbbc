//! What a tenant pays of the list price: its own multiplier, beside those of group and plan.

use entity::{
    Actor, Database, Platform, TenantId, Timestamp,
    audit_trail::{self, Entry},
    tenant,
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QuerySelect, sea_query::Expr, sea_query::LockType};

/// The greatest factor, in millionths.
const MULTIPLIER_MAX_PPM: i64 = 1_000_000_000;

/// Why a tenant's multiplier was not set.
#[derive(Debug, thiserror::Error)]
pub enum MultiplierError {
    /// Zero, negative or beyond a thousand.
    #[error("a multiplier lies above 0 and is at most 1000")]
    OutOfRange,
    /// There is no such tenant.
    #[error("no such tenant")]
    NoTenant,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] DbErr),
}

/// Sets a tenant's multiplier. Calls that run keep the one they were held with.
///
/// # Errors
/// [`MultiplierError`].
pub async fn set_multiplier(
    db: &Database,
    tenant: TenantId,
    ppm: i64,
    actor: Actor,
    reason: String,
    now: Timestamp,
) -> Result<(), MultiplierError> {
    if !(1..=MULTIPLIER_MAX_PPM).contains(&ppm) {
        return Err(MultiplierError::OutOfRange);
    }
    db.write(move |tx| {
        Box::pin(async move {
            let row = tenant::Entity::every()
                .filter(tenant::Column::Id.eq(tenant))
                .lock(LockType::NoKeyUpdate)
                .one(tx)
                .await?
                .ok_or(MultiplierError::NoTenant)?;
            tenant::Entity::change()
                .col_expr(tenant::Column::MultiplierPpm, Expr::value(ppm))
                .filter(tenant::Column::Id.eq(tenant))
                .exec(tx)
                .await?;
            let entry = Entry {
                actor,
                action: "tenant.multiplier",
                subject: ("tenant", tenant.to_string()),
                tenant: Some(tenant),
                reason: Some(reason),
                detail: Some(serde_json::json!({ "from_ppm": row.multiplier_ppm, "to_ppm": ppm })),
            };
            audit_trail::append(tx, entry, now).await?;
            Ok(())
        })
    })
    .await
}
