//! All plans with what their newest version gives.

use super::terms::period_word;
use crate::{
    Error,
    frame::{Answer, Page, State, Support, reply},
    pages::operator::badge::{self, Badge},
    words::{Phrase, format},
};
use askama::Template;
use billing::plan;
use entity::{Database, PlanId, Platform, Scoped, plan_version, subscription};
use sea_orm::{ColumnTrait, PaginatorTrait, QueryFilter};

#[derive(Template)]
#[template(path = "page/operator/plans.html")]
struct Plans {
    page: Page,
    rows: Vec<Row>,
}

struct Row {
    id: String,
    name: String,
    title: String,
    badge: Badge,
    version: i64,
    price: String,
    period: Phrase,
    allowance: String,
    subscribers: String,
}

/// The list.
pub(crate) async fn show(page: Page, _support: Support, console: State) -> Answer {
    let mut rows = Vec::new();
    for offered in plan::list(&console.db).await? {
        rows.push(row(&console.db, offered).await?);
    }

    reply::page(&Plans { page, rows })
}

async fn row(db: &Database, offered: plan::Offered) -> Result<Row, Error> {
    let plan::Offered { plan, version } = offered;
    let subscribers = subscribers(db, plan.id).await?;
    Ok(Row {
        id: plan.id.to_string(),
        badge: badge::plan(plan.status),
        version: version.version,
        price: crate::pages::operator::order::money(version.price_minor, &version.currency),
        period: period_word(version.period),
        allowance: format::credits(version.allowance),
        subscribers: format::count(i64::try_from(subscribers).unwrap_or(i64::MAX)),
        name: plan.name,
        title: plan.title,
    })
}

async fn subscribers(db: &Database, plan: PlanId) -> Result<u64, Error> {
    let versions = plan_version::Entity::every()
        .filter(plan_version::Column::PlanId.eq(plan))
        .all(db.read())
        .await?;
    let running = subscription::Entity::across_tenants()
        .filter(
            subscription::Column::PlanVersionId.is_in(versions.iter().map(|version| version.id)),
        )
        .filter(subscription::Column::Status.ne(subscription::Status::Ended))
        .count(db.read())
        .await?;
    Ok(running)
}
