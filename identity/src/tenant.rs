//! Tenants as operators act on them: suspended and resumed as a whole.

use crate::{reason::Reason, right::Operator, trail};
use entity::{
    Database, Platform, TenantId, Timestamp, audit_trail,
    tenant::{Column, Entity, Status},
    wallet,
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, sea_query::Expr};

/// Why a tenant stays what it was.
#[derive(Debug, thiserror::Error)]
pub enum TenantError {
    /// There is no such tenant, or it is closed.
    #[error("no such tenant")]
    NotFound,
    /// It is suspended already.
    #[error("the tenant is suspended already")]
    AlreadySuspended,
    /// It is not suspended.
    #[error("the tenant is not suspended")]
    NotSuspended,
    /// The database failed.
    #[error("database")]
    Store(#[from] DbErr),
}

/// Refuses all calls of a tenant from the next one on. Its members still see their pages, and why.
///
/// # Errors
/// As [`TenantError`] says.
#[tracing::instrument(name = "identity.tenant.suspend", skip_all, fields(tenant.id = %tenant))]
pub async fn suspend(
    db: &Database,
    right: &Operator,
    tenant: TenantId,
    reason: Reason,
    now: Timestamp,
) -> Result<(), TenantError> {
    let change = Change {
        action: "tenant.suspend",
        from: Status::Active,
        to: Status::Suspended,
        kept_reason: Some(reason.as_str().to_owned()),
    };
    let moved = apply(db, *right, tenant, (change, reason), now).await?;
    moved.then_some(()).ok_or(TenantError::AlreadySuspended)
}

/// Serves a suspended tenant again.
///
/// # Errors
/// As [`TenantError`] says.
#[tracing::instrument(name = "identity.tenant.resume", skip_all, fields(tenant.id = %tenant))]
pub async fn resume(
    db: &Database,
    right: &Operator,
    tenant: TenantId,
    reason: Reason,
    now: Timestamp,
) -> Result<(), TenantError> {
    let change = Change {
        action: "tenant.resume",
        from: Status::Suspended,
        to: Status::Active,
        kept_reason: None,
    };
    let moved = apply(db, *right, tenant, (change, reason), now).await?;
    moved.then_some(()).ok_or(TenantError::NotSuspended)
}

struct Change {
    action: &'static str,
    from: Status,
    to: Status,
    kept_reason: Option<String>,
}

/// Whether the tenant stood where the change starts.
async fn apply(
    db: &Database,
    right: Operator,
    tenant: TenantId,
    (change, reason): (Change, Reason),
    now: Timestamp,
) -> Result<bool, TenantError> {
    db.write(move |tx| {
        Box::pin(async move {
            Entity::every()
                .filter(Column::Id.eq(tenant))
                .filter(Column::Status.ne(Status::Closed))
                .one(tx)
                .await?
                .ok_or(TenantError::NotFound)?;
            wallet::lock(tx, [tenant]).await?;
            let moved = Entity::change()
                .col_expr(Column::Status, Expr::value(change.to))
                .col_expr(Column::StatusReason, Expr::value(change.kept_reason))
                .filter(Column::Id.eq(tenant))
                .filter(Column::Status.eq(change.from))
                .exec(tx)
                .await?;
            if moved.rows_affected != 1 {
                return Ok(false);
            }
            let line = audit_trail::Entry {
                tenant: Some(tenant),
                reason: Some(reason.as_str().to_owned()),
                ..trail::line(right.actor(), change.action, ("tenant", tenant))
            };
            audit_trail::append(tx, line, now).await?;
            Ok(true)
        })
    })
    .await
}
