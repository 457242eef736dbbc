//! The price of a model from one moment on; never changed, only followed by another.

use crate::{ModelId, Platform, PriceVersionId, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "price_version")]
pub struct Model {
    /// Which price.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PriceVersionId,
    /// Of which model.
    pub model_id: ModelId,
    /// From when.
    pub effective_at: Timestamp,
    /// Nano-credits per million fresh input tokens.
    pub input: i64,
    /// Nano-credits per million output tokens.
    pub output: i64,
    /// Nano-credits per million input tokens read from cache; none falls back to `input`.
    pub cache_read: Option<i64>,
    /// Nano-credits per million tokens written to the short cache; none falls back to `input`.
    pub cache_write_short: Option<i64>,
    /// Nano-credits per million tokens written to the long cache; none falls back to the short one.
    pub cache_write_long: Option<i64>,
    /// Nano-credits per call.
    pub per_request: i64,
    /// JSON: prices past prompt lengths.
    pub tiers: Option<String>,
    /// What the upstream takes per million fresh input tokens, in nano-dollars.
    pub cost_input: Option<i64>,
    /// What the upstream takes per million output tokens, in nano-dollars.
    pub cost_output: Option<i64>,
    /// What the upstream takes per million tokens read from cache, in nano-dollars.
    pub cost_cache_read: Option<i64>,
    /// What the upstream takes per million tokens written to the short cache, in nano-dollars.
    pub cost_cache_write_short: Option<i64>,
    /// What the upstream takes per million tokens written to the long cache, in nano-dollars.
    pub cost_cache_write_long: Option<i64>,
    /// What the upstream takes per call, in nano-dollars.
    pub cost_per_request: Option<i64>,
    /// Who set it.
    pub source: Source,
    /// Table version or the operator's note.
    pub source_detail: Option<String>,
    /// When it was entered.
    pub created_at: Timestamp,
    /// JSON: nano-credits of further classes, such as sound or a search; one left out falls back.
    pub classes: Option<String>,
    /// JSON: what the upstream takes for further classes, in nano-dollars.
    pub cost_classes: Option<String>,
    /// JSON: what the upstream takes past prompt lengths, in nano-dollars.
    pub cost_tiers: Option<String>,
}

/// Who set a price.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// `manual`
    Manual,
    /// `table`
    Table,
    /// `sandbox`
    Sandbox,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
