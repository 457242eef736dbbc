//! What an ended call counted in which quota window: the proof behind a window's counter. Never changed.

use crate::{HoldId, Platform, RuleId, Timestamp};
use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_window")]
pub struct Model {
    /// The call.
    #[sea_orm(primary_key, auto_increment = false)]
    pub usage_id: HoldId,
    /// The rule that counts.
    #[sea_orm(primary_key, auto_increment = false)]
    pub rule_id: RuleId,
    /// Whom it counts.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject_id: Uuid,
    /// In which window: that of the call's hold.
    pub window_start: Timestamp,
    /// How much, in the rule's metric.
    pub amount: i64,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
