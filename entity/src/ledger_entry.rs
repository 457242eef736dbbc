//! One leg of a ledger transaction. Never changed.

use crate::{GrantId, LedgerTransactionId, Platform, WalletId};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ledger_entry")]
pub struct Model {
    /// The transaction.
    #[sea_orm(primary_key, auto_increment = false)]
    pub transaction_id: LedgerTransactionId,
    /// Which leg.
    #[sea_orm(primary_key, auto_increment = false)]
    pub n: i64,
    /// Which account.
    pub account: Account,
    /// `CR` for credits, in nano-credits; else an ISO 4217 code, in its smallest unit.
    pub asset: String,
    /// Whose, for `wallet` and `debt`.
    pub wallet_id: Option<WalletId>,
    /// Which lot, for `wallet`.
    pub grant_id: Option<GrantId>,
    /// Into the account where positive, out of it where negative.
    pub amount: i64,
    /// The wallet's `seq` this leg made.
    pub wallet_seq: Option<i64>,
}

/// An account of the ledger.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// `wallet`
    Wallet,
    /// `debt`
    Debt,
    /// `issued_paid`
    IssuedPaid,
    /// `issued_promo`
    IssuedPromo,
    /// `issued_code`
    IssuedCode,
    /// `issued_plan`
    IssuedPlan,
    /// `issued_adjust`
    IssuedAdjust,
    /// `issued_goodwill`
    IssuedGoodwill,
    /// `import`
    Import,
    /// `used`
    Used,
    /// `expired`
    Expired,
    /// `clawback`
    Clawback,
    /// `write_off`
    WriteOff,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
