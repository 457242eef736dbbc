//! All channels.

use crate::{
    Error,
    frame::{Answer, Page, State, Support, reply},
    pages::operator::badge::{self, Badge},
    words::Phrase,
};
use askama::Template;
use entity::{ChannelId, Database, Platform, channel, channel_model};
use sea_orm::QueryOrder;
use std::collections::HashMap;

#[derive(Template)]
#[template(path = "page/operator/channels.html")]
struct Channels {
    page: Page,
    rows: Vec<Row>,
}

struct Row {
    id: String,
    name: String,
    kind: Phrase,
    base_url: String,
    badge: Badge,
    reason: Option<String>,
    models: i64,
    priority: i64,
}

/// The list.
pub(crate) async fn show(page: Page, _support: Support, console: State) -> Answer {
    let rows = rows(&console.db).await?;

    reply::page(&Channels { page, rows })
}

async fn rows(db: &Database) -> Result<Vec<Row>, Error> {
    let mut models: HashMap<ChannelId, i64> = HashMap::new();
    for served in channel_model::Entity::every().all(db.read()).await? {
        *models.entry(served.channel_id).or_default() += 1;
    }
    let channels = channel::Entity::every()
        .order_by_asc(channel::Column::Priority)
        .order_by_asc(channel::Column::Name)
        .all(db.read())
        .await?;

    Ok(channels
        .into_iter()
        .map(|channel| Row {
            id: channel.id.to_string(),
            kind: badge::channel_kind(channel.kind),
            badge: badge::channel(channel.status),
            models: models.get(&channel.id).copied().unwrap_or_default(),
            priority: channel.priority,
            name: channel.name,
            base_url: channel.base_url,
            reason: channel.status_reason,
        })
        .collect())
}
