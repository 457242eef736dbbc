//! One call of any tenant: what it cost the tenant, what it cost us, what came back, and what was tried in vain before.

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
use entity::{Credits, HoldId, Platform, attempt, channel, usage};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder};

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
    tries: Vec<Try>,
    /// Whether something is left to give back.
    may_refund: bool,
    address: String,
}

/// A try that brought nothing.
struct Try {
    time: format::Moment,
    channel: String,
    status: Option<String>,
    fault: String,
    took: String,
    cost: Option<format::Amount>,
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
        tries: tries(&console, call.id).await?,
        may_refund: net.is_positive(),
        address: super::address(call.id),
        page,
        bill,
    })
}

/// The tries at channels that reached an upstream and brought nothing, in their order.
async fn tries(console: &State, call: HoldId) -> Result<Vec<Try>, Error> {
    let rows = attempt::Entity::every()
        .filter(attempt::Column::CallId.eq(call))
        .order_by_asc(attempt::Column::Id)
        .all(console.db.read())
        .await?;
    let channels = channel::Entity::every()
        .filter(channel::Column::Id.is_in(rows.iter().map(|row| row.channel_id)))
        .all(console.db.read())
        .await?;
    let tries = rows.into_iter().map(|row| Try {
        time: format::moment(row.created_at),
        channel: channels
            .iter()
            .find(|channel| channel.id == row.channel_id)
            .map_or_else(String::new, |channel| channel.name.clone()),
        status: row.status.map(|status| status.to_string()),
        fault: row.fault,
        took: format::count(row.took_ms),
        cost: row.cost.map(format::amount),
    });
    Ok(tries.collect())
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
