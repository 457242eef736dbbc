//! How the cost of one finished call came about, what came back of it, and what else is known of it.

use super::rows;
use crate::{
    Error,
    frame::Page,
    words::{Phrase, format, phrase},
};
use billing::rating::{self, Class, Price, Tokens};
use entity::{
    Credits, Database, Platform, Protocol, Scoped, group, key, model, price_version,
    usage::{Model, Quality},
    usage_adjustment,
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder};
use std::time::Duration;

/// A call, ready to print.
pub(crate) struct Bill {
    pub cost: format::Amount,
    pub held: format::Amount,
    pub quality: Phrase,
    pub finish: Phrase,
    pub first_byte: String,
    pub duration: String,
    pub lines: Vec<Line>,
    pub multiplier: String,
    pub facts: Vec<Fact>,
    /// What came back of it, the oldest first.
    pub returned: Vec<Returned>,
    /// What it cost in the end.
    pub net: format::Amount,
}

/// One class of a price.
pub(crate) struct Line {
    pub class: Phrase,
    pub count: String,
    pub rate: String,
    pub subtotal: String,
}

/// One thing that is known.
pub(crate) struct Fact {
    pub name: Phrase,
    pub value: String,
}

/// Credits that came back.
pub(crate) struct Returned {
    pub time: format::Moment,
    pub amount: format::Amount,
    pub reason: String,
}

/// Reads what belongs to a call.
pub(crate) async fn read(db: &Database, page: &Page, call: &Model) -> Result<Bill, Error> {
    let returned = usage_adjustment::Entity::of(call.tenant_id)
        .filter(usage_adjustment::Column::UsageId.eq(call.id))
        .order_by_asc(usage_adjustment::Column::Id)
        .all(db.read())
        .await?;
    let net = returned.iter().fold(call.charge, |net, row| {
        net.checked_sub(row.amount).unwrap_or(Credits::ZERO)
    });
    Ok(Bill {
        cost: format::amount(call.charge),
        held: format::amount(call.hold_amount),
        quality: quality(call.quality),
        finish: rows::finish(call.finish),
        first_byte: call
            .first_byte_at
            .map_or_else(|| "–".to_owned(), |at| span(at.since(call.started_at))),
        duration: span(call.ended_at.since(call.started_at)),
        lines: lines(version(db, call).await?.as_ref(), call)?,
        multiplier: format::factor(call.multiplier_ppm),
        facts: facts(db, page, call).await?,
        returned: returned
            .into_iter()
            .map(|row| Returned {
                time: format::moment(row.created_at),
                amount: format::amount(row.amount),
                reason: row.reason,
            })
            .collect(),
        net: format::amount(net),
    })
}

/// The price at which a call was charged.
pub(crate) async fn version(
    db: &Database,
    call: &Model,
) -> Result<Option<price_version::Model>, DbErr> {
    price_version::Entity::every()
        .filter(price_version::Column::Id.eq(call.price_version_id))
        .one(db.read())
        .await
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

fn lines(version: Option<&price_version::Model>, call: &Model) -> Result<Vec<Line>, Error> {
    let Some(version) = version.filter(|_| !call.charge.is_zero()) else {
        return Ok(Vec::new());
    };
    let price = Price::of(version).map_err(|fault| Error::Internal(fault.to_string()))?;
    Ok(itemised(&price, call))
}

/// What a call comes to at a price, class by class.
pub(crate) fn itemised(price: &Price, call: &Model) -> Vec<Line> {
    rating::itemise(price, &tokens(call))
        .into_iter()
        .filter(|item| item.count > 0 && item.rate > 0)
        .map(|item| Line {
            class: class(item.class),
            count: format::count(i64::try_from(item.count).unwrap_or(i64::MAX)),
            rate: format::credits(Credits::from_nanos(item.rate)),
            subtotal: format::fine(item.exact),
        })
        .collect()
}

fn tokens(call: &Model) -> Tokens {
    let count = |tokens: i64| u64::try_from(tokens).unwrap_or(0);
    Tokens {
        input: count(call.input_tokens),
        input_audio: count(call.input_audio_tokens),
        input_image: count(call.input_image_tokens),
        cache_read: count(call.cache_read_tokens),
        cache_write_short: count(call.cache_write_short_tokens),
        cache_write_long: count(call.cache_write_long_tokens),
        output: count(call.output_tokens),
        reasoning: count(call.reasoning_tokens),
        output_audio: count(call.output_audio_tokens),
        output_image: count(call.output_image_tokens),
        web_searches: count(call.web_searches),
        file_searches: count(call.file_searches),
        requests: 1,
    }
}

fn class(class: Class) -> Phrase {
    match class {
        Class::Input => phrase("class-input"),
        Class::InputAudio => phrase("class-input-audio"),
        Class::InputImage => phrase("class-input-image"),
        Class::CacheRead => phrase("class-cache-read"),
        Class::CacheWriteShort => phrase("class-cache-write-short"),
        Class::CacheWriteLong => phrase("class-cache-write-long"),
        Class::Output => phrase("class-output"),
        Class::Reasoning => phrase("class-reasoning"),
        Class::OutputAudio => phrase("class-output-audio"),
        Class::OutputImage => phrase("class-output-image"),
        Class::WebSearch => phrase("class-web-search"),
        Class::FileSearch => phrase("class-file-search"),
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
