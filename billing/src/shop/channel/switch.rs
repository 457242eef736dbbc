//! Switches a channel on and off; it binds at the next call.

use entity::{
    Actor, ChannelId, Database, Platform, Timestamp,
    audit_trail::{self, Entry},
    channel,
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, sea_query::Expr};

/// Why a channel's status did not change.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// There is no such channel, or it is on or off already.
    #[error("no such channel, or nothing to change")]
    NothingToChange,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] DbErr),
}

/// Lets calls go to the channel.
pub async fn enable(
    db: &Database,
    channel: ChannelId,
    actor: Actor,
    now: Timestamp,
) -> Result<(), SwitchError> {
    let off = channel::Status::Disabled;
    switch(
        db,
        channel,
        (off, channel::Status::Active),
        None,
        line("channel.enable", channel, actor, None),
        now,
    )
    .await
}

/// Sends no more calls to the channel; running ones end as they would have.
pub async fn disable(
    db: &Database,
    channel: ChannelId,
    reason: Option<String>,
    actor: Actor,
    now: Timestamp,
) -> Result<(), SwitchError> {
    let entry = line("channel.disable", channel, actor, reason.clone());
    let on = channel::Status::Active;
    switch(
        db,
        channel,
        (on, channel::Status::Disabled),
        reason,
        entry,
        now,
    )
    .await
}

fn line(action: &'static str, channel: ChannelId, actor: Actor, reason: Option<String>) -> Entry {
    Entry {
        actor,
        action,
        subject: ("channel", channel.to_string()),
        tenant: None,
        reason,
        detail: None,
    }
}

async fn switch(
    db: &Database,
    channel: ChannelId,
    (from, to): (channel::Status, channel::Status),
    reason: Option<String>,
    entry: Entry,
    now: Timestamp,
) -> Result<(), SwitchError> {
    db.write(move |tx| {
        Box::pin(async move {
            let touched = channel::Entity::change()
                .col_expr(channel::Column::Status, Expr::value(to))
                .col_expr(channel::Column::StatusReason, Expr::value(reason))
                .filter(channel::Column::Id.eq(channel))
                .filter(channel::Column::Status.eq(from))
                .exec(tx)
                .await?
                .rows_affected;
            if touched != 1 {
                return Err(SwitchError::NothingToChange);
            }
            audit_trail::append(tx, entry, now).await?;
            Ok(())
        })
    })
    .await
}
