//! Sets a model's price by hand, now or from a later moment on, and shows the others.

use super::price_form::{Entered, Field};
use crate::{
    Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::operator::badge::{self, Badge},
    words::{Phrase, format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::shop::model::{SetPriceError, sale_of, set_price};
use entity::{Credits, Database, ModelId, Platform, Timestamp, model, price_version};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect};

const HISTORY_ROWS: u64 = 20;

#[derive(Template)]
#[template(path = "page/operator/price.html")]
struct Price {
    page: Page,
    name: String,
    sale: Vec<Field>,
    further: Vec<Field>,
    cost: Vec<Field>,
    form: Entered,
    faults: Faults,
    history: Vec<Earlier>,
}

struct Earlier {
    since: format::Moment,
    badge: Option<Badge>,
    input: String,
    output: String,
    cache_read: Option<String>,
    more: Vec<Phrase>,
    source: Phrase,
    note: String,
}

/// The form, filled with the present price.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<ModelId>,
) -> Answer {
    let model = super::found(&console, path.into_inner()).await?;
    let history = history(&console.db, model.id).await?;
    let now = console.clock.now();
    let present = in_force(&history, now).or_else(|| history.first());
    let form = present.map(Entered::of).unwrap_or_default();

    reply::page(&view(page, model, form, Faults::none(), (&history, now)))
}

/// The form sent.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    path: web::Path<ModelId>,
    form: Protected<Entered>,
) -> Answer {
    let model = super::found(&console, path.into_inner()).await?;
    let history = history(&console.db, model.id).await?;
    let now = console.clock.now();
    let Protected(form) = form;
    let price = match form.read(model.id, now) {
        Ok(price) => price,
        Err(faults) => {
            return reply::refused(&view(page, model, form, faults, (&history, now)));
        }
    };

    let planned = price.effective_at.is_some();
    let outcome = set_price(&console.db, price, operator.0.actor(), now).await;

    let faults = match outcome {
        Ok(_) => {
            let done = if planned {
                phrase("op-price-planned")
            } else {
                phrase("op-price-done")
            };
            return Ok(
                reply::see_other(super::LIST).flash(Tone::Good, done.with("name", model.name))
            );
        }
        Err(SetPriceError::OutOfRange) => Faults::of("input", phrase("op-fault-price")),
        Err(SetPriceError::Lengths) => {
            Faults::of("lengths", phrase("op-fault-lengths").with("line", ""))
        }
        Err(SetPriceError::Moment) => Faults::of("from", phrase("op-fault-moment")),
        Err(SetPriceError::NoModel) => return Err(Error::NotFound),
        Err(SetPriceError::Store(error)) => return Err(Error::Store(error)),
    };
    reply::refused(&view(page, model, form, faults, (&history, now)))
}

async fn history(db: &Database, model: ModelId) -> Result<Vec<price_version::Model>, Error> {
    let prices = price_version::Entity::every()
        .filter(price_version::Column::ModelId.eq(model))
        .order_by_desc(price_version::Column::EffectiveAt)
        .order_by_desc(price_version::Column::Id)
        .limit(HISTORY_ROWS)
        .all(db.read())
        .await?;
    Ok(prices)
}

/// Of prices, the latest first, the one that holds now.
fn in_force(history: &[price_version::Model], now: Timestamp) -> Option<&price_version::Model> {
    history.iter().find(|price| price.effective_at <= now)
}

fn view(
    page: Page,
    model: model::Model,
    form: Entered,
    faults: Faults,
    (history, now): (&[price_version::Model], Timestamp),
) -> Price {
    let present = in_force(history, now).map(|price| price.id);
    let [sale, further] = form.sale(&page);
    Price {
        name: model.name,
        sale,
        further,
        cost: form.cost(&page),
        form,
        faults,
        history: history
            .iter()
            .map(|price| Earlier {
                badge: if price.effective_at > now {
                    Some(badge::price_planned())
                } else {
                    (present == Some(price.id)).then(badge::price_present)
                },
                ..Earlier::of(price)
            })
            .collect(),
        page,
    }
}

impl Earlier {
    fn of(price: &price_version::Model) -> Self {
        let credits = |nanos: i64| format::credits(Credits::from_nanos(nanos));
        Self {
            since: format::moment(price.effective_at),
            badge: None,
            input: credits(price.input),
            output: credits(price.output),
            cache_read: price.cache_read.map(credits),
            more: more(price),
            source: badge::price_source(price.source),
            note: price.source_detail.clone().unwrap_or_default(),
        }
    }
}

/// What else a price states, each class by its name.
pub(super) fn more(price: &price_version::Model) -> Vec<Phrase> {
    let Ok(sheet) = sale_of(price) else {
        return vec![phrase("op-price-broken")];
    };
    let base = &sheet.base;
    let named = [
        ("op-price-more-short", base.cache_write_short),
        ("op-price-more-long", base.cache_write_long),
        ("op-price-more-reasoning", base.reasoning),
        ("op-price-more-input-audio", base.input_audio),
        ("op-price-more-input-image", base.input_image),
        ("op-price-more-output-audio", base.output_audio),
        ("op-price-more-output-image", base.output_image),
        ("op-price-more-web-search", base.web_search),
        ("op-price-more-file-search", base.file_search),
        (
            "op-price-more-request",
            Some(sheet.per_request).filter(|price| price.is_positive()),
        ),
    ];
    let classes = named.into_iter().filter_map(|(id, price)| {
        let price = format::credits(price?);
        Some(phrase(id).with("price", price))
    });
    let longer = sheet.long_prompt.iter().map(|(above, price)| {
        phrase("op-import-long")
            .with(
                "tokens",
                format::count(i64::try_from(*above).unwrap_or(i64::MAX)),
            )
            .with("input", price.input.to_string())
            .with("output", price.output.to_string())
    });
    classes.chain(longer).collect()
}
