//! A tenant's copy of one plan version.

use crate::{PlanVersionId, Scoped, SubscriptionId, TenantId, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "subscription")]
pub struct Model {
    /// Which subscription.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SubscriptionId,
    /// Whose.
    pub tenant_id: TenantId,
    /// To what.
    pub plan_version_id: PlanVersionId,
    /// Where it stands.
    pub status: Status,
    /// How it came to be.
    pub source: Source,
    /// Start of the running period.
    pub period_start: Timestamp,
    /// End of the running period.
    pub period_end: Timestamp,
    /// Start of the first period.
    pub anchor: Timestamp,
    /// Whether another period follows.
    pub renews: bool,
    /// From this moment on no period starts.
    pub ends_at: Option<Timestamp>,
    /// The version of the next period, where it differs.
    pub next_plan_version_id: Option<PlanVersionId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its id in the system it was imported from.
    #[sea_orm(unique)]
    pub legacy_ref: Option<String>,
}

/// Where a subscription stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// `pending`
    Pending,
    /// `active`
    Active,
    /// `past_due`
    PastDue,
    /// `canceling`
    Canceling,
    /// `ended`
    Ended,
}

/// How a subscription came to be.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// `code`
    Code,
    /// `order`
    Order,
    /// `operator`
    Operator,
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
