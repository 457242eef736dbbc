//! A paying organisation; all customer data hangs on it. Every person gets a personal one at sign-up.

use crate::{Platform, TenantId, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tenant")]
pub struct Model {
    /// Which tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TenantId,
    /// What it calls itself.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// Whether its calls are served.
    pub status: Status,
    /// Why an operator suspended it.
    pub status_reason: Option<String>,
    /// IANA name; calendar windows of its plans start at its midnight.
    pub time_zone: String,
    /// When it was opened.
    pub created_at: Timestamp,
    /// Its id in the system it was imported from.
    #[sea_orm(unique)]
    pub legacy_ref: Option<String>,
    /// Factor on every price, in millionths, beside those of group and plan.
    pub multiplier_ppm: i64,
}

/// The multiplier of a tenant that pays the list price.
pub const LIST_PPM: i64 = 1_000_000;

/// What a tenant is for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `personal`
    Personal,
    /// `organisation`
    Organisation,
    /// `house`
    House,
}

/// Whether a tenant's calls are served.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// `active`
    Active,
    /// `suspended`
    Suspended,
    /// `closed`
    Closed,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
