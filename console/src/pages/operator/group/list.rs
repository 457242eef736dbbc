//! All groups, with their channels, multiplier and number of keys.

use crate::{
    Error,
    frame::{Answer, Page, State, Support, reply},
    pages::operator::badge::{self, Badge},
    words::format,
};
use askama::Template;
use entity::{
    Database, Platform, Scoped, channel,
    group::{self, client::Rule},
    group_channel, key, model,
};
use sea_orm::{ColumnTrait, PaginatorTrait, QueryFilter, QueryOrder};
use std::collections::HashMap;

#[derive(Template)]
#[template(path = "page/operator/groups.html")]
struct Groups {
    page: Page,
    rows: Vec<Row>,
}

struct Row {
    id: String,
    name: String,
    title: String,
    is_default: bool,
    stops_when_left: bool,
    badge: Badge,
    multiplier: String,
    default_model: Option<String>,
    channels: Vec<String>,
    clients: Vec<String>,
    keys: String,
}

/// The list.
pub(crate) async fn show(page: Page, _support: Support, console: State) -> Answer {
    let rows = rows(&console.db).await?;

    reply::page(&Groups { page, rows })
}

async fn rows(db: &Database) -> Result<Vec<Row>, Error> {
    let groups = group::Entity::every()
        .order_by_asc(group::Column::Name)
        .all(db.read())
        .await?;
    let names: HashMap<_, _> = channel::Entity::every()
        .order_by_asc(channel::Column::Name)
        .all(db.read())
        .await?
        .into_iter()
        .map(|channel| (channel.id, channel.name))
        .collect();
    let shelves = group_channel::Entity::every().all(db.read()).await?;
    let models: HashMap<_, _> = model::Entity::every()
        .filter(model::Column::Id.is_in(groups.iter().filter_map(|group| group.default_model_id)))
        .all(db.read())
        .await?
        .into_iter()
        .map(|model| (model.id, model.name))
        .collect();

    let mut rows = Vec::with_capacity(groups.len());
    for group in groups {
        let keys = key::Entity::across_tenants()
            .filter(key::Column::GroupId.eq(group.id))
            .count(db.read())
            .await?;
        let mut channels: Vec<String> = shelves
            .iter()
            .filter(|shelf| shelf.group_id == group.id)
            .filter_map(|shelf| names.get(&shelf.channel_id).cloned())
            .collect();
        channels.sort_unstable();
        rows.push(Row {
            id: group.id.to_string(),
            badge: badge::group(group.status),
            multiplier: format::factor(group.multiplier_ppm),
            default_model: group
                .default_model_id
                .and_then(|id| models.get(&id).cloned()),
            clients: serde_json::from_str::<Vec<Rule>>(&group.clients)
                .unwrap_or_default()
                .iter()
                .map(Rule::to_string)
                .collect(),
            channels,
            keys: format::count(i64::try_from(keys).unwrap_or(i64::MAX)),
            is_default: group.is_default,
            stops_when_left: group.stops_when_left,
            name: group.name,
            title: group.title,
        });
    }
    Ok(rows)
}
