//! The outbox worked off: each letter is written when its turn comes, sent, and marked; what does not leave is tried
//! again with growing pauses and laid aside in the end.

use super::{
    letter::{self, Facts, Line},
    post::{Letter, MailFault},
};
use crate::{
    Console,
    words::{Locale, format, phrase},
};
use billing::{
    audit::nightly::{self, ALERT_TOPIC},
    payment::Money,
    shop::channel::KEY_REFUSED_TOPIC,
};
use entity::{
    ChannelId, Database, OrderId, OutboxId, PersonId, Platform, Scoped, Timestamp, channel,
    email_token::Purpose,
    member, order,
    outbox::{Column, Entity, Model, Status},
    person,
};
use identity::email_token::{self, RECOVER_TOPIC, VERIFY_TOPIC};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};
use serde::Deserialize;
use std::time::Duration;

const RECEIPT_TOPIC: &str = "mail.receipt";

/// Letters a turn.
const BATCH: u64 = 20;

/// After so many tries a letter is laid aside for an operator to look at.
const TRIES: i64 = 12;

const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// Longest fault kept beside a letter, in characters.
const FAULT_MAX: usize = 300;

/// What a turn did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Letters that left, or that nobody needs any more.
    pub done: u32,
    /// Letters to be tried again.
    pub failed: u32,
    /// Letters laid aside for good.
    pub dead: u32,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the payload cannot be read: {0}")]
    Payload(#[from] serde_json::Error),
    #[error("the topic is unknown")]
    Topic,
    #[error("the letter cannot be written: {0}")]
    Template(#[from] askama::Error),
    #[error(transparent)]
    Mail(#[from] MailFault),
    #[error("the store failed: {0}")]
    Store(#[from] DbErr),
}

#[derive(Deserialize)]
struct ToPerson {
    person: PersonId,
}

#[derive(Deserialize)]
struct OfChannel {
    person: PersonId,
    channel: ChannelId,
    off: bool,
}

#[derive(Deserialize)]
struct OfOrder {
    order: OrderId,
}

/// Sends what is due, at most a batch. Run by one job at a time.
///
/// # Errors
/// When the outbox cannot be read or marked; a letter that does not leave is no error.
#[tracing::instrument(name = "mail.deliver", skip_all)]
pub async fn deliver_due(console: &Console, now: Timestamp) -> Result<Delivered, DbErr> {
    let due = Entity::every()
        .filter(Column::Status.eq(Status::Pending))
        .filter(Column::Topic.starts_with("mail."))
        .filter(Column::NextTryAt.lte(now))
        .order_by_asc(Column::NextTryAt)
        .limit(BATCH)
        .all(console.db.read())
        .await?;
    let mut delivered = Delivered::default();
    for row in due {
        match deliver(console, &row, now).await {
            Ok(()) => {
                finish(&console.db, row.id, now).await?;
                delivered.done += 1;
            }
            Err(fault) => {
                tracing::warn!(outbox.id = %row.id, topic = row.topic, %fault, "a letter did not leave");
                if put_off(&console.db, &row, &fault, now).await? == Status::Dead {
                    delivered.dead += 1;
                } else {
                    delivered.failed += 1;
                }
            }
        }
    }
    Ok(delivered)
}

async fn deliver(console: &Console, row: &Model, now: Timestamp) -> Result<(), Fault> {
    let letter = match row.topic.as_str() {
        VERIFY_TOPIC => link_letter(console, row, Purpose::Verify, now).await?,
        RECOVER_TOPIC => link_letter(console, row, Purpose::Recover, now).await?,
        RECEIPT_TOPIC => receipt(console, row).await?,
        KEY_REFUSED_TOPIC => key_refused(console, row).await?,
        ALERT_TOPIC => alert(console, row).await?,
        _ => return Err(Fault::Topic),
    };
    if let Some(letter) = letter {
        console.post.send(letter, &row.id.to_string()).await?;
    }
    Ok(())
}

/// A letter with a link of its own; nothing where the person needs none any more.
async fn link_letter(
    console: &Console,
    row: &Model,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Option<Letter>, Fault> {
    let payload: ToPerson = serde_json::from_str(&row.payload)?;
    let Some(reader) = find_person(&console.db, payload.person).await? else {
        return Ok(None);
    };
    if purpose == Purpose::Verify && reader.email_verified_at.is_some() {
        return Ok(None);
    }
    let id = reader.id;
    let secret = console
        .db
        .write(move |tx| Box::pin(async move { email_token::mint_in(tx, id, purpose, now).await }))
        .await?;
    let path = match purpose {
        Purpose::Verify => "verify",
        Purpose::Recover => "recover",
    };
    let link = format!(
        "{}/console/{path}/{}",
        console.config.base_url(),
        secret.expose()
    );
    let facts = facts(console, &reader, link, Vec::new());
    Ok(Some(match purpose {
        Purpose::Verify => letter::verify(&facts, reader.email)?,
        Purpose::Recover => letter::recover(&facts, reader.email)?,
    }))
}

/// What the audit of the night found broken; nothing once a later one found all in order.
async fn alert(console: &Console, row: &Model) -> Result<Option<Letter>, Fault> {
    let payload: ToPerson = serde_json::from_str(&row.payload)?;
    let Some(reader) = find_person(&console.db, payload.person).await? else {
        return Ok(None);
    };
    let found = nightly::last(&console.db).await?;
    let broken = found.map(|found| found.broken).unwrap_or_default();
    if broken.is_empty() {
        return Ok(None);
    }
    let lines = broken.into_iter().map(|value| Line {
        name: phrase("mail-audit-law"),
        value,
    });
    let link = format!("{}/console/operator", console.config.base_url());
    let facts = facts(console, &reader, link, lines.collect());
    Ok(Some(letter::audit(&facts, reader.email)?))
}

async fn receipt(console: &Console, row: &Model) -> Result<Option<Letter>, Fault> {
    let payload: OfOrder = serde_json::from_str(&row.payload)?;
    let db = &console.db;
    let Some(order) = order::Entity::across_tenants()
        .filter(order::Column::Id.eq(payload.order))
        .one(db.read())
        .await?
    else {
        return Ok(None);
    };
    let Some(buyer) = member::Entity::of(order.tenant_id)
        .filter(member::Column::Id.eq(order.member_id))
        .one(db.read())
        .await?
    else {
        return Ok(None);
    };
    let Some(reader) = find_person(db, buyer.person_id).await? else {
        return Ok(None);
    };
    let link = format!("{}/console/orders/{}", console.config.base_url(), order.id);
    let facts = facts(console, &reader, link, lines(&order));
    Ok(Some(letter::receipt(&facts, reader.email)?))
}

/// Tells an operator that an upstream refused a channel's key; nothing where the channel is not there any more.
async fn key_refused(console: &Console, row: &Model) -> Result<Option<Letter>, Fault> {
    let payload: OfChannel = serde_json::from_str(&row.payload)?;
    let Some(reader) = find_person(&console.db, payload.person).await? else {
        return Ok(None);
    };
    let Some(channel) = channel::Entity::every()
        .filter(channel::Column::Id.eq(payload.channel))
        .one(console.db.read())
        .await?
    else {
        return Ok(None);
    };
    let link = format!(
        "{}/console/operator/channels/{}",
        console.config.base_url(),
        channel.id
    );
    let state = if payload.off {
        phrase("mail-key-refused-off")
    } else {
        phrase("mail-key-refused-on")
    };
    let mut facts = facts(console, &reader, link, Vec::new());
    facts.lines.push(Line {
        name: phrase("op-channel"),
        value: channel.name,
    });
    facts.lines.push(Line {
        name: phrase("op-status"),
        value: facts.locale.say_phrase(&state),
    });
    Ok(Some(letter::key_refused(&facts, reader.email)?))
}

fn lines(order: &order::Model) -> Vec<Line> {
    let money = |minor: i64| {
        Money::new(minor, &order.currency).map_or_else(
            |_| format!("{minor} {}", order.currency),
            |money| money.to_string(),
        )
    };
    let credits = order
        .credits
        .checked_add(order.bonus)
        .unwrap_or(order.credits);
    let paid_at = order.credited_at.unwrap_or(order.updated_at);
    let mut lines = vec![
        Line {
            name: phrase("order-number"),
            value: order.id.to_string(),
        },
        Line {
            name: phrase("col-time"),
            value: format::moment(paid_at).text,
        },
        Line {
            name: phrase("col-credits"),
            value: format::credits(credits),
        },
        Line {
            name: phrase("col-price"),
            value: money(order.amount_minor),
        },
    ];
    if order.tax_minor > 0 {
        lines.push(Line {
            name: phrase("mail-receipt-tax"),
            value: money(order.tax_minor),
        });
        lines.push(Line {
            name: phrase("mail-receipt-total"),
            value: money(order.amount_minor.saturating_add(order.tax_minor)),
        });
    }
    lines
}

fn facts(console: &Console, reader: &person::Model, link: String, lines: Vec<Line>) -> Facts {
    Facts {
        locale: Locale::parse(&reader.locale).unwrap_or(Locale::English),
        site: console.config.site_name.clone(),
        name: reader.display_name.clone(),
        link,
        lines,
    }
}

async fn find_person(db: &Database, id: PersonId) -> Result<Option<person::Model>, DbErr> {
    person::Entity::every()
        .filter(person::Column::Id.eq(id))
        .filter(person::Column::Status.eq(person::Status::Active))
        .one(db.read())
        .await
}

async fn finish(db: &Database, id: OutboxId, now: Timestamp) -> Result<(), DbErr> {
    db.write(move |tx| {
        Box::pin(async move {
            Entity::change()
                .col_expr(Column::Status, Expr::value(Status::Done))
                .col_expr(Column::DoneAt, Expr::value(now))
                .filter(Column::Id.eq(id))
                .exec(tx)
                .await?;
            Ok(())
        })
    })
    .await
}

async fn put_off(
    db: &Database,
    row: &Model,
    fault: &Fault,
    now: Timestamp,
) -> Result<Status, DbErr> {
    let tries = row.attempts.saturating_add(1);
    let status = match fault {
        Fault::Payload(_) | Fault::Topic => Status::Dead,
        Fault::Template(_) | Fault::Mail(_) | Fault::Store(_) if tries >= TRIES => Status::Dead,
        Fault::Template(_) | Fault::Mail(_) | Fault::Store(_) => Status::Pending,
    };
    let (id, next) = (row.id, now.plus(pause(tries)));
    let error: String = fault.to_string().chars().take(FAULT_MAX).collect();
    db.write(move |tx| {
        Box::pin(async move {
            Entity::change()
                .col_expr(Column::Status, Expr::value(status))
                .col_expr(Column::Attempts, Expr::value(tries))
                .col_expr(Column::NextTryAt, Expr::value(next))
                .col_expr(Column::Error, Expr::value(error))
                .filter(Column::Id.eq(id))
                .exec(tx)
                .await?;
            Ok::<_, DbErr>(())
        })
    })
    .await?;
    Ok(status)
}

/// Doubled from try to try.
fn pause(tries: i64) -> Duration {
    let doublings = u32::try_from(tries.saturating_sub(1)).unwrap_or(0).min(16);
    FIRST_PAUSE
        .saturating_mul(1 << doublings)
        .min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_an_hour() {
        let seconds: Vec<u64> = [1, 2, 3, 7, 8, 12, 100]
            .map(|tries| pause(tries).as_secs())
            .to_vec();

        assert_eq!(seconds, [30, 60, 120, 1920, 3600, 3600, 3600]);
    }
}
