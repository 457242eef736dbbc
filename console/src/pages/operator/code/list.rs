//! All batches and how far they are used.

use crate::{
    Error,
    frame::{Answer, Page, State, Support, reply},
    pages::operator::{
        badge::{self, Badge},
        field::last_day,
    },
    words::{Phrase, format, phrase},
};
use askama::Template;
use billing::code::{BatchUse, list_batches};
use entity::{Database, Platform, code_batch, plan, plan_version};
use sea_orm::{ColumnTrait, QueryFilter};
use std::collections::HashMap;

#[derive(Template)]
#[template(path = "page/operator/codes.html")]
struct Codes {
    page: Page,
    rows: Vec<Row>,
}

struct Row {
    id: String,
    name: String,
    gives: Phrase,
    used: Phrase,
    badge: Badge,
    active: bool,
    ends: Option<String>,
    created: format::Moment,
}

/// The list.
pub(crate) async fn show(page: Page, _support: Support, console: State) -> Answer {
    let batches = list_batches(&console.db).await?;
    let plans = plans(&console.db, &batches).await?;
    let rows = batches.into_iter().map(|used| row(used, &plans)).collect();

    reply::page(&Codes { page, rows })
}

type Plans = HashMap<entity::PlanVersionId, String>;

async fn plans(db: &Database, batches: &[BatchUse]) -> Result<Plans, Error> {
    let wanted = batches.iter().filter_map(|used| used.batch.plan_version_id);
    let versions = plan_version::Entity::every()
        .filter(plan_version::Column::Id.is_in(wanted))
        .all(db.read())
        .await?;
    let titles: HashMap<_, _> = plan::Entity::every()
        .filter(plan::Column::Id.is_in(versions.iter().map(|version| version.plan_id)))
        .all(db.read())
        .await?
        .into_iter()
        .map(|plan| (plan.id, plan.title))
        .collect();
    Ok(versions
        .into_iter()
        .filter_map(|version| Some((version.id, titles.get(&version.plan_id)?.clone())))
        .collect())
}

fn row(used: BatchUse, plans: &Plans) -> Row {
    let BatchUse { batch, used } = used;
    let total = batch.size.saturating_mul(batch.max_uses);
    let gives = match (batch.credits, batch.plan_version_id) {
        (Some(credits), _) => {
            phrase("op-code-gives-credits").with("amount", format::credits(credits))
        }
        (None, version) => phrase("op-code-gives-plan")
            .with(
                "plan",
                version
                    .and_then(|version| plans.get(&version).cloned())
                    .unwrap_or_default(),
            )
            .count("periods", batch.periods.unwrap_or_default()),
    };
    Row {
        id: batch.id.to_string(),
        gives,
        used: phrase("op-code-used-of")
            .with("used", format::count(used))
            .with("total", format::count(total)),
        badge: badge::batch(batch.status),
        active: batch.status == code_batch::Status::Active,
        ends: batch.ends_at.map(last_day),
        created: format::moment(batch.created_at),
        name: batch.name,
    }
}
