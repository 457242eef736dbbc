//! A person in one tenant, with a role there.

use crate::{MemberId, PersonId, Scoped, TenantId, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "member")]
pub struct Model {
    /// Which member.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MemberId,
    /// In which tenant.
    pub tenant_id: TenantId,
    /// Which person.
    pub person_id: PersonId,
    /// What they may do in the tenant.
    pub role: Role,
    /// Whether their keys are served.
    pub status: Status,
    /// Why an operator banned them.
    pub status_reason: Option<String>,
    /// When they joined.
    pub created_at: Timestamp,
    /// Their id in the system they were imported from.
    #[sea_orm(unique)]
    pub legacy_ref: Option<String>,
}

/// What a member may do in a tenant.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// `owner`
    Owner,
    /// `admin`
    Admin,
    /// `billing`
    Billing,
    /// `developer`
    Developer,
}

/// Whether a member's keys are served.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// `active`
    Active,
    /// `banned`
    Banned,
    /// `left`
    Left,
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
