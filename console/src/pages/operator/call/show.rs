//! One call of any tenant: what it cost the tenant, what it cost us, and what came back.

use crate::{
    Error,
    frame::{Answer, Page, State, Support, reply},
    pages::{
        operator::tenant,
        usage::bill::{self, Bill, Line},
    },
    words::format,
};
use actix_web::web;
use askama::Template;
use billing::{ledger, rating::Price};
use entity::{Credits, HoldId, Platform, channel, usage};
use sea_orm::{ColumnTrait, QueryFilter};

#[derive(Template)]
#[template(path = "page/operator/call.html")]
struct CallPage {
    page: Page,
    bill: Bill,
    tenant: String,
    tenant_at: String,
    posting: Option<String>,
    channel: String,
    cost: Option<format::Amount>,
    margin: Option<format::Amount>,
    cost_lines: Vec<Line>,
    /// Whether something is left to give back.
    may_refund: bool,
    address: String,
}

/// The page.
pub(crate) async fn show(
    page: Page,
    _support: Support,
    console: State,
    path: web::Path<HoldId>,
) -> Answer {
    let call = super::found(&console, path.into_inner()).await?;
    let db = &console.db;
    let tenant = tenant::found(&console, call.tenant_id).await?;
    let channel = channel::Entity::every()
        .filter(channel::Column::Id.is_in(call.channel_id))
        .one(db.read())
        .await?;
    let back = ledger::given_back(db.read(), call.tenant_id, call.id).await?;
    let net = call.charge.checked_sub(back).unwrap_or(Credits::ZERO);
    let cost = call.provider_cost.map(Credits::from_nanos);
    let bill = bill::read(db, &page, &call).await?;

    reply::page(&CallPage {
        tenant_at: tenant::address(tenant.id),
        tenant: tenant.name,
        posting: call
            .transaction_id
            .map(|id| format!("/console/operator/entries/{id}")),
        channel: channel.map(|channel| channel.name).unwrap_or_default(),
        cost: cost.map(format::amount),
        margin: cost
            .and_then(|cost| net.checked_sub(cost))
            .map(format::amount),
        cost_lines: cost_lines(&console, &call).await?,
        may_refund: net.is_positive(),
        address: super::address(call.id),
        page,
        bill,
    })
}

/// What the upstream takes for each class.
async fn cost_lines(console: &State, call: &usage::Model) -> Result<Vec<Line>, Error> {
    let version = bill::version(&console.db, call).await?;
    let price = version.and_then(|version| Price::upstream(&version).ok().flatten());
    Ok(price
        .filter(|_| call.provider_cost.is_some())
        .map(|price| bill::itemised(&price, call))
        .unwrap_or_default())
}
