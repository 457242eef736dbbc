//! How much of a rule's window is used and reserved; never reset, a new window is a new row.

use crate::{RuleId, Scoped, TenantId, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "quota_counter")]
pub struct Model {
    /// The rule that counts.
    #[sea_orm(primary_key, auto_increment = false)]
    pub rule_id: RuleId,
    /// Whom it counts.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject_id: Uuid,
    /// From when.
    #[sea_orm(primary_key, auto_increment = false)]
    pub window_start: Timestamp,
    /// Whose.
    pub tenant_id: TenantId,
    /// Until when.
    pub window_end: Timestamp,
    /// In what.
    pub metric: Metric,
    /// Settled.
    pub used: i64,
    /// Held by running calls.
    pub reserved: i64,
}

/// What a window counts: nano-credits or calls.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// `credits`
    Credits,
    /// `requests`
    Requests,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Scoped for Entity {
    fn tenant_column() -> Column {
        Column::TenantId
    }
}
