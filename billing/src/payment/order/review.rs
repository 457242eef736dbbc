//! What an operator does with an order that did not match its session.

use entity::order::{Column, Entity, Status};
use entity::{Actor, Database, OrderId, PersonId, Scoped, Timestamp, audit_trail};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DbErr, QueryFilter};

/// Why an order was not closed.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// A decision about money needs a reason.
    #[error("a reason is needed")]
    NoReason,
    /// There is none with this id that waits for an operator.
    #[error("no order with this id waits for an operator")]
    NotInReview,
    /// The database failed.
    #[error("the order was not closed: {0}")]
    Store(#[from] DbErr),
}

/// Closes an order that waits for an operator, without credits. Where the buyer is owed some, the operator grants
/// them as an adjustment, with a reason of its own.
#[tracing::instrument(name = "order.close_review", skip_all, fields(order.id = %order))]
pub async fn close_review(
    db: &Database,
    order: OrderId,
    operator: PersonId,
    reason: String,
    now: Timestamp,
) -> Result<(), CloseError> {
    if reason.trim().is_empty() {
        return Err(CloseError::NoReason);
    }
    db.write(move |tx| {
        Box::pin(async move {
            let found = Entity::across_tenants()
                .filter(Column::Id.eq(order))
                .one(tx)
                .await?;
            let row = found.ok_or(CloseError::NotInReview)?;
            let closed = Entity::of_change(row.tenant_id)
                .col_expr(Column::Status, Expr::value(Status::Canceled))
                .col_expr(Column::UpdatedAt, Expr::value(now))
                .filter(Column::Id.eq(order))
                .filter(Column::Status.eq(Status::Review))
                .exec(tx)
                .await?;
            if closed.rows_affected != 1 {
                return Err(CloseError::NotInReview);
            }
            let entry = audit_trail::Entry {
                actor: Actor::Operator(operator),
                action: "order.close_review",
                subject: ("order", order.to_string()),
                tenant: Some(row.tenant_id),
                reason: Some(reason),
                detail: None,
            };
            audit_trail::append(tx, entry, now).await?;
            Ok(())
        })
    })
    .await
}
