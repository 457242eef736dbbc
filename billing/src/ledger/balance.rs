//! What a tenant has.

use crate::admission::{Lot, broken};
use entity::{
    Credits, Database, Platform, Scoped, TenantId, Timestamp, grant,
    ledger_entry::{self, Account},
    ledger_transaction, wallet,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, ExprTrait, JoinType, QueryFilter,
    QuerySelect,
};

/// A tenant's credits at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// What a call may hold now, if nothing but the amount stood in its way: free lots in their time, and what
    /// is left of the credit line; nothing while in debt.
    pub available: Credits,
    /// What is in the wallet.
    pub posted: Credits,
    /// How much of it running calls hold.
    pub held: Credits,
    /// What is owed.
    pub debt: Credits,
}

/// The tenant's balance; all zero where no wallet was opened.
///
/// # Errors
/// When the database does not answer.
pub async fn balance(db: &Database, tenant: TenantId, now: Timestamp) -> Result<Balance, DbErr> {
    db.snapshot(move |tx| {
        Box::pin(async move {
            let Some(wallet) = wallet::Entity::of(tenant).one(tx).await? else {
                return Ok(Balance::default());
            };
            let lots = grant::Entity::of(tenant)
                .filter(grant::Column::WalletId.eq(wallet.id))
                .filter(grant::Column::Remaining.gt(0))
                .all(tx)
                .await?;
            Ok(Balance {
                available: available(&wallet, lots, now),
                posted: wallet.posted,
                held: wallet.held,
                debt: wallet.debt,
            })
        })
    })
    .await
}

fn available(wallet: &wallet::Model, lots: Vec<grant::Model>, now: Timestamp) -> Credits {
    if wallet.debt > wallet.credit_line {
        return Credits::ZERO;
    }
    let line = wallet
        .credit_line
        .checked_sub(wallet.debt)
        .and_then(|room| room.checked_sub(wallet.debt_held))
        .filter(|room| room.is_positive())
        .unwrap_or(Credits::ZERO);
    lots.into_iter()
        .map(Lot::of)
        .filter(|lot| lot.is_current(now))
        .try_fold(line, |sum, lot| sum.checked_add(lot.free()))
        .unwrap_or(Credits::MAX)
}

/// What a tenant had at a moment of the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BalanceAt {
    /// What was in the wallet.
    pub posted: Credits,
    /// What was owed.
    pub debt: Credits,
}

/// The tenant's balance as it was at the end of a moment: the present one less what was posted since, so that recent
/// moments are cheap however long the books are (law I20). All zero before there was a wallet.
///
/// # Errors
/// When the database does not answer.
pub async fn balance_at(
    db: &Database,
    tenant: TenantId,
    at: Timestamp,
) -> Result<BalanceAt, DbErr> {
    db.snapshot(move |tx| Box::pin(async move { balance_at_in(tx, tenant, at).await }))
        .await
}

pub(super) async fn balance_at_in(
    tx: &impl ConnectionTrait,
    tenant: TenantId,
    at: Timestamp,
) -> Result<BalanceAt, DbErr> {
    let later = Condition::all().add(ledger_transaction::Column::PostedAt.gt(at));
    less_since(tx, tenant, later).await
}

/// The present balance less what transactions that fit the condition posted.
pub(super) async fn less_since(
    tx: &impl ConnectionTrait,
    tenant: TenantId,
    since: Condition,
) -> Result<BalanceAt, DbErr> {
    let Some(wallet) = wallet::Entity::of(tenant).one(tx).await? else {
        return Ok(BalanceAt::default());
    };
    let sums: Vec<(Account, i64)> = ledger_entry::Entity::every()
        .select_only()
        .column(ledger_entry::Column::Account)
        .column_as(
            ledger_entry::Column::Amount.sum().cast_as("bigint"),
            "total",
        )
        .join(
            JoinType::InnerJoin,
            ledger_entry::Entity::belongs_to(ledger_transaction::Entity)
                .from(ledger_entry::Column::TransactionId)
                .to(ledger_transaction::Column::Id)
                .into(),
        )
        .filter(ledger_transaction::Column::TenantId.eq(tenant))
        .filter(since)
        .filter(ledger_entry::Column::WalletId.eq(wallet.id))
        .group_by(ledger_entry::Column::Account)
        .into_tuple()
        .all(tx)
        .await?;
    let of = |account: Account| {
        let own = sums.iter().filter(|(named, _)| *named == account);
        own.fold(0_i64, |sum, (_, amount)| sum.saturating_add(*amount))
    };
    let minus = |now: Credits, moved: i64| {
        now.checked_sub(Credits::from_nanos(moved))
            .ok_or_else(|| broken("ledger_entry.amount", wallet.id))
    };
    Ok(BalanceAt {
        posted: minus(wallet.posted, of(Account::Wallet))?,
        // Debt entries are negative while something is owed.
        debt: minus(wallet.debt, of(Account::Debt).saturating_neg())?,
    })
}
