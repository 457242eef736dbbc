//! One finished call, and how its cost came about: price times tokens of each class.

use super::rows;
use crate::{
    Error,
    frame::{Answer, Page, SignedIn, State, reply},
    words::{Phrase, format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::rating::{self, Class, Price, Tokens};
use entity::{
    Credits, Database, HoldId, Platform, Protocol, Scoped, group, key, model, price_version,
    usage::{Column, Entity, Model, Quality},
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter};
use std::time::Duration;

#[derive(Template)]
#[template(path = "page/usage/call.html")]
struct CallPage {
    page: Page,
    cost: format::Amount,
    held: format::Amount,
    quality: Phrase,
    finish: Phrase,
    first_byte: String,
    duration: String,
    lines: Vec<Line>,
    multiplier: String,
    facts: Vec<Fact>,
}

struct Line {
    class: Phrase,
    count: String,
    rate: String,
    subtotal: String,
}

struct Fact {
    name: Phrase,
    value: String,
}

/// Shows it.
pub(crate) async fn show(
    console: State,
    page: Page,
    member: SignedIn,
    path: web::Path<String>,
) -> Answer {
    let id: HoldId = path.parse().map_err(|_| Error::NotFound)?;
    let call = Entity::of(member.tenant())
        .filter(Column::Id.eq(id))
        .one(console.db.read())
        .await?
        .ok_or(Error::NotFound)?;

    reply::page(&CallPage {
        cost: format::amount(call.charge),
        held: format::amount(call.hold_amount),
        quality: quality(call.quality),
        finish: rows::finish(call.finish),
        first_byte: call
            .first_byte_at
            .map_or_else(|| "–".to_owned(), |at| span(at.since(call.started_at))),
        duration: span(call.ended_at.since(call.started_at)),
        lines: lines(&console.db, &call).await?,
        multiplier: format::factor(call.multiplier_ppm),
        facts: facts(&console.db, &page, &call).await?,
        page,
    })
}

fn span(time: Duration) -> String {
    let millis = time.as_millis();
    if millis < 1000 {
        format!("{millis} ms")
    } else {
        format!("{}.{} s", millis / 1000, millis % 1000 / 100)
    }
}

fn quality(quality: Quality) -> Phrase {
    match quality {
        Quality::Exact => phrase("quality-exact"),
        Quality::Counted => phrase("quality-counted"),
        Quality::Checkpoint => phrase("quality-checkpoint"),
        Quality::None => phrase("quality-none"),
    }
}

async fn lines(db: &Database, call: &Model) -> Result<Vec<Line>, Error> {
    if call.charge.is_zero() {
        return Ok(Vec::new());
    }
    let Some(version) = price_version::Entity::every()
        .filter(price_version::Column::Id.eq(call.price_version_id))
        .one(db.read())
        .await?
    else {
        return Ok(Vec::new());
    };
    let price = Price::of(&version).map_err(|fault| Error::Internal(fault.to_string()))?;
    let lines = rating::itemise(&price, &tokens(call)).into_iter();
    Ok(lines
        .filter(|item| item.count > 0 && item.rate > 0)
        .map(|item| Line {
            class: class(item.class),
            count: format::count(i64::try_from(item.count).unwrap_or(i64::MAX)),
            rate: if item.class == Class::Request {
                "–".to_owned()
            } else {
                format::credits(Credits::from_nanos(item.rate))
            },
            subtotal: format::fine(item.exact),
        })
        .collect())
}

fn tokens(call: &Model) -> Tokens {
    let count = |tokens: i64| u64::try_from(tokens).unwrap_or(0);
    Tokens {
        input: count(call.input_tokens),
        cache_read: count(call.cache_read_tokens),
        cache_write_short: count(call.cache_write_short_tokens),
        cache_write_long: count(call.cache_write_long_tokens),
        output: count(call.output_tokens),
        reasoning: count(call.reasoning_tokens),
        requests: 1,
    }
}

fn class(class: Class) -> Phrase {
    match class {
        Class::Input => phrase("class-input"),
        Class::CacheRead => phrase("class-cache-read"),
        Class::CacheWriteShort => phrase("class-cache-write-short"),
        Class::CacheWriteLong => phrase("class-cache-write-long"),
        Class::Output => phrase("class-output"),
        Class::Request => phrase("class-request"),
    }
}

async fn facts(db: &Database, page: &Page, call: &Model) -> Result<Vec<Fact>, DbErr> {
    let model = model::Entity::every()
        .filter(model::Column::Id.eq(call.model_id))
        .one(db.read())
        .await?;
    let key = key::Entity::of(call.tenant_id)
        .filter(key::Column::Id.eq(call.key_id))
        .one(db.read())
        .await?;
    let group = group::Entity::every()
        .filter(group::Column::Id.eq(call.group_id))
        .one(db.read())
        .await?;
    let streamed = if call.streamed {
        page.say("yes")
    } else {
        page.say("no")
    };
    let fact = |name, value| Fact { name, value };
    Ok(vec![
        fact(phrase("fact-time"), format::moment(call.started_at).text),
        fact(
            phrase("fact-model"),
            model.map_or_else(String::new, |model| model.name),
        ),
        fact(
            phrase("fact-key"),
            key.map_or_else(String::new, |key| key.name),
        ),
        fact(
            phrase("fact-group"),
            group.map_or_else(String::new, |group| group.title),
        ),
        fact(phrase("fact-protocol"), protocol(call.protocol).to_owned()),
        fact(phrase("fact-client"), call.client_kind.clone()),
        fact(phrase("fact-streamed"), streamed),
        fact(
            phrase("fact-reasoning"),
            format::count(call.reasoning_tokens),
        ),
        fact(phrase("fact-id"), call.id.to_string()),
    ])
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Chat => "Chat Completions",
        Protocol::Responses => "Responses",
        Protocol::Messages => "Messages",
        Protocol::Embeddings => "Embeddings",
    }
}
