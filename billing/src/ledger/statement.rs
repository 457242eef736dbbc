//! What moved a tenant's credits, newest first, with the balance after each line; and one posting with the calls behind
//! it.

use super::balance::less_since;
use entity::{
    Credits, Database, GrantId, HoldId, LedgerTransactionId, Platform, Scoped, TenantId, Timestamp,
    grant,
    ledger_entry::{self, Account},
    ledger_transaction, usage, usage_adjustment, usage_allocation,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, QueryFilter, QueryOrder, QuerySelect,
};
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
    /// What was in the wallet afterwards.
    pub balance: Credits,
    /// The lot, where there is one alone.
    pub grant: Option<GrantId>,
}

/// Which lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// Posted at or after this moment.
    pub from: Option<Timestamp>,
    /// Posted before this moment.
    pub until: Option<Timestamp>,
}

/// Lines that are read at once.
const PAGE_MAX: u64 = 500;
/// Lines of one export at most.
pub const STATEMENT_MAX: usize = 20_000;
/// Calls behind a posting that are shown.
const CALLS_MAX: u64 = 500;

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
    let limit = limit.min(PAGE_MAX);
    db.snapshot(move |tx| {
        Box::pin(async move { page(tx, tenant, Period::default(), before, limit).await })
    })
    .await
}

/// All lines of a period, newest first; at most [`STATEMENT_MAX`] and one, which says that there are more.
///
/// # Errors
/// When the database does not answer.
pub async fn statement_of(
    db: &Database,
    tenant: TenantId,
    period: Period,
) -> Result<Vec<Line>, DbErr> {
    db.snapshot(move |tx| {
        Box::pin(async move {
            let mut lines: Vec<Line> = Vec::new();
            while lines.len() <= STATEMENT_MAX {
                let before = lines.last().map(|line| line.transaction.id);
                let mut more = page(tx, tenant, period, before, PAGE_MAX).await?;
                if more.is_empty() {
                    break;
                }
                lines.append(&mut more);
            }
            lines.truncate(STATEMENT_MAX.saturating_add(1));
            Ok(lines)
        })
    })
    .await
}

async fn page(
    tx: &impl ConnectionTrait,
    tenant: TenantId,
    period: Period,
    before: Option<LedgerTransactionId>,
    limit: u64,
) -> Result<Vec<Line>, DbErr> {
    let mut query = ledger_transaction::Entity::of(tenant);
    if let Some(before) = before {
        query = query.filter(ledger_transaction::Column::Id.lt(before));
    }
    if let Some(from) = period.from {
        query = query.filter(ledger_transaction::Column::PostedAt.gte(from));
    }
    if let Some(until) = period.until {
        query = query.filter(ledger_transaction::Column::PostedAt.lt(until));
    }
    let transactions = query
        .order_by_desc(ledger_transaction::Column::Id)
        .limit(limit)
        .all(tx)
        .await?;
    let Some(newest) = transactions.first() else {
        return Ok(Vec::new());
    };
    let newer = Condition::all().add(ledger_transaction::Column::Id.gt(newest.id));
    let mut balance = less_since(tx, tenant, newer).await?.posted;
    let mut by_transaction = entries(tx, transactions.iter().map(|row| row.id)).await?;
    let mut lines = Vec::with_capacity(transactions.len());
    for transaction in transactions {
        let entries = by_transaction.remove(&transaction.id).unwrap_or_default();
        let line = line(transaction, &entries, balance);
        balance = balance.checked_sub(line.change).unwrap_or(Credits::ZERO);
        lines.push(line);
    }
    Ok(lines)
}

async fn entries(
    tx: &impl ConnectionTrait,
    transactions: impl IntoIterator<Item = LedgerTransactionId>,
) -> Result<HashMap<LedgerTransactionId, Vec<ledger_entry::Model>>, DbErr> {
    let entries = ledger_entry::Entity::every()
        .filter(ledger_entry::Column::TransactionId.is_in(transactions))
        .filter(ledger_entry::Column::WalletId.is_not_null())
        .order_by_asc(ledger_entry::Column::N)
        .all(tx)
        .await?;
    let mut by_transaction: HashMap<_, Vec<_>> = HashMap::new();
    for entry in entries {
        by_transaction
            .entry(entry.transaction_id)
            .or_default()
            .push(entry);
    }
    Ok(by_transaction)
}

