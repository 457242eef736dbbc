//! What moved a tenant's credits, newest first.

use entity::{
    Credits, Database, GrantId, LedgerTransactionId, Platform, Scoped, TenantId,
    ledger_entry::{self, Account},
    ledger_transaction,
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder, QuerySelect};
use std::collections::HashMap;

/// One transaction as its tenant sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What happened, when and why.
    pub transaction: ledger_transaction::Model,
    /// What came into the wallet, or left it where negative.
    pub change: Credits,
    /// What became debt where negative, or repaid it.
    pub debt_change: Credits,
    /// The lot, where there is one alone.
    pub grant: Option<GrantId>,
}

/// Lines a page may have.
const PAGE_MAX: u64 = 500;

/// A page of at most `limit` lines that are older than `before`, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn statement(
    db: &Database,
    tenant: TenantId,
    before: Option<LedgerTransactionId>,
    limit: u64,
) -> Result<Vec<Line>, DbErr> {
    let mut query = ledger_transaction::Entity::of(tenant);
    if let Some(before) = before {
        query = query.filter(ledger_transaction::Column::Id.lt(before));
    }
    let transactions = query
        .order_by_desc(ledger_transaction::Column::Id)
        .limit(limit.min(PAGE_MAX))
        .all(db.read())
        .await?;
    let entries = ledger_entry::Entity::every()
        .filter(ledger_entry::Column::TransactionId.is_in(transactions.iter().map(|row| row.id)))
        .filter(ledger_entry::Column::WalletId.is_not_null())
        .all(db.read())
        .await?;
    let mut by_transaction: HashMap<_, Vec<_>> = HashMap::new();
    for entry in entries {
        by_transaction
            .entry(entry.transaction_id)
            .or_default()
            .push(entry);
    }
    Ok(transactions
        .into_iter()
        .map(|transaction| {
            let entries = by_transaction.remove(&transaction.id).unwrap_or_default();
            line(transaction, &entries)
        })
        .collect())
}

fn line(transaction: ledger_transaction::Model, entries: &[ledger_entry::Model]) -> Line {
    let sum = |account: Account| {
        let own = entries.iter().filter(|entry| entry.account == account);
        Credits::from_nanos(own.fold(0, |sum: i64, entry| sum.saturating_add(entry.amount)))
    };
    let mut grants: Vec<GrantId> = entries.iter().filter_map(|entry| entry.grant_id).collect();
    grants.dedup();
    Line {
        change: sum(Account::Wallet),
        debt_change: sum(Account::Debt),
        grant: match grants.as_slice() {
            [one] => Some(*one),
            _ => None,
        },
        transaction,
    }
}
