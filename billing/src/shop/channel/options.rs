//! Sets how a channel wants to be asked and how much it may carry; it binds at the next call.

use entity::{
    Actor, ChannelId, Database, Platform, Timestamp,
    audit_trail::{self, Entry},
    channel,
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, sea_query::Expr};

/// Why a channel's options stayed as they were.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// There is no such channel.
    #[error("no such channel")]
    NoChannel,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] DbErr),
}

/// Replaces all options of the channel.
pub async fn set_options(
    db: &Database,
    channel: ChannelId,
    options: channel::Options,
    actor: Actor,
    now: Timestamp,
) -> Result<(), OptionsError> {
    db.write(move |tx| {
        Box::pin(async move {
            let touched = channel::Entity::change()
                .col_expr(channel::Column::Options, Expr::value(options.to_json()))
                .filter(channel::Column::Id.eq(channel))
                .exec(tx)
                .await?
                .rows_affected;
            if touched != 1 {
                return Err(OptionsError::NoChannel);
            }
            let entry = Entry {
                actor,
                action: "channel.set_options",
                subject: ("channel", channel.to_string()),
                tenant: None,
                reason: None,
                detail: Some(serde_json::json!(options)),
            };
            audit_trail::append(tx, entry, now).await?;
            Ok(())
        })
    })
    .await
}
