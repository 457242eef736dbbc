//! A lot of credits in a wallet.

use crate::{
    CodeId, Credits, GrantId, OrderId, Scoped, SubscriptionId, TenantId, Timestamp, WalletId,
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "grant")]
pub struct Model {
    /// Which lot.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: GrantId,
    /// Whose.
    pub tenant_id: TenantId,
    /// In which wallet.
    pub wallet_id: WalletId,
    /// Where it came from.
    pub source: Source,
    /// How much it was.
    pub amount: Credits,
    /// How much is left.
    pub remaining: Credits,
    /// How much of that open holds reserve.
    pub held: Credits,
    /// Lower is drawn first.
    pub priority: i64,
    /// From when it may be spent.
    pub effective_at: Timestamp,
    /// Until when.
    pub expires_at: Option<Timestamp>,
    /// JSON: what it may be spent on; none is everything.
    pub scope: Option<String>,
    /// What was paid for it, in the currency's smallest unit.
    pub cost_minor: i64,
    /// In which currency.
    pub cost_currency: Option<String>,
    /// Whether it may be spent.
    pub status: Status,
    /// The subscription it is the allowance of.
    pub subscription_id: Option<SubscriptionId>,
    /// The order that bought it.
    pub order_id: Option<OrderId>,
    /// The code that gave it.
    pub code_id: Option<CodeId>,
    /// The lot it was made from.
    pub parent_grant_id: Option<GrantId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its id in the system it was imported from.
    #[sea_orm(unique)]
    pub legacy_ref: Option<String>,
}

/// Where a lot came from.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// `paid`
    Paid,
    /// `promo`
    Promo,
    /// `code`
    Code,
    /// `plan`
    Plan,
    /// `adjust`
    Adjust,
    /// `goodwill`
    Goodwill,
    /// `import`
    Import,
}

/// Whether a lot may be spent.
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
    /// `frozen`
    Frozen,
    /// `exhausted`
    Exhausted,
    /// `expired`
    Expired,
    /// `revoked`
    Revoked,
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
