//! Refused calls of the tenant's keys: the reason, and the way out.

use crate::{
    frame::{Answer, Page, SignedIn, State, reply},
    words::{Phrase, format, phrase},
};
use actix_web::web;
use askama::Template;
use entity::{
    Database, RejectionId, Scoped, TenantId,
    group::client,
    key,
    rejection::{Column, Entity, Fix, Model},
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder, QuerySelect};
use serde::Deserialize;

/// Rows a page.
const ROWS: u64 = 50;

#[derive(Template)]
#[template(path = "page/rejections.html")]
struct RejectionsPage {
    page: Page,
    rows: Vec<Row>,
    newer: String,
    older: String,
}

struct Row {
    time: format::Moment,
    calls: i64,
    code: String,
    status: i64,
    message: String,
    fix: Option<Phrase>,
    key: String,
    model: String,
    client: String,
    path: String,
    headers: Vec<(String, String)>,
}

/// Where the page begins.
#[derive(Deserialize)]
pub(crate) struct Query {
    #[serde(default)]
    before: String,
}

/// Shows it.
pub(crate) async fn show(
    console: State,
    page: Page,
    member: SignedIn,
    query: web::Query<Query>,
) -> Answer {
    let before = query.before.parse::<RejectionId>().ok();
    let mut found = find(&console.db, member.tenant(), before).await?;
    let more = found.len() as u64 > ROWS;
    found.truncate(usize::try_from(ROWS).unwrap_or(usize::MAX));
    let older = found
        .last()
        .filter(|_| more)
        .map(|row| format!("/console/rejections?before={}", row.id));

    reply::page(&RejectionsPage {
        page,
        rows: rows(&console.db, member.tenant(), found).await?,
        newer: before
            .map(|_| "/console/rejections".to_owned())
            .unwrap_or_default(),
        older: older.unwrap_or_default(),
    })
}

async fn find(
    db: &Database,
    tenant: TenantId,
    before: Option<RejectionId>,
) -> Result<Vec<Model>, DbErr> {
    let mut query = Entity::of(tenant).order_by_desc(Column::Id).limit(ROWS + 1);
    if let Some(before) = before {
        query = query.filter(Column::Id.lt(before));
    }
    query.all(db.read()).await
}

async fn rows(db: &Database, tenant: TenantId, found: Vec<Model>) -> Result<Vec<Row>, DbErr> {
    let keys = key::Entity::of(tenant)
        .filter(key::Column::Id.is_in(found.iter().map(|row| row.key_id)))
        .all(db.read())
        .await?;
    let rows = found.into_iter().map(|row| Row {
        time: format::moment(row.created_at),
        calls: row.calls,
        key: keys
            .iter()
            .find(|key| key.id == row.key_id)
            .map_or_else(String::new, |key| key.name.clone()),
        fix: row.fix.as_deref().and_then(Fix::parse).map(mend),
        headers: row
            .headers
            .as_deref()
            .and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default(),
        path: row.path.unwrap_or_default(),
        code: row.code,
        status: row.http_status,
        message: row.message,
        model: row.model_name.unwrap_or_default(),
        client: client::name(&row.client_kind).to_owned(),
    });
    Ok(rows.collect())
}

/// What to do, in the reader's language.
fn mend(fix: Fix) -> Phrase {
    match fix {
        Fix::UseGroup { group } => phrase("fix-use-group").with("group", group),
        Fix::UseClient { clients } => phrase("fix-use-client").with("clients", clients),
        Fix::UpdateClient { least } => phrase("fix-update-client").with("version", least),
        Fix::OlderClient { most } => phrase("fix-older-client").with("version", most),
        Fix::UsePath { path } => phrase("fix-use-path").with("path", path),
        Fix::NameModel => phrase("fix-name-model"),
        Fix::PickModel { near } if near.is_empty() => phrase("fix-pick-model"),
        Fix::PickModel { near } => phrase("fix-pick-model-near").with("near", near),
        Fix::OtherModel => phrase("fix-other-model"),
        Fix::OtherPlan => phrase("fix-other-plan"),
        Fix::SendKey => phrase("fix-send-key"),
        Fix::NewKey => phrase("fix-new-key"),
        Fix::EnableKey => phrase("fix-enable-key"),
        Fix::AddCredits => phrase("fix-add-credits"),
        Fix::RaiseCap => phrase("fix-raise-cap"),
        Fix::AwaitWindow { until } => phrase("fix-await-window").with("until", until),
        Fix::SlowDown => phrase("fix-slow-down"),
        Fix::AskOperator => phrase("fix-ask-operator"),
        Fix::MendRequest => phrase("fix-mend-request"),
        Fix::NewIdempotencyKey => phrase("fix-new-idempotency-key"),
        Fix::Shrink => phrase("fix-shrink"),
        Fix::BaseUrl => phrase("fix-base-url"),
        Fix::TryLater => phrase("fix-try-later"),
    }
}
