//! A key that its upstream refuses is put aside alone; a channel without another one goes off. Either way the operators
//! get a letter, in the same transaction.

use entity::{
    Actor, ChannelId, ChannelKeyId, Database, Platform, Timestamp, Tx,
    audit_trail::{self, Entry},
    channel, channel_key, outbox, person,
};
use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, Set, UpdateMany, sea_query::Expr,
};

use super::switch::SwitchError;

/// The letter that tells operators of it; its payload holds the person, the channel and whether it is off.
pub const KEY_REFUSED_TOPIC: &str = "mail.key_refused";

/// Puts aside the key with this sealed secret, or the channel itself where it has none: a further key alone; in the place of
/// the first comes the oldest further one.
///
/// The secret says which key is meant, for places change hands: calls that met the same refused key must not take the next
/// one with it, nor one that was entered meanwhile.
///
/// # Errors
/// [`SwitchError::NothingToChange`] where no key that is drawn has this secret any more.
pub async fn refuse_key(
    db: &Database,
    channel: ChannelId,
    secret: Option<Vec<u8>>,
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
            let further = channel_key::Entity::every()
                .filter(channel_key::Column::ChannelId.eq(channel))
                .filter(channel_key::Column::Status.eq(channel_key::Status::Active))
                .order_by_asc(channel_key::Column::Id)
                .all(tx)
                .await?;
            let (action, off) = if row.secret == secret {
                if let Some(heir) = further.into_iter().next() {
                    replace(tx, &row, heir, &reason, now).await?;
                    ("channel.refuse_key", false)
                } else {
                    switch_off(tx, &row, &reason).await?;
                    ("channel.disable", true)
                }
            } else {
                let refused = further
                    .into_iter()
                    .find(|key| Some(&key.secret) == secret.as_ref())
                    .ok_or(SwitchError::NothingToChange)?;
                set_aside(tx, refused.id, &reason).await?;
                ("channel.refuse_key", false)
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
) -> Result<(), SwitchError> {
    let change = channel::Entity::change()
        .col_expr(channel::Column::Secret, Expr::value(heir.secret))
        .col_expr(channel::Column::SecretHint, Expr::value(heir.hint))
        .col_expr(channel::Column::SecretSetAt, Expr::value(heir.created_at));
    claim(tx, row, change).await?;
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
    Ok(())
}

async fn switch_off(tx: &Tx, row: &channel::Model, reason: &str) -> Result<(), SwitchError> {
    let change = channel::Entity::change()
        .col_expr(
            channel::Column::Status,
            Expr::value(channel::Status::Disabled),
        )
        .col_expr(channel::Column::StatusReason, Expr::value(reason));
    claim(tx, row, change).await
}

/// Changes the row as long as it is active with the secret that was refused: of two that ask at once, one has it.
async fn claim(
    tx: &Tx,
    row: &channel::Model,
    change: UpdateMany<channel::Entity>,
) -> Result<(), SwitchError> {
    let same = match row.secret.clone() {
        Some(secret) => channel::Column::Secret.eq(secret),
        None => channel::Column::Secret.is_null(),
    };
    let touched = change
        .filter(channel::Column::Id.eq(row.id))
        .filter(channel::Column::Status.eq(channel::Status::Active))
        .filter(same)
        .exec(tx)
        .await?
        .rows_affected;
    if touched == 1 {
        Ok(())
    } else {
        Err(SwitchError::NothingToChange)
    }
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
