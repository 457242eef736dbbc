//! Looks at channels: on a schedule by asking for the list of models, which costs nothing, and by the command line with
//! one small real call.

use crate::{
    Console,
    pages::operator::channel::{
        test,
        upstream::{self, Wire},
    },
    words::Locale,
};
use billing::shop::channel::check::{Look, note};
use entity::{Database, Platform, Timestamp, channel};
use futures_util::{StreamExt, stream};
use identity::seal::MasterKey;
use outbound::Outbound;
use sea_orm::{ColumnTrait, DbErr, QueryFilter};
use std::time::Instant;

/// Channels that are looked at side by side.
const AT_ONCE: usize = 4;
/// Models of a provider that are remembered.
const LISTED_MAX: usize = 2_000;

/// Asks every channel that is on for its models, and keeps what it found. Run by one job at a time.
///
/// # Errors
/// When the database does not answer; a channel that does not is no error.
#[tracing::instrument(name = "channel.probe", skip_all)]
pub async fn look(console: &Console, now: Timestamp) -> Result<(), DbErr> {
    let channels = channel::Entity::every()
        .filter(channel::Column::Status.eq(channel::Status::Active))
        .filter(channel::Column::Kind.ne(channel::Kind::Sandbox))
        .all(console.db.read())
        .await?;
    let looks = stream::iter(channels).map(|channel| async move {
        let begun = Instant::now();
        let found = upstream::models(console.wire(), &channel).await;
        Look {
            channel: channel.id,
            took_ms: i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX),
            found: found
                .map(|mut names| {
                    names.truncate(LISTED_MAX);
                    names
                })
                .map_err(|fault| Locale::English.say_phrase(&fault)),
        }
    });
    let looks: Vec<Look> = looks.buffer_unordered(AT_ONCE).collect().await;
    for look in looks {
        if let Err(fault) = &look.found {
            tracing::warn!(channel.id = %look.channel, %fault, "a channel did not answer");
        }
        note(&console.db, look, now).await?;
    }
    Ok(())
}

/// Why a channel could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum TryError {
    /// There is no channel of this name.
    #[error("there is no channel of this name")]
    NoChannel,
    /// What went wrong, for a person to read.
    #[error("{0}")]
    Failed(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] DbErr),
}

/// Makes one small real call over the channel of this name, and says what came of it.
///
/// # Errors
/// [`TryError`].
pub async fn try_channel(
    db: &Database,
    outbound: &Outbound,
    master: &MasterKey,
    name: &str,
) -> Result<String, TryError> {
    let channel = channel::Entity::every()
        .filter(channel::Column::Name.eq(name))
        .one(db.read())
        .await?
        .ok_or(TryError::NoChannel)?;
    let told = test::run(db, Wire { outbound, master }, &channel, "").await?;
    let said = |phrase| Locale::English.say_phrase(phrase);
    match told {
        Ok(told) => Ok(said(&told)),
        Err(told) => Err(TryError::Failed(said(&told))),
    }
}