fn line(
    transaction: ledger_transaction::Model,
    entries: &[ledger_entry::Model],
    balance: Credits,
) -> Line {
    let sum = |account: Account| {
        let own = entries.iter().filter(|entry| entry.account == account);
        Credits::from_nanos(own.fold(0, |sum: i64, entry| sum.saturating_add(entry.amount)))
    };
    let mut grants: Vec<GrantId> = entries.iter().filter_map(|entry| entry.grant_id).collect();
    grants.dedup();
    Line {
        change: sum(Account::Wallet),
        debt_change: sum(Account::Debt),
        balance,
        grant: match grants.as_slice() {
            [one] => Some(*one),
            _ => None,
        },
        transaction,
    }
}

/// One transaction with what is behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// What happened, when and why.
    pub transaction: ledger_transaction::Model,
    /// What it moved in the tenant's wallet.
    pub legs: Vec<Leg>,
    /// The calls that it charged or gave back of, the newest first; at most 500.
    pub calls: Vec<Paid>,
}

/// What a transaction moved in one lot, or of the debt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The lot; none is the debt.
    pub lot: Option<grant::Model>,
    /// Into it where positive, out of it where negative.
    pub amount: Credits,
}

/// A call behind a posting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paid {
    /// The call.
    pub call: usage::Model,
    /// What paid for it, in the order drawn; none is debt.
    pub allocations: Vec<(Option<GrantId>, Credits)>,
    /// What this posting gave back of it.
    pub given_back: Option<Credits>,
}

/// One transaction of the tenant with the lots it moved and the calls behind it.
///
/// # Errors
/// When the database does not answer.
pub async fn posting(
    db: &Database,
    tenant: TenantId,
    id: LedgerTransactionId,
) -> Result<Option<Posting>, DbErr> {
    db.snapshot(move |tx| Box::pin(async move { posting_in(tx, tenant, id).await }))
        .await
}

async fn posting_in(
    tx: &impl ConnectionTrait,
    tenant: TenantId,
    id: LedgerTransactionId,
) -> Result<Option<Posting>, DbErr> {
    let Some(transaction) = ledger_transaction::Entity::of(tenant)
        .filter(ledger_transaction::Column::Id.eq(id))
        .one(tx)
        .await?
    else {
        return Ok(None);
    };
    let entries = entries(tx, [id]).await?.remove(&id).unwrap_or_default();
    let lots = grant::Entity::of(tenant)
        .filter(grant::Column::Id.is_in(entries.iter().filter_map(|entry| entry.grant_id)))
        .all(tx)
        .await?;
    let legs = entries.into_iter().map(|entry| Leg {
        lot: lots
            .iter()
            .find(|lot| Some(lot.id) == entry.grant_id)
            .cloned(),
        amount: Credits::from_nanos(entry.amount),
    });
    Ok(Some(Posting {
        legs: legs.collect(),
        calls: calls(tx, tenant, id).await?,
        transaction,
    }))
}

async fn calls(
    tx: &impl ConnectionTrait,
    tenant: TenantId,
    id: LedgerTransactionId,
) -> Result<Vec<Paid>, DbErr> {
    let adjustments: HashMap<HoldId, Credits> = usage_adjustment::Entity::of(tenant)
        .filter(usage_adjustment::Column::TransactionId.eq(id))
        .all(tx)
        .await?
        .into_iter()
        .map(|row| (row.usage_id, row.amount))
        .collect();
    let behind = Condition::any()
        .add(usage::Column::TransactionId.eq(id))
        .add(usage::Column::Id.is_in(adjustments.keys().copied()));
    let calls = usage::Entity::of(tenant)
        .filter(behind)
        .order_by_desc(usage::Column::Id)
        .limit(CALLS_MAX)
        .all(tx)
        .await?;
    let mut allocations: HashMap<HoldId, Vec<_>> = HashMap::new();
    let rows = usage_allocation::Entity::every()
        .filter(usage_allocation::Column::UsageId.is_in(calls.iter().map(|call| call.id)))
        .order_by_asc(usage_allocation::Column::N)
        .all(tx)
        .await?;
    for row in rows {
        let parts = allocations.entry(row.usage_id).or_default();
        parts.push((row.grant_id, row.amount));
    }
    Ok(calls
        .into_iter()
        .map(|call| Paid {
            allocations: allocations.remove(&call.id).unwrap_or_default(),
            given_back: adjustments.get(&call.id).copied(),
            call,
        })
        .collect())
}
