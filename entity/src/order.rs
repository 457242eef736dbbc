//! One purchase at the payment provider, from created to credited.

use crate::{Credits, GrantId, MemberId, OrderId, Scoped, TenantId, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "order")]
pub struct Model {
    /// Which order; its text is the provider's idempotency key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OrderId,
    /// Who buys.
    pub tenant_id: TenantId,
    /// Which member ordered.
    pub member_id: MemberId,
    /// Where it stands.
    pub status: Status,
    /// JSON snapshot of what was ordered.
    pub product: String,
    /// Credits bought.
    pub credits: Credits,
    /// Credits given on top.
    pub bonus: Credits,
    /// What is to be paid, in the currency's smallest unit, without tax.
    pub amount_minor: i64,
    /// Tax the provider took on top.
    pub tax_minor: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Which provider.
    pub provider: String,
    /// The provider's checkout session.
    #[sea_orm(unique)]
    pub provider_session: Option<String>,
    /// The provider's payment.
    #[sea_orm(unique)]
    pub provider_payment: Option<String>,
    /// Where the buyer pays.
    pub checkout_url: Option<String>,
    /// Whether it is real money.
    pub livemode: bool,
    /// What did not match.
    pub review_reason: Option<String>,
    /// The lot it became.
    pub grant_id: Option<GrantId>,
    /// When it was ordered.
    pub created_at: Timestamp,
    /// When it last moved.
    pub updated_at: Timestamp,
    /// When the credits were there.
    pub credited_at: Option<Timestamp>,
    /// Its id in the system it was imported from.
    #[sea_orm(unique)]
    pub legacy_ref: Option<String>,
}

/// Where an order stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// `created`
    Created,
    /// `session_open`
    SessionOpen,
    /// `awaiting_funds`
    AwaitingFunds,
    /// `credited`
    Credited,
    /// `partially_refunded`
    PartiallyRefunded,
    /// `refunded`
    Refunded,
    /// `disputed`
    Disputed,
    /// `charged_back`
    ChargedBack,
    /// `expired`
    Expired,
    /// `canceled`
    Canceled,
    /// `failed`
    Failed,
    /// `review`
    Review,
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
