//! A public model name.

use crate::{ModelId, Platform, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "model")]
pub struct Model {
    /// Which model.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ModelId,
    /// The name callers send.
    #[sea_orm(unique)]
    pub name: String,
    /// The name pages show.
    pub title: String,
    /// Which endpoints serve it.
    pub kind: Kind,
    /// Whether it may be called.
    pub status: Status,
    /// Why it is blocked; shown to callers.
    pub status_reason: Option<String>,
    /// Tokens in and out at most, where known.
    pub context_window: Option<i64>,
    /// Output tokens at most, where known.
    pub max_output: Option<i64>,
    /// JSON object of what it can do.
    pub capabilities: String,
    /// When it was added.
    pub created_at: Timestamp,
}

/// Which endpoints serve a model.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `chat`
    Chat,
    /// `embedding`
    Embedding,
}

/// Whether a model may be called.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// `active`
    Active,
    /// `hidden`
    Hidden,
    /// `blocked`
    Blocked,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
