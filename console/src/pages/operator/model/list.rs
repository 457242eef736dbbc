//! All models with their prices and how many channels serve them.

use crate::{
    Error,
    frame::{Answer, Page, State, Support, reply},
    pages::operator::{
        badge::{self, Badge},
        listing::Query,
    },
    words::{Phrase, format},
};
use actix_web::web;
use askama::Template;
use entity::{
    Credits, Database, ModelId, Platform, Timestamp, channel_model, model, price_version,
};
use sea_orm::{
    ColumnTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, Func, LikeExpr},
};
use std::collections::HashMap;

/// Models on the one page there is.
const ROWS_MAX: u64 = 500;

#[derive(Template)]
#[template(path = "page/operator/models.html")]
struct Models {
    page: Page,
    query: Query,
    rows: Vec<Row>,
}

struct Row {
    id: String,
    name: String,
    badge: Badge,
    reason: Option<String>,
    blocked: bool,
    price: Option<Price>,
    channels: usize,
}

struct Price {
    input: String,
    output: String,
    cache_read: Option<String>,
    source: Phrase,
}

/// The list.
pub(crate) async fn show(
    page: Page,
    _support: Support,
    console: State,
    query: web::Query<Query>,
) -> Answer {
    let query = query.into_inner();
    let rows = rows(&console.db, &query, console.clock.now()).await?;

    reply::page(&Models { page, query, rows })
}

async fn rows(db: &Database, query: &Query, now: Timestamp) -> Result<Vec<Row>, Error> {
    let mut select = model::Entity::every();
    if let Some(pattern) = query.pattern() {
        let name = Expr::expr(Func::lower(Expr::col(model::Column::Name)));
        select = select.filter(name.like(LikeExpr::new(pattern).escape('\\')));
    }
    let models = select
        .order_by_asc(model::Column::Name)
        .limit(ROWS_MAX)
        .all(db.read())
        .await?;
    let mut prices = prices(db, now).await?;
    let mut channels: HashMap<ModelId, usize> = HashMap::new();
    for served in channel_model::Entity::every().all(db.read()).await? {
        *channels.entry(served.model_id).or_default() += 1;
    }

    Ok(models
        .into_iter()
        .map(|model| Row {
            id: model.id.to_string(),
            badge: badge::model(model.status),
            blocked: model.status == model::Status::Blocked,
            price: prices.remove(&model.id).map(|price| Price {
                input: credits(price.input),
                output: credits(price.output),
                cache_read: price.cache_read.map(credits),
                source: badge::price_source(price.source),
            }),
            channels: channels.get(&model.id).copied().unwrap_or_default(),
            name: model.name,
            reason: model.status_reason,
        })
        .collect())
}

/// The price of each model that holds at `now`.
async fn prices(
    db: &Database,
    now: Timestamp,
) -> Result<HashMap<ModelId, price_version::Model>, Error> {
    // The oldest first, so that the newest of a model is what the map keeps.
    let prices = price_version::Entity::every()
        .filter(price_version::Column::EffectiveAt.lte(now))
        .order_by_asc(price_version::Column::EffectiveAt)
        .order_by_asc(price_version::Column::Id)
        .all(db.read())
        .await?;
    Ok(prices
        .into_iter()
        .map(|price| (price.model_id, price))
        .collect())
}

fn credits(nanos: i64) -> String {
    format::credits(Credits::from_nanos(nanos))
}
