//! Redemption codes made together.

use crate::{CodeBatchId, Credits, PersonId, PlanVersionId, Platform, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "code_batch")]
pub struct Model {
    /// Which batch.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CodeBatchId,
    /// What operators call it.
    pub name: String,
    /// What its codes give.
    pub kind: Kind,
    /// Credits a use gives.
    pub credits: Option<Credits>,
    /// Plan a use gives.
    pub plan_version_id: Option<PlanVersionId>,
    /// For how many periods a use gives the plan.
    pub periods: Option<i64>,
    /// Uses of each code.
    pub max_uses: i64,
    /// Before this moment no code works.
    pub starts_at: Option<Timestamp>,
    /// From this moment on no code works.
    pub ends_at: Option<Timestamp>,
    /// Days until given credits expire.
    pub credits_valid_days: Option<i64>,
    /// How many codes were made.
    pub size: i64,
    /// Whether its codes work.
    pub status: Status,
    /// Which operator made it.
    pub created_by: Option<PersonId>,
    /// When.
    pub created_at: Timestamp,
    /// How many of its codes one member may redeem; none leaves it open.
    pub most_per_member: Option<i64>,
}

/// What a code gives.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `credits`
    Credits,
    /// `plan`
    Plan,
    /// `promo`
    Promo,
}

/// Whether a batch's codes work.
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
