//! One order, with every id that the payment provider knows it by.

use crate::{
    Error,
    frame::{Answer, Page, State, Support, reply},
    pages::operator::{
        badge::{self, Badge},
        tenant,
    },
    words::format,
};
use actix_web::web;
use askama::Template;
use entity::{OrderId, Scoped, order};
use sea_orm::{ColumnTrait, QueryFilter};

#[derive(Template)]
#[template(path = "page/operator/order.html")]
struct Order {
    page: Page,
    id: String,
    buyer: String,
    buyer_address: String,
    badge: Badge,
    livemode: bool,
    amount: String,
    tax: String,
    credits: format::Amount,
    bonus: format::Amount,
    provider: String,
    session: Option<String>,
    payment: Option<String>,
    review: Option<String>,
    created: format::Moment,
    updated: format::Moment,
    credited: Option<format::Moment>,
}

/// The page.
pub(crate) async fn show(
    page: Page,
    _support: Support,
    console: State,
    path: web::Path<OrderId>,
) -> Answer {
    let order = order::Entity::across_tenants()
        .filter(order::Column::Id.eq(path.into_inner()))
        .one(console.db.read())
        .await?
        .ok_or(Error::NotFound)?;
    let buyer = tenant::found(&console, order.tenant_id).await?;

    reply::page(&Order {
        page,
        id: order.id.to_string(),
        buyer: buyer.name,
        buyer_address: tenant::address(buyer.id),
        badge: badge::order(order.status),
        livemode: order.livemode,
        amount: super::money(order.amount_minor, &order.currency),
        tax: super::money(order.tax_minor, &order.currency),
        credits: format::amount(order.credits),
        bonus: format::amount(order.bonus),
        provider: order.provider,
        session: order.provider_session,
        payment: order.provider_payment,
        review: order.review_reason,
        created: format::moment(order.created_at),
        updated: format::moment(order.updated_at),
        credited: order.credited_at.map(format::moment),
    })
}
