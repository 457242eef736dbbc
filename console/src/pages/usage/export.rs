//! Finished calls as a file, by the filter of their list.

use super::{
    list::Query,
    rows::{self, Cursor, Filter},
};
use crate::{
    frame::{Answer, SignedIn, State, Tone, reply},
    words::{csv, phrase},
};
use actix_web::web;
use entity::{
    Credits, Database, HoldId, Platform, Scoped, TenantId, key, model, usage, usage_adjustment,
};
use sea_orm::{ActiveEnum, ColumnTrait, DbErr, QueryFilter};
use std::collections::HashMap;

/// Calls of one file at most.
const CALLS_MAX: usize = 20_000;
/// Calls read at once.
const SLICE: u64 = 500;

const HEAD: [&str; 24] = [
    "id",
    "started_at",
    "ended_at",
    "model",
    "key",
    "protocol",
    "client",
    "finish",
    "quality",
    "input",
    "input_audio",
    "input_image",
    "cache_read",
    "cache_write_short",
    "cache_write_long",
    "output",
    "reasoning",
    "output_audio",
    "output_image",
    "web_searches",
    "file_searches",
    "multiplier_ppm",
    "charge",
    "given_back",
];

/// Whether the upstream's cost is anybody's business.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    Shown,
    Hidden,
}

/// A member's own tenant's.
pub(crate) async fn show(console: State, member: SignedIn, query: web::Query<Query>) -> Answer {
    let filter = query.filter();
    file(
        &console,
        member.tenant(),
        (&filter, Cost::Hidden),
        "/console/usage",
    )
    .await
}

/// The calls of any tenant; back where they are too many for one file.
pub(crate) async fn file(
    console: &State,
    tenant: TenantId,
    (filter, cost): (&Filter, Cost),
    back: &str,
) -> Answer {
    let db = &console.db;
    let mut text = String::new();
    let costs = (cost == Cost::Shown).then_some("upstream_cost");
    csv::push(&mut text, HEAD.into_iter().chain(costs));
    let mut names = Names::default();
    let (mut cursor, mut count) = (Cursor::Newest, 0);
    loop {
        let calls = rows::find(db, tenant, filter, (cursor, SLICE)).await?;
        let Some(last) = calls.last() else {
            break;
        };
        cursor = Cursor::Before(last.id);
        count += calls.len();
        if count > CALLS_MAX {
            let many = i64::try_from(CALLS_MAX).unwrap_or(i64::MAX);
            let said = phrase("export-too-many").count("count", many);
            return Ok(reply::see_other(back).flash(Tone::Warn, said));
        }
        names.learn(db, tenant, &calls).await?;
        for call in &calls {
            names.push(&mut text, call, cost);
        }
    }
    Ok(reply::file("usage.csv", csv::KIND, text))
}

/// What a row shows beside its call.
#[derive(Default)]
struct Names {
    models: HashMap<entity::ModelId, String>,
    keys: HashMap<entity::KeyId, String>,
    given_back: HashMap<HoldId, Credits>,
}

impl Names {
    async fn learn(
        &mut self,
        db: &Database,
        tenant: TenantId,
        calls: &[usage::Model],
    ) -> Result<(), DbErr> {
        let models = model::Entity::every()
            .filter(model::Column::Id.is_in(calls.iter().map(|call| call.model_id)))
            .all(db.read())
            .await?;
        self.models
            .extend(models.into_iter().map(|model| (model.id, model.name)));
        let keys = key::Entity::of(tenant)
            .filter(key::Column::Id.is_in(calls.iter().map(|call| call.key_id)))
            .all(db.read())
            .await?;
        self.keys
            .extend(keys.into_iter().map(|key| (key.id, key.name)));
        let adjustments = usage_adjustment::Entity::of(tenant)
            .filter(usage_adjustment::Column::UsageId.is_in(calls.iter().map(|call| call.id)))
            .all(db.read())
            .await?;
        for row in adjustments {
            let sum = self.given_back.entry(row.usage_id).or_default();
            *sum = sum.checked_add(row.amount).unwrap_or(*sum);
        }
        Ok(())
    }

    fn push(&self, text: &mut String, call: &usage::Model, cost: Cost) {
        let name = |found: Option<&String>| found.cloned().unwrap_or_default();
        let back = self.given_back.get(&call.id).copied().unwrap_or_default();
        let mut cells = vec![
            call.id.to_string(),
            call.started_at.to_string(),
            call.ended_at.to_string(),
            name(self.models.get(&call.model_id)),
            name(self.keys.get(&call.key_id)),
            call.protocol.to_value(),
            call.client_kind.clone(),
            call.finish.to_value(),
            call.quality.to_value(),
        ];
        let counts = [
            call.input_tokens,
            call.input_audio_tokens,
            call.input_image_tokens,
            call.cache_read_tokens,
            call.cache_write_short_tokens,
            call.cache_write_long_tokens,
            call.output_tokens,
            call.reasoning_tokens,
            call.output_audio_tokens,
            call.output_image_tokens,
            call.web_searches,
            call.file_searches,
            call.multiplier_ppm,
        ];
        cells.extend(counts.iter().map(i64::to_string));
        cells.extend([call.charge.to_string(), back.to_string()]);
        if cost == Cost::Shown {
            let upstream = call.provider_cost.map(Credits::from_nanos);
            cells.push(upstream.map(|cost| cost.to_string()).unwrap_or_default());
        }
        csv::push(text, cells.iter().map(String::as_str));
    }
}
