//! A balanced set of ledger entries: its entries sum to zero per asset. Never changed.

use crate::{LedgerTransactionId, Scoped, TenantId, Timestamp, audit_trail::ActorKind};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ledger_transaction")]
pub struct Model {
    /// Which transaction.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: LedgerTransactionId,
    /// Whose books.
    pub tenant_id: TenantId,
    /// What happened.
    pub kind: Kind,
    /// The happening's own name: it can be booked once.
    pub business_key: String,
    /// When it counts from.
    pub effective_at: Timestamp,
    /// When it was written.
    pub posted_at: Timestamp,
    /// Who caused it.
    pub actor_kind: ActorKind,
    /// Which one.
    pub actor_id: Option<String>,
    /// Why, where a person decided it.
    pub reason: Option<String>,
    /// The transaction it takes back.
    #[sea_orm(unique)]
    pub reverses: Option<LedgerTransactionId>,
    /// JSON: more for the auditor.
    pub detail: Option<String>,
}

/// What a ledger transaction records.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `grant`
    Grant,
    /// `settle`
    Settle,
    /// `expire`
    Expire,
    /// `adjust`
    Adjust,
    /// `correct`
    Correct,
    /// `refund`
    Refund,
    /// `clawback`
    Clawback,
    /// `write_off`
    WriteOff,
    /// `import`
    Import,
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
