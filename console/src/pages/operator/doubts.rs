//! Calls whose upstream reported usage that cannot be, newest first.

use crate::{
    frame::{Answer, Page, State, Support, reply},
    words::format,
};
use askama::Template;
use entity::{Platform, Scoped, channel, model, usage_doubt};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect};

const ROWS: u64 = 200;

#[derive(Template)]
#[template(path = "page/operator/doubts.html")]
struct Doubts {
    page: Page,
    rows: Vec<Row>,
}

struct Row {
    time: format::Moment,
    call: String,
    tenant: String,
    channel: String,
    model: String,
    reason: String,
    charged: format::Amount,
}

/// The list.
pub(crate) async fn show(page: Page, _support: Support, console: State) -> Answer {
    let db = &console.db;
    let doubts = usage_doubt::Entity::across_tenants()
        .order_by_desc(usage_doubt::Column::Id)
        .limit(ROWS)
        .all(db.read())
        .await?;
    let channels = channel::Entity::every().all(db.read()).await?;
    let models = model::Entity::every()
        .filter(model::Column::Id.is_in(doubts.iter().map(|doubt| doubt.model_id)))
        .all(db.read())
        .await?;

    let rows = doubts.into_iter().map(|doubt| Row {
        time: format::moment(doubt.created_at),
        call: doubt.id.to_string(),
        tenant: format!("/console/operator/tenants/{}", doubt.tenant_id),
        channel: channels
            .iter()
            .find(|channel| channel.id == doubt.channel_id)
            .map_or_else(String::new, |channel| channel.name.clone()),
        model: models
            .iter()
            .find(|model| model.id == doubt.model_id)
            .map_or_else(String::new, |model| model.name.clone()),
        reason: doubt.reason,
        charged: format::amount(doubt.charged),
    });
    reply::page(&Doubts {
        rows: rows.collect(),
        page,
    })
}
