//! Further keys of a channel: each sealed by itself, drawn in turn with the first.

use entity::{
    Actor, ChannelId, ChannelKeyId, Database, Platform, Timestamp,
    audit_trail::{self, Entry},
    channel, channel_key,
};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, Set};

use super::add::SealedSecret;

/// The most further keys a channel has.
pub const KEYS_MAX: u64 = 50;

/// Why a channel's keys stayed as they were.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no such channel or key, or the channel takes none.
    #[error("no such channel or key")]
    NotThere,
    /// The channel has [`KEYS_MAX`] already.
    #[error("a channel has at most {KEYS_MAX} further keys")]
    TooMany,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] DbErr),
}

/// Adds a key; it is drawn from the next call on.
pub async fn add_key(
    db: &Database,
    channel: ChannelId,
    secret: SealedSecret,
    actor: Actor,
    now: Timestamp,
) -> Result<(), KeyError> {
    db.write(move |tx| {
        Box::pin(async move {
            let row = channel::Entity::every()
                .filter(channel::Column::Id.eq(channel))
                .filter(channel::Column::Kind.ne(channel::Kind::Sandbox))
                .one(tx)
                .await?;
            if row.is_none() {
                return Err(KeyError::NotThere);
            }
            let there = channel_key::Entity::every()
                .filter(channel_key::Column::ChannelId.eq(channel))
                .count(tx)
                .await?;
            if there >= KEYS_MAX {
                return Err(KeyError::TooMany);
            }
            let row = channel_key::ActiveModel {
                id: Set(ChannelKeyId::fresh()),
                channel_id: Set(channel),
                secret: Set(secret.bytes),
                hint: Set(secret.hint.clone()),
                status: Set(channel_key::Status::Active),
                status_reason: Set(None),
                created_at: Set(now),
            };
            channel_key::Entity::insert(row)
                .exec_without_returning(tx)
                .await?;
            let entry = line("channel.add_key", channel, &secret.hint, actor);
            audit_trail::append(tx, entry, now).await?;
            Ok(())
        })
    })
    .await
}

/// Removes a key; running calls end as they would have.
pub async fn remove_key(
    db: &Database,
    channel: ChannelId,
    key: ChannelKeyId,
    actor: Actor,
    now: Timestamp,
) -> Result<(), KeyError> {
    db.write(move |tx| {
        Box::pin(async move {
            let row = channel_key::Entity::every()
                .filter(channel_key::Column::Id.eq(key))
                .filter(channel_key::Column::ChannelId.eq(channel))
                .one(tx)
                .await?
                .ok_or(KeyError::NotThere)?;
            channel_key::Entity::remove()
                .filter(channel_key::Column::Id.eq(key))
                .exec(tx)
                .await?;
            let entry = line("channel.remove_key", channel, &row.hint, actor);
            audit_trail::append(tx, entry, now).await?;
            Ok(())
        })
    })
    .await
}

fn line(action: &'static str, channel: ChannelId, hint: &str, actor: Actor) -> Entry {
    Entry {
        actor,
        action,
        subject: ("channel", channel.to_string()),
        tenant: None,
        reason: None,
        detail: Some(serde_json::json!({ "hint": hint })),
    }
}
