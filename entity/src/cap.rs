//! A limit that a tenant, a member, a key or a credit line has of its own.

use crate::{RuleId, Scoped, TenantId, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "cap")]
pub struct Model {
    /// Which limit; its counters are kept under it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RuleId,
    /// In which tenant.
    pub tenant_id: TenantId,
    /// What kind of thing has it.
    pub bearer: Bearer,
    /// Which tenant, member, key, or wallet.
    pub subject_id: Uuid,
    /// What is counted.
    pub meter: Meter,
    /// JSON of when it starts anew; empty where nothing does.
    pub window: String,
    /// JSON list of model names, with `*`; an empty list is every model.
    pub models: String,
    /// How much, in the meter's units: calls, nano-credits or tokens.
    pub most: i64,
    /// When it was set.
    pub created_at: Timestamp,
}

/// What kind of thing has a limit.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Bearer {
    /// `tenant`
    Tenant,
    /// `member`
    Member,
    /// `key`
    Key,
    /// `credit_line`
    CreditLine,
}

/// What a limit counts.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    /// `open_calls`: calls that run at once.
    OpenCalls,
    /// `credits`: nano-credits in a window.
    Credits,
    /// `requests`: calls in a window.
    Requests,
    /// `requests_per_minute`: approximately.
    RequestsPerMinute,
    /// `tokens_per_minute`: approximately.
    TokensPerMinute,
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
