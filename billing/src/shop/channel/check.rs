//! How a channel was found when it was looked at, and which of the models it lists nobody wants to hear of.

use entity::{ChannelId, Database, Platform, Timestamp, channel_check};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, Set, sea_query::Expr};

/// What a look at a channel found.
#[derive(Clone, Debug)]
pub struct Look {
    /// Which channel.
    pub channel: ChannelId,
    /// How long it took.
    pub took_ms: i64,
    /// The models it lists, or why it did not answer.
    pub found: Result<Vec<String>, String>,
}

/// Keeps what a look found; one row a channel.
pub async fn note(db: &Database, look: Look, now: Timestamp) -> Result<(), DbErr> {
    db.write(move |tx| {
        Box::pin(async move {
            let before = channel_check::Entity::every()
                .filter(channel_check::Column::ChannelId.eq(look.channel))
                .one(tx)
                .await?;
            let (listed, fault) = match look.found {
                Ok(listed) => (Some(serde_json::json!(listed).to_string()), None),
                Err(fault) => (None, Some(fault)),
            };
            let failures = match (&fault, &before) {
                (None, _) => 0,
                (Some(_), None) => 1,
                (Some(_), Some(before)) => before.failures.saturating_add(1),
            };
            let listed_at = listed
                .as_ref()
                .map(|_| now)
                .or(before.as_ref().and_then(|before| before.listed_at));
            let listed = listed.or(before.as_ref().and_then(|before| before.listed.clone()));
            if before.is_some() {
                channel_check::Entity::remove()
                    .filter(channel_check::Column::ChannelId.eq(look.channel))
                    .exec(tx)
                    .await?;
            }
            let row = channel_check::ActiveModel {
                channel_id: Set(look.channel),
                checked_at: Set(now),
                took_ms: Set(look.took_ms),
                failures: Set(failures),
                fault: Set(fault),
                listed: Set(listed),
                listed_at: Set(listed_at),
                ignored: Set(before.map_or_else(|| "[]".to_owned(), |before| before.ignored)),
            };
            channel_check::Entity::insert(row)
                .exec_without_returning(tx)
                .await?;
            Ok(())
        })
    })
    .await
}

/// Says no more of the models that the channel lists now.
pub async fn ignore_listed(db: &Database, channel: ChannelId) -> Result<(), DbErr> {
    db.write(move |tx| {
        Box::pin(async move {
            channel_check::Entity::change()
                .col_expr(
                    channel_check::Column::Ignored,
                    Expr::col(channel_check::Column::Listed),
                )
                .filter(channel_check::Column::ChannelId.eq(channel))
                .filter(channel_check::Column::Listed.is_not_null())
                .exec(tx)
                .await?;
            Ok(())
        })
    })
    .await
}
