//! All orders, newest first.

use crate::{
    Error,
    frame::{Answer, Page, State, Support, reply},
    pages::operator::{
        badge::{self, Badge},
        listing::{self, Query},
    },
    words::format,
};
use actix_web::web;
use askama::Template;
use billing::payment;
use entity::{Database, Platform, TenantId, order, tenant};
use sea_orm::{ColumnTrait, QueryFilter};
use std::collections::HashMap;

#[derive(Template)]
#[template(path = "page/operator/orders.html")]
struct Orders {
    page: Page,
    rows: Vec<Row>,
    next: String,
}

struct Row {
    id: String,
    buyer: String,
    buyer_address: String,
    badge: Badge,
    amount: String,
    credits: String,
    created: format::Moment,
    livemode: bool,
}

/// The list.
pub(crate) async fn show(
    page: Page,
    _support: Support,
    console: State,
    query: web::Query<Query>,
) -> Answer {
    let query = query.into_inner();
    let mut orders = payment::order::list_all(&console.db, query.before()).await?;
    let next = listing::cut(&mut orders, "/console/operator/orders", &query, |order| {
        order.id.to_string()
    });
    let rows = rows(&console.db, orders).await?;

    reply::page(&Orders {
        page,
        rows,
        next: next.unwrap_or_default(),
    })
}

async fn rows(db: &Database, orders: Vec<order::Model>) -> Result<Vec<Row>, Error> {
    let names: HashMap<TenantId, String> = tenant::Entity::every()
        .filter(tenant::Column::Id.is_in(orders.iter().map(|order| order.tenant_id)))
        .all(db.read())
        .await?
        .into_iter()
        .map(|tenant| (tenant.id, tenant.name))
        .collect();

    Ok(orders
        .into_iter()
        .map(|order| Row {
            id: order.id.to_string(),
            buyer: names.get(&order.tenant_id).cloned().unwrap_or_default(),
            buyer_address: crate::pages::operator::tenant::address(order.tenant_id),
            badge: badge::order(order.status),
            amount: super::money(order.amount_minor, &order.currency),
            credits: format::credits(order.credits),
            created: format::moment(order.created_at),
            livemode: order.livemode,
        })
        .collect())
}
