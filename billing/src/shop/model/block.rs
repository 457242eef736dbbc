//! Blocks a model for every caller, and lets it be called again.

use entity::{
    Actor, Database, ModelId, Platform, Timestamp, Tx,
    audit_trail::{self, Entry},
    model,
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, sea_query::Expr};

use super::price::is_priced_in;

/// Why a model's status did not change.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// A block needs a reason; callers read it.
    #[error("a block needs a reason")]
    ReasonMissing,
    /// There is no such model, or its status is that already.
    #[error("no such model, or nothing to change")]
    NothingToChange,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] DbErr),
}

/// Refuses the model to everyone from the next call on; running calls end as they would have.
pub async fn block(
    db: &Database,
    model: ModelId,
    reason: String,
    actor: Actor,
    now: Timestamp,
) -> Result<(), BlockError> {
    let reason = reason.trim().to_owned();
    if reason.is_empty() {
        return Err(BlockError::ReasonMissing);
    }

    db.write(move |tx| {
        Box::pin(async move {
            let touched = model::Entity::change()
                .col_expr(model::Column::Status, Expr::value(model::Status::Blocked))
                .col_expr(model::Column::StatusReason, Expr::value(reason.as_str()))
                .filter(model::Column::Id.eq(model))
                .filter(model::Column::Status.ne(model::Status::Blocked))
                .exec(tx)
                .await?
                .rows_affected;
            settle(
                tx,
                touched,
                line("model.block", model, actor, Some(reason)),
                now,
            )
            .await
        })
    })
    .await
}

/// Lets the model be called again; one without a price is hidden until it has one.
pub async fn unblock(
    db: &Database,
    model: ModelId,
    actor: Actor,
    now: Timestamp,
) -> Result<(), BlockError> {
    db.write(move |tx| {
        Box::pin(async move {
            let status = if is_priced_in(tx, model).await? {
                model::Status::Active
            } else {
                model::Status::Hidden
            };
            let touched = model::Entity::change()
                .col_expr(model::Column::Status, Expr::value(status))
                .col_expr(
                    model::Column::StatusReason,
                    Expr::value(Option::<String>::None),
                )
                .filter(model::Column::Id.eq(model))
                .filter(model::Column::Status.eq(model::Status::Blocked))
                .exec(tx)
                .await?
                .rows_affected;
            settle(tx, touched, line("model.unblock", model, actor, None), now).await
        })
    })
    .await
}

fn line(action: &'static str, model: ModelId, actor: Actor, reason: Option<String>) -> Entry {
    Entry {
        actor,
        action,
        subject: ("model", model.to_string()),
        tenant: None,
        reason,
        detail: None,
    }
}

async fn settle(tx: &Tx, touched: u64, entry: Entry, now: Timestamp) -> Result<(), BlockError> {
    if touched != 1 {
        return Err(BlockError::NothingToChange);
    }
    audit_trail::append(tx, entry, now).await?;
    Ok(())
}
