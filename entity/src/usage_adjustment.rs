//! Credits given back of a call. Never changed.

use crate::{Credits, HoldId, LedgerTransactionId, Scoped, TenantId, Timestamp, UsageAdjustmentId};
use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_adjustment")]
pub struct Model {
    /// Which.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UsageAdjustmentId,
    /// Whose call.
    pub tenant_id: TenantId,
    /// Of which call.
    pub usage_id: HoldId,
    /// The ledger transaction that booked it.
    #[sea_orm(unique)]
    pub transaction_id: LedgerTransactionId,
    /// How much came back; more than none.
    pub amount: Credits,
    /// Why; its member reads it.
    pub reason: String,
    /// When.
    pub created_at: Timestamp,
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
