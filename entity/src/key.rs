//! An API key of one member in one tenant. The key itself is never stored, only its digest.

use crate::{GroupId, KeyId, MemberId, Scoped, TenantId, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "key")]
pub struct Model {
    /// Which key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: KeyId,
    /// Whose credits it spends.
    pub tenant_id: TenantId,
    /// Who holds it.
    pub member_id: MemberId,
    /// Which shelf it buys from.
    pub group_id: GroupId,
    /// What its holder calls it.
    pub name: String,
    /// How its text starts.
    pub prefix: String,
    /// How its text ends.
    pub last4: String,
    /// Digest of the whole text in `scheme`.
    #[sea_orm(unique)]
    pub digest: Vec<u8>,
    /// How `digest` was made.
    pub scheme: Scheme,
    /// Which pepper `digest` was made with.
    pub pepper_version: i64,
    /// Whether it is served.
    pub status: Status,
    /// What pays for its calls, in which order.
    pub pay_order: PayOrder,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was given up for good.
    pub revoked_at: Option<Timestamp>,
    /// When it last called, coarse.
    pub last_used_at: Option<Timestamp>,
    /// Its id in the system it was imported from.
    #[sea_orm(unique)]
    pub legacy_ref: Option<String>,
}

/// How a key's digest is made.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// `hmac_sha256`
    HmacSha256,
    /// `sha256`
    Sha256,
    /// `foreign_hmac`
    ForeignHmac,
}

/// Whether a key is served.
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
    /// `revoked`
    Revoked,
}

/// What pays for a key's calls.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum PayOrder {
    /// `plan_only`
    PlanOnly,
    /// `plan_then_wallet`
    PlanThenWallet,
    /// `wallet_only`
    WalletOnly,
}

/// Rows are joined by hand where a page needs it, and with its holder and its tenant for whoever calls with it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl Related<crate::member::Entity> for Entity {
    fn to() -> RelationDef {
        let member = Self::belongs_to(crate::member::Entity).from(Column::MemberId);
        member.to(crate::member::Column::Id).into()
    }
}

impl Related<crate::tenant::Entity> for Entity {
    fn to() -> RelationDef {
        let tenant = Self::belongs_to(crate::tenant::Entity).from(Column::TenantId);
        tenant.to(crate::tenant::Column::Id).into()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl Scoped for Entity {
    fn tenant_column() -> Column {
        Column::TenantId
    }
}
