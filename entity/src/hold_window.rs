//! What a hold reserves in which quota window.

use crate::{HoldId, Platform, RuleId, Timestamp};
use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "hold_window")]
pub struct Model {
    /// The hold.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hold_id: HoldId,
    /// The rule that counts.
    #[sea_orm(primary_key, auto_increment = false)]
    pub rule_id: RuleId,
    /// Whom it counts.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject_id: Uuid,
    /// In which window.
    pub window_start: Timestamp,
    /// How much, in the rule's metric.
    pub reserved: i64,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
