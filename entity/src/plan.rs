//! A product for sale; what it gives is in its versions.

use crate::{PlanId, Platform, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plan")]
pub struct Model {
    /// Which plan.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PlanId,
    /// Its short name.
    #[sea_orm(unique)]
    pub name: String,
    /// What members read.
    pub title: String,
    /// What members read under it.
    pub description: String,
    /// Whether it is offered.
    pub status: Status,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its id in the system it was imported from.
    #[sea_orm(unique)]
    pub legacy_ref: Option<String>,
}

/// Whether a plan is offered.
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
    /// `retired`
    Retired,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
