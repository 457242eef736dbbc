//! What the provider tells us: verified on the raw bytes, stored once, acknowledged, then worked off.
//!
//! An event is a reason to look, never a fact: its session is read from the provider and the order converges to that.
//! So duplicates, reordering and lost events do no harm.

use std::time::Duration;

use entity::payment_inbox::{ActiveModel, Column, Entity, Model, Status};
use entity::{Database, Platform, Timestamp, crash};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::order::{self, ApplyError, Hint};
use super::port::{PaymentProvider, ProviderFault};
use super::signature::{SignatureFault, WebhookSecrets, verify};

/// Events worked off in one run.
const DUE_MAX: u64 = 50;
/// Tries before an event is given up and an operator must look.
const ATTEMPTS_MAX: i64 = 20;
/// First wait between two tries; it doubles, up to the longest.
const BACKOFF_FIRST: Duration = Duration::from_secs(30);
const BACKOFF_LONGEST: Duration = Duration::from_hours(1);
/// Longest text kept from an event, in characters.
const TEXT_MAX: usize = 255;
/// Most events on one page.
const PAGE_MAX: u64 = 200;

/// What we read of an event; everything else in it may change without notice.
#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    livemode: bool,
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    object: EventObject,
}

#[derive(Deserialize)]
struct EventObject {
    #[serde(default)]
    id: Option<String>,
}

/// An event that is stored, and may be acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The provider's id of it.
    pub event_id: String,
    /// Whether it is worth processing now: new to us, and about something we follow.
    pub fresh: bool,
}

/// Why an event was not stored, and must not be acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// We have no secret, so there is nothing to check with.
    #[error("no webhook secret is configured")]
    NotConfigured,
    /// It is not believed.
    #[error(transparent)]
    Signature(SignatureFault),
    /// The database failed; the provider will send it again.
    #[error("the event was not stored: {0}")]
    Store(#[from] DbErr),
}

/// Verifies a webhook over its raw bytes and stores it, once for each event id.
///
/// What is signed and does not read is stored for an operator and acknowledged all the same: sending it again would
/// not mend it.
#[tracing::instrument(name = "inbox.receive", skip_all, fields(provider = provider))]
pub async fn receive(
    db: &Database,
    provider: &'static str,
    (raw, signature): (&[u8], &str),
    secrets: &WebhookSecrets,
    now: Timestamp,
) -> Result<Received, ReceiveError> {
    verify(raw, signature, secrets, now).map_err(|fault| match fault {
        SignatureFault::NotConfigured => ReceiveError::NotConfigured,
        other => ReceiveError::Signature(other),
    })?;
    let row = read(provider, raw, now);
    let event_id = row.event_id.clone();
    let follows = row.status == Status::Received;
    let inserted = db
        .write(move |tx| {
            Box::pin(async move {
                let once = OnConflict::columns([Column::Provider, Column::EventId])
                    .do_nothing()
                    .to_owned();
                Entity::insert(ActiveModel::from(row))
                    .on_conflict(once)
                    .exec_without_returning(tx)
                    .await
            })
        })
        .await?;
    crash::point("event stored");
    Ok(Received {
        event_id,
        fresh: follows && inserted == 1,
    })
}

fn read(provider: &str, raw: &[u8], now: Timestamp) -> Model {
    let blank = Model {
        provider: provider.to_owned(),
        event_id: String::new(),
        kind: "unreadable".to_owned(),
        object_id: None,
        livemode: false,
        body: raw.to_vec(),
        status: Status::Dead,
        attempts: 0,
        next_try_at: now,
        error: None,
        received_at: now,
        done_at: None,
    };
    match serde_json::from_slice::<Event>(raw) {
        Ok(event) => {
            let follows = event.data.object.id.is_some() && hint(&event.kind).is_some();
            Model {
                event_id: clip(&event.id),
                kind: clip(&event.kind),
                object_id: event.data.object.id.as_deref().map(clip),
                livemode: event.livemode,
                status: if follows {
                    Status::Received
                } else {
                    Status::Ignored
                },
                done_at: (!follows).then_some(now),
                ..blank
            }
        }
        Err(fault) => {
            tracing::error!(%fault, "a signed event does not read; it is kept for an operator");
            Model {
                event_id: format!("unreadable:{}", hex::encode(Sha256::digest(raw))),
                error: Some(clip(&fault.to_string())),
                ..blank
            }
        }
    }
}

/// The events we follow, and what each adds to what its session says. None for every other kind.
fn hint(kind: &str) -> Option<Hint> {
    match kind {
        "checkout.session.completed"
        | "checkout.session.expired"
        | "checkout.session.async_payment_succeeded" => Some(Hint::None),
        "checkout.session.async_payment_failed" => Some(Hint::PaymentFailed),
        _ => None,
    }
}

/// Works off one event, where it is due and nobody else is at it: what the webhook handler tries after storing.
/// Returns whether it was this call that did it.
#[tracing::instrument(name = "inbox.process", skip_all, fields(event.id = event_id))]
pub async fn process(
    db: &Database,
    provider: &dyn PaymentProvider,
    event_id: &str,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let event = Entity::every()
        .filter(Column::Provider.eq(provider.name()))
        .filter(Column::EventId.eq(event_id))
        .one(db.read())
        .await?;
    match event {
        Some(event) if is_due(&event, now) => work_off(db, provider, event, now).await,
        _ => Ok(false),
    }
}

