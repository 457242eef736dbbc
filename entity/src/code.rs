//! One redemption code, held as a keyed digest only.

use crate::{CodeBatchId, CodeId, Platform, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "code")]
pub struct Model {
    /// Which code.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CodeId,
    /// Of which batch.
    pub batch_id: CodeBatchId,
    /// Keyed digest of the code.
    #[sea_orm(unique)]
    pub digest: Vec<u8>,
    /// Its last characters.
    pub hint: String,
    /// How often it works.
    pub max_uses: i64,
    /// How often it was used.
    pub used_count: i64,
    /// Whether it works.
    pub status: Status,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its id in the system it was imported from.
    #[sea_orm(unique)]
    pub legacy_ref: Option<String>,
}

/// Whether a code works.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// `active`
    Active,
    /// `disabled`
    Disabled,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
