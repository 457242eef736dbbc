//! A new channel. The default group takes it at once, so that a fresh installation needs no second step.

use entity::{
    Actor, ChannelId, Database, Platform, Timestamp, Tx,
    audit_trail::{self, Entry},
    channel, group_channel,
};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, Set};

use crate::shop::group::ensure_default_in;

/// A secret as it is stored: sealed for one row and one host.
#[derive(Clone, Debug)]
pub struct SealedSecret {
    /// The sealed bytes.
    pub bytes: Vec<u8>,
    /// The last characters of the plain secret, for recognising it.
    pub hint: String,
}

/// A channel to add. The id is the caller's, for the secret is sealed to it.
#[derive(Clone, Debug)]
pub struct AddChannel {
    /// Its id.
    pub id: ChannelId,
    /// What operators call it.
    pub name: String,
    /// Which protocols it speaks.
    pub kind: channel::Kind,
    /// Where it is reached, without the endpoint; empty for the sandbox.
    pub base_url: String,
    /// The secret; none for the sandbox and for open servers of one's own.
    pub secret: Option<SealedSecret>,
    /// How it wants to be asked, and how much.
    pub options: channel::Options,
}

/// Why a channel was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddChannelError {
    /// The name is empty or too long.
    #[error("a channel's name has 1 to 80 characters")]
    Name,
    /// There is a channel of this name.
    #[error("there is a channel of this name")]
    Taken,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] DbErr),
}

/// Adds an active channel and puts it on the default group's shelf.
pub async fn add(
    db: &Database,
    order: AddChannel,
    actor: Actor,
    now: Timestamp,
) -> Result<(), AddChannelError> {
    let name = checked_name(&order.name).ok_or(AddChannelError::Name)?;

    db.write(move |tx| {
        Box::pin(async move {
            if is_taken(tx, &name, order.id).await? {
                return Err(AddChannelError::Taken);
            }
            let secret = order.secret;
            let row = channel::ActiveModel {
                id: Set(order.id),
                name: Set(name.clone()),
                kind: Set(order.kind),
                base_url: Set(order.base_url.clone()),
                secret_set_at: Set(secret.as_ref().map(|_| now)),
                secret_hint: Set(secret.as_ref().map(|secret| secret.hint.clone())),
                secret: Set(secret.map(|secret| secret.bytes)),
                status: Set(channel::Status::Active),
                status_reason: Set(None),
                priority: Set(0),
                weight: Set(1),
                options: Set(order.options.to_json()),
                created_at: Set(now),
            };
            channel::Entity::insert(row)
                .exec_without_returning(tx)
                .await?;
            shelve(tx, order.id, now).await?;
            let entry = Entry {
                actor,
                action: "channel.add",
                subject: ("channel", order.id.to_string()),
                tenant: None,
                reason: None,
                detail: Some(serde_json::json!({
                    "name": name,
                    "kind": order.kind,
                    "base_url": order.base_url,
                })),
            };
            audit_trail::append(tx, entry, now).await?;
            Ok(())
        })
    })
    .await
}

pub(super) fn checked_name(name: &str) -> Option<String> {
    let name = name.trim();
    (1..=80)
        .contains(&name.chars().count())
        .then(|| name.to_owned())
}

pub(super) async fn is_taken(tx: &Tx, name: &str, by_other_than: ChannelId) -> Result<bool, DbErr> {
    let found = channel::Entity::every()
        .filter(channel::Column::Name.eq(name))
        .filter(channel::Column::Id.ne(by_other_than))
        .one(tx)
        .await?;
    Ok(found.is_some())
}

async fn shelve(tx: &Tx, channel: ChannelId, now: Timestamp) -> Result<(), DbErr> {
    let row = group_channel::ActiveModel {
        group_id: Set(ensure_default_in(tx, now).await?),
        channel_id: Set(channel),
    };
    group_channel::Entity::insert(row)
        .exec_without_returning(tx)
        .await?;
    Ok(())
}
