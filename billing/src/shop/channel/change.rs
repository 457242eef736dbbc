//! Changes how a channel is reached and in which order it is tried.

use entity::{
    Actor, ChannelId, Database, Platform, Timestamp,
    audit_trail::{self, Entry},
    channel, channel_key,
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, sea_query::Expr};

use super::add::{SealedSecret, checked_name, is_taken};

/// A channel as it shall be.
#[derive(Clone, Debug)]
pub struct ChangeChannel {
    /// Which channel.
    pub channel: ChannelId,
    /// What operators call it.
    pub name: String,
    /// Where it is reached. A secret is sealed to the host, so another host needs the secret anew.
    pub base_url: String,
    /// A new secret; none keeps the one there is.
    pub secret: Option<SealedSecret>,
    /// Whether it moves to another host, where its further keys are worth nothing.
    pub moved: bool,
    /// Lower is tried first.
    pub priority: i64,
    /// Share among channels of one priority.
    pub weight: i64,
}

/// Why a channel stayed as it was.
#[derive(Debug, thiserror::Error)]
pub enum ChangeChannelError {
    /// There is no such channel.
    #[error("no such channel")]
    NoChannel,
    /// The name is empty or too long.
    #[error("a channel's name has 1 to 80 characters")]
    Name,
    /// There is another channel of this name.
    #[error("there is a channel of this name")]
    Taken,
    /// Priority or weight is out of range.
    #[error("a priority lies between 0 and 1000, a weight between 1 and 1000")]
    Order,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] DbErr),
}

/// Makes the channel what `wish` says.
pub async fn change(
    db: &Database,
    wish: ChangeChannel,
    actor: Actor,
    now: Timestamp,
) -> Result<(), ChangeChannelError> {
    let name = checked_name(&wish.name).ok_or(ChangeChannelError::Name)?;
    if !(0..=1000).contains(&wish.priority) || !(1..=1000).contains(&wish.weight) {
        return Err(ChangeChannelError::Order);
    }

    db.write(move |tx| {
        Box::pin(async move {
            if is_taken(tx, &name, wish.channel).await? {
                return Err(ChangeChannelError::Taken);
            }
            let secret_changed = wish.secret.is_some();
            let mut update = channel::Entity::change()
                .col_expr(channel::Column::Name, Expr::value(name.as_str()))
                .col_expr(
                    channel::Column::BaseUrl,
                    Expr::value(wish.base_url.as_str()),
                )
                .col_expr(channel::Column::Priority, Expr::value(wish.priority))
                .col_expr(channel::Column::Weight, Expr::value(wish.weight));
            if let Some(secret) = wish.secret {
                update = update
                    .col_expr(channel::Column::Secret, Expr::value(secret.bytes))
                    .col_expr(channel::Column::SecretHint, Expr::value(secret.hint))
                    .col_expr(channel::Column::SecretSetAt, Expr::value(now));
            }
            let touched = update
                .filter(channel::Column::Id.eq(wish.channel))
                .exec(tx)
                .await?
                .rows_affected;
            if touched != 1 {
                return Err(ChangeChannelError::NoChannel);
            }
            if wish.moved {
                channel_key::Entity::remove()
                    .filter(channel_key::Column::ChannelId.eq(wish.channel))
                    .exec(tx)
                    .await?;
            }
            let entry = Entry {
                actor,
                action: "channel.change",
                subject: ("channel", wish.channel.to_string()),
                tenant: None,
                reason: None,
                detail: Some(serde_json::json!({
                    "name": name,
                    "base_url": wish.base_url,
                    "secret_changed": secret_changed,
                    "priority": wish.priority,
                    "weight": wish.weight,
                })),
            };
            audit_trail::append(tx, entry, now).await?;
            Ok(())
        })
    })
    .await
}
