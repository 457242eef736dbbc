//! One immutable version of a plan.

use crate::{Credits, PlanId, PlanVersionId, Platform, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plan_version")]
pub struct Model {
    /// Which version.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PlanVersionId,
    /// Of which plan.
    pub plan_id: PlanId,
    /// 1, 2, 3 ..
    pub version: i64,
    /// What a period costs, in the currency's smallest unit.
    pub price_minor: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// How long a period is.
    pub period: Period,
    /// Credits granted for each period.
    pub allowance: Credits,
    /// JSON: the rules.
    pub document: String,
    /// When it was published.
    pub created_at: Timestamp,
}

/// How long a plan's period is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// `day`
    Day,
    /// `week`
    Week,
    /// `month`
    Month,
    /// `year`
    Year,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
