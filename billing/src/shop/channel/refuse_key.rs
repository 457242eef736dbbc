//! A key that its upstream refuses is put aside alone; a channel without another one goes off. Either way the operators
//! get a letter, in the same transaction.

use entity::{
    Actor, ChannelId, ChannelKeyId, Database, Platform, Timestamp, Tx,
    audit_trail::{self, Entry},
    channel, channel_key, outbox, person,
};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, Set, sea_query::Expr};

use super::switch::SwitchError;

/// The letter that tells operators of it; its payload holds the person, the channel and whether it is off.
pub const KEY_REFUSED_TOPIC: &str = "mail.key_refused";

/// Puts one key aside: a further one, or, where none is named, the channel's first, whose place the oldest further one
/// takes.
///
/// # Errors
/// [`SwitchError::NothingToChange`] where somebody was faster.
pub async fn refuse_key(
    db: &Database,
    channel: ChannelId,
    key: Option<ChannelKeyId>,
    reason: String,
    now: Timestamp,
) -> Result<(), SwitchError> {
    db.write(move |tx| {
        Box::pin(async move {
            let row = channel::Entity::every()
                .filter(channel::Column::Id.eq(channel))
                .filter(channel::Column::Status.eq(channel::Status::Active))
                .one(tx)
                .await?
                .ok_or(SwitchError::NothingToChange)?;
            let heir = channel_key::Entity::every()
                .filter(channel_key::Column::ChannelId.eq(channel))
                .filter(channel_key::Column::Status.eq(channel_key::Status::Active))
                .order_by_asc(channel_key::Column::Id)
                .one(tx)
                .await?;
            let (action, off) = match (key, heir) {
                (Some(key), _) => {
                    set_aside(tx, key, &reason).await?;
                    ("channel.refuse_key", false)
                }
                (None, Some(heir)) => {
                    replace(tx, &row, heir, &reason, now).await?;
                    ("channel.refuse_key", false)
                }
                (None, None) => {
                    switch_off(tx, channel, &reason).await?;
                    ("channel.disable", true)
                }
            };
            let entry = Entry {
                actor: Actor::System,
                action,
                subject: ("channel", channel.to_string()),
                tenant: None,
                reason: Some(reason),
                detail: None,
            };
            audit_trail::append(tx, entry, now).await?;
            alert(tx, channel, off, now).await?;
            Ok(())
        })
    })
    .await
}

async fn set_aside(tx: &Tx, key: ChannelKeyId, reason: &str) -> Result<(), SwitchError> {
    let touched = channel_key::Entity::change()
        .col_expr(
            channel_key::Column::Status,
            Expr::value(channel_key::Status::Refused),
        )
        .col_expr(channel_key::Column::StatusReason, Expr::value(reason))
        .filter(channel_key::Column::Id.eq(key))
        .filter(channel_key::Column::Status.eq(channel_key::Status::Active))
        .exec(tx)
        .await?
        .rows_affected;
    if touched == 1 {
        Ok(())
    } else {
        Err(SwitchError::NothingToChange)
    }
}

/// The further key becomes the first; the first, where there is one, is kept as a further one that is not drawn.
async fn replace(
    tx: &Tx,
    row: &channel::Model,
    heir: channel_key::Model,
    reason: &str,
    now: Timestamp,
) -> Result<(), DbErr> {
    channel_key::Entity::remove()
        .filter(channel_key::Column::Id.eq(heir.id))
        .exec(tx)
        .await?;
    if let Some(secret) = &row.secret {
        let aside = channel_key::ActiveModel {
            id: Set(ChannelKeyId::fresh()),
            channel_id: Set(row.id),
            secret: Set(secret.clone()),
            hint: Set(row.secret_hint.clone().unwrap_or_default()),
            status: Set(channel_key::Status::Refused),
            status_reason: Set(Some(reason.to_owned())),
            created_at: Set(row.secret_set_at.unwrap_or(now)),
        };
        channel_key::Entity::insert(aside)
            .exec_without_returning(tx)
            .await?;
    }
    channel::Entity::change()
        .col_expr(channel::Column::Secret, Expr::value(heir.secret))
        .col_expr(channel::Column::SecretHint, Expr::value(heir.hint))
        .col_expr(channel::Column::SecretSetAt, Expr::value(heir.created_at))
        .filter(channel::Column::Id.eq(row.id))
        .exec(tx)
        .await?;
    Ok(())
}

async fn switch_off(tx: &Tx, channel: ChannelId, reason: &str) -> Result<(), DbErr> {
    channel::Entity::change()
        .col_expr(
            channel::Column::Status,
            Expr::value(channel::Status::Disabled),
        )
        .col_expr(channel::Column::StatusReason, Expr::value(reason))
        .filter(channel::Column::Id.eq(channel))
        .exec(tx)
        .await?;
    Ok(())
}

async fn alert(tx: &Tx, channel: ChannelId, off: bool, now: Timestamp) -> Result<(), DbErr> {
    let operators = person::Entity::every()
        .filter(person::Column::PlatformRole.eq(person::PlatformRole::Operator))
        .filter(person::Column::Status.eq(person::Status::Active))
        .all(tx)
        .await?;
    for operator in operators {
        let payload = serde_json::json!({
            "person": operator.id,
            "channel": channel,
            "off": off,
        });
        outbox::put(tx, KEY_REFUSED_TOPIC, &payload, now).await?;
    }
    Ok(())
}