/// Works off the events that are due, at most 50; returns how many. Any number of replicas may run it at once.
#[tracing::instrument(name = "inbox.process_due", skip_all)]
pub async fn process_due(
    db: &Database,
    provider: &dyn PaymentProvider,
    now: Timestamp,
) -> Result<u32, DbErr> {
    let due = Entity::every()
        .filter(Column::Provider.eq(provider.name()))
        .filter(Column::Status.is_in([Status::Received, Status::Retry]))
        .filter(Column::NextTryAt.lte(now))
        .order_by_asc(Column::NextTryAt)
        .limit(DUE_MAX)
        .all(db.read())
        .await?;
    let mut done: u32 = 0;
    for event in due {
        if work_off(db, provider, event, now).await? {
            done = done.saturating_add(1);
        }
    }
    Ok(done)
}

fn is_due(event: &Model, now: Timestamp) -> bool {
    matches!(event.status, Status::Received | Status::Retry) && event.next_try_at <= now
}

async fn work_off(
    db: &Database,
    provider: &dyn PaymentProvider,
    event: Model,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let Some(event) = claim(db, event, now).await? else {
        return Ok(false);
    };
    crash::point("event claimed");
    let outcome = converge(db, provider, &event, now).await;
    if let Err(fault) = outcome {
        postpone(db, &event, &fault).await?;
    }
    Ok(true)
}

/// Takes the event for the length of one wait: whoever dies over it leaves it to the next.
async fn claim(db: &Database, event: Model, now: Timestamp) -> Result<Option<Model>, DbErr> {
    let attempts = event.attempts.saturating_add(1);
    let next_try_at = now.plus(backoff(attempts));
    let claimed = Model {
        attempts,
        next_try_at,
        ..event.clone()
    };
    let taken = db
        .write(move |tx| {
            Box::pin(async move {
                Entity::change()
                    .col_expr(Column::Attempts, Expr::value(attempts))
                    .col_expr(Column::NextTryAt, Expr::value(next_try_at))
                    .filter(Column::Provider.eq(event.provider))
                    .filter(Column::EventId.eq(event.event_id))
                    .filter(Column::Status.eq(event.status))
                    .filter(Column::Attempts.eq(event.attempts))
                    .exec(tx)
                    .await
            })
        })
        .await?;
    Ok((taken.rows_affected == 1).then_some(claimed))
}

/// Why an event has to wait.
#[derive(Debug, thiserror::Error)]
enum Setback {
    #[error(transparent)]
    Provider(#[from] ProviderFault),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(transparent)]
    Store(#[from] DbErr),
}

/// Reads the session from the provider, moves the order and closes the event in one transaction.
async fn converge(
    db: &Database,
    provider: &dyn PaymentProvider,
    event: &Model,
    now: Timestamp,
) -> Result<(), Setback> {
    let hint = hint(&event.kind).unwrap_or(Hint::None);
    let session = event.object_id.clone().unwrap_or_default();
    let view = provider.session(&session).await?;
    let name = provider.name();
    let key = event.event_id.clone();
    db.write(move |tx| {
        Box::pin(async move {
            let moved = order::apply_in(tx, name, &view, hint, now).await?;
            let status = if moved.is_some() {
                Status::Done
            } else {
                Status::Ignored
            };
            Entity::change()
                .col_expr(Column::Status, Expr::value(status))
                .col_expr(Column::Error, Expr::value(None::<String>))
                .col_expr(Column::DoneAt, Expr::value(now))
                .filter(Column::Provider.eq(name))
                .filter(Column::EventId.eq(key))
                .exec(tx)
                .await?;
            Ok(())
        })
    })
    .await
}

async fn postpone(db: &Database, event: &Model, fault: &Setback) -> Result<(), DbErr> {
    let over = event.attempts >= ATTEMPTS_MAX;
    if over {
        tracing::error!(event.id = event.event_id, %fault, "an event of the payment provider was given up");
    } else {
        tracing::warn!(event.id = event.event_id, %fault, "an event of the payment provider has to wait");
    }
    let status = if over { Status::Dead } else { Status::Retry };
    let (provider, key, attempts) = (
        event.provider.clone(),
        event.event_id.clone(),
        event.attempts,
    );
    let error = clip(&fault.to_string());
    db.write(move |tx| {
        Box::pin(async move {
            Entity::change()
                .col_expr(Column::Status, Expr::value(status))
                .col_expr(Column::Error, Expr::value(error))
                .filter(Column::Provider.eq(provider))
                .filter(Column::EventId.eq(key))
                .filter(Column::Attempts.eq(attempts))
                .filter(Column::Status.is_in([Status::Received, Status::Retry]))
                .exec(tx)
                .await?;
            Ok(())
        })
    })
    .await
}

fn backoff(attempts: i64) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1).clamp(0, 16)).unwrap_or(16);
    BACKOFF_FIRST
        .saturating_mul(2_u32.saturating_pow(doublings))
        .min(BACKOFF_LONGEST)
}

/// The newest events for operators, at most 200.
pub async fn list(db: &Database) -> Result<Vec<Model>, DbErr> {
    Entity::every()
        .order_by_desc(Column::ReceivedAt)
        .limit(PAGE_MAX)
        .all(db.read())
        .await
}

fn clip(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}
