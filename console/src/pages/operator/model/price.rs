//! Sets a model's price by hand, and shows the earlier ones.

use crate::{
    Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::operator::{badge, field},
    words::{Phrase, format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::{
    rating::Tiers,
    shop::{
        model::{NewPrice, SetPriceError, set_price},
        price_table::ListPrice,
    },
};
use entity::{Credits, Database, ModelId, Platform, model, price_version};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Deserialize;

const HISTORY_ROWS: u64 = 20;

#[derive(Template)]
#[template(path = "page/operator/price.html")]
struct Price {
    page: Page,
    name: String,
    form: Entered,
    faults: Faults,
    long: Option<Phrase>,
    history: Vec<Earlier>,
}

struct Earlier {
    since: format::Moment,
    input: String,
    output: String,
    cache_read: Option<String>,
    source: Phrase,
    note: String,
}

/// The form as sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Entered {
    input: String,
    output: String,
    cache_read: String,
    cache_write_short: String,
    cache_write_long: String,
    per_request: String,
    note: String,
}

impl Entered {
    fn of(price: &price_version::Model) -> Self {
        let credits = |nanos: i64| Credits::from_nanos(nanos).to_string();
        let optional = |nanos: Option<i64>| nanos.map(credits).unwrap_or_default();
        Self {
            input: credits(price.input),
            output: credits(price.output),
            cache_read: optional(price.cache_read),
            cache_write_short: optional(price.cache_write_short),
            cache_write_long: optional(price.cache_write_long),
            per_request: credits(price.per_request),
            note: String::new(),
        }
    }

    fn read(
        &self,
        model: ModelId,
        before: Option<&price_version::Model>,
    ) -> Result<NewPrice, Faults> {
        let mut faults = Faults::none();
        let optional = |value: &str| field::optional(value, field::credits);
        let input = faults.take("input", field::credits(&self.input));
        let output = faults.take("output", field::credits(&self.output));
        let cache_read = faults.take("cache_read", optional(&self.cache_read));
        let short = faults.take("cache_write_short", optional(&self.cache_write_short));
        let long = faults.take("cache_write_long", optional(&self.cache_write_long));
        let per_request = faults.take("per_request", optional(&self.per_request));
        let (Some(input), Some(output), Some(per_request)) = (input, output, per_request) else {
            return Err(faults);
        };
        if !faults.is_empty() {
            return Err(faults);
        }

        Ok(NewPrice {
            model,
            sale: ListPrice {
                input,
                cache_read: cache_read.flatten(),
                cache_write_short: short.flatten(),
                cache_write_long: long.flatten(),
                output,
            },
            long_prompt: None,
            per_request: per_request.unwrap_or(Credits::ZERO),
            cost: before.and_then(cost),
            source: price_version::Source::Manual,
            note: Some(self.note.trim().chars().take(200).collect::<String>())
                .filter(|note| !note.is_empty()),
        })
    }
}

/// What the upstream takes does not change with what callers pay.
fn cost(price: &price_version::Model) -> Option<ListPrice> {
    let credits = |nanos: Option<i64>| nanos.map(Credits::from_nanos);
    Some(ListPrice {
        input: credits(price.cost_input)?,
        cache_read: credits(price.cost_cache_read),
        cache_write_short: credits(price.cost_cache_write_short),
        cache_write_long: credits(price.cost_cache_write_long),
        output: credits(price.cost_output)?,
    })
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
    let form = history.first().map(Entered::of).unwrap_or_default();

    reply::page(&view(page, model, form, Faults::none(), &history))
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
    let Protected(form) = form;
    let price = match form.read(model.id, history.first()) {
        Ok(price) => price,
        Err(faults) => return reply::refused(&view(page, model, form, faults, &history)),
    };

    let outcome = set_price(&console.db, price, operator.0.actor(), console.clock.now()).await;

    match outcome {
        Ok(_) => Ok(reply::see_other(super::LIST)
            .flash(Tone::Good, phrase("op-price-done").with("name", model.name))),
        Err(SetPriceError::OutOfRange) => {
            let faults = Faults::of("input", phrase("op-fault-price"));
            reply::refused(&view(page, model, form, faults, &history))
        }
        Err(SetPriceError::NoModel) => Err(Error::NotFound),
        Err(SetPriceError::Store(error)) => Err(Error::Store(error)),
    }
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

fn view(
    page: Page,
    model: model::Model,
    form: Entered,
    faults: Faults,
    history: &[price_version::Model],
) -> Price {
    Price {
        page,
        name: model.name,
        form,
        faults,
        long: history.first().and_then(long_prompt),
        history: history.iter().map(Earlier::of).collect(),
    }
}

fn long_prompt(price: &price_version::Model) -> Option<Phrase> {
    let tiers: Tiers = serde_json::from_str(price.tiers.as_deref()?).ok()?;
    let tier = tiers.long_context?;
    let tokens = i64::try_from(tier.above).ok()?;
    Some(
        phrase("op-price-long")
            .with("tokens", format::count(tokens))
            .with("input", Credits::from_nanos(tier.input).to_string())
            .with("output", Credits::from_nanos(tier.output).to_string()),
    )
}

impl Earlier {
    fn of(price: &price_version::Model) -> Self {
        let credits = |nanos: i64| format::credits(Credits::from_nanos(nanos));
        Self {
            since: format::moment(price.effective_at),
            input: credits(price.input),
            output: credits(price.output),
            cache_read: price.cache_read.map(credits),
            source: badge::price_source(price.source),
            note: price.source_detail.clone().unwrap_or_default(),
        }
    }
}
