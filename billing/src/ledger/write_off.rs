//! Gives up a debt, whole or in part: D +, WRITEOFF - (ledger.md 6.4).

use super::{
    grant::{booked, claim},
    wallet::locked_in,
};
use crate::{
    admission::{Legs, broken},
    bulk,
};
use entity::{
    Actor, Credits, Database, LedgerTransactionId, TenantId, Timestamp, audit_trail,
    ledger_entry::{self, Account},
    ledger_transaction::{self, Kind},
    wallet,
};
use sea_orm::{ConnectionTrait, DbErr};

/// A debt to give up.
#[derive(Clone, Debug)]
pub struct WriteOff {
    /// Whose.
    pub tenant: TenantId,
    /// How much of it; none is all.
    pub amount: Option<Credits>,
    /// Made by the caller with the form, so that sending it twice books once.
    pub once: String,
    /// Who does it.
    pub actor: Actor,
    /// Why; never blank.
    pub reason: String,
}

/// A debt that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenOff {
    /// The transaction that booked it.
    pub transaction: LedgerTransactionId,
    /// How much.
    pub amount: Credits,
    /// Whether it had been booked before, so that nothing changed now.
    pub replay: bool,
}

/// Why a debt stays. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum WriteOffError {
    /// Say why.
    #[error("a reason is needed")]
    NoReason,
    /// Not more than none.
    #[error("the amount is out of range")]
    OutOfRange,
    /// More than is owed.
    #[error("{debt} credits are owed")]
    TooMuch {
        /// How much is.
        debt: Credits,
    },
    /// The mark of the form names another happening of this tenant.
    #[error("the mark has been used for something else")]
    KeyInUse,
    /// The database failed.
    #[error("the store failed")]
    Store(#[from] DbErr),
}

/// Gives a debt up, once for each mark, and writes the audit trail.
///
/// # Errors
/// [`WriteOffError`].
pub async fn write_off(
    db: &Database,
    order: WriteOff,
    now: Timestamp,
) -> Result<WrittenOff, WriteOffError> {
    db.write(move |tx| Box::pin(async move { write_off_in(tx, order, now).await }))
        .await
}

/// As [`write_off`], in a transaction of the caller's.
///
/// # Errors
/// [`WriteOffError`]; the caller must then roll back.
pub async fn write_off_in(
    tx: &impl ConnectionTrait,
    order: WriteOff,
    now: Timestamp,
) -> Result<WrittenOff, WriteOffError> {
    let reason = order.reason.trim().to_owned();
    if reason.is_empty() {
        return Err(WriteOffError::NoReason);
    }
    let wished = |amount: Credits| amount.is_positive() && amount <= Credits::MAX;
    if order.once.trim().is_empty() || !order.amount.is_none_or(wished) {
        return Err(WriteOffError::OutOfRange);
    }
    let row = ledger_transaction::Model {
        id: LedgerTransactionId::fresh(),
        tenant_id: order.tenant,
        kind: Kind::WriteOff,
        business_key: business_key(&order),
        effective_at: now,
        posted_at: now,
        actor_kind: order.actor.kind(),
        actor_id: order.actor.id(),
        reason: Some(reason.clone()),
        reverses: None,
        detail: None,
    };
    let transaction = row.id;
    if !claim(tx, row).await? {
        return replay(tx, &order).await;
    }
    let mut wallet = locked_in(tx, order.tenant, now).await?;
    let debt = wallet.debt;
    let amount = order.amount.unwrap_or(debt);
    if amount > debt || amount.is_zero() {
        return Err(WriteOffError::TooMuch { debt });
    }
    let left = debt.checked_sub(amount);
    wallet.debt = left.ok_or_else(|| broken("wallet.debt", wallet.id))?;
    wallet.seq = wallet.seq.saturating_add(1);
    wallet.updated_at = now;
    let mut legs = Legs::of(transaction, &wallet);
    legs.repay(amount)?;
    bulk::replace::<wallet::Entity>(tx, vec![wallet]).await?;
    bulk::insert::<ledger_entry::Entity>(tx, legs.balanced_by(Account::WriteOff)?).await?;
    let entry = audit_trail::Entry {
        actor: order.actor,
        action: "wallet.write_off",
        subject: ("ledger_transaction", transaction.to_string()),
        tenant: Some(order.tenant),
        reason: Some(reason),
        detail: Some(serde_json::json!({ "amount": amount })),
    };
    audit_trail::append(tx, entry, now).await?;
    Ok(WrittenOff {
        transaction,
        amount,
        replay: false,
    })
}

fn business_key(order: &WriteOff) -> String {
    format!("wof:{}", order.once.trim())
}

async fn replay(tx: &impl ConnectionTrait, order: &WriteOff) -> Result<WrittenOff, WriteOffError> {
    let (row, entries) = booked(tx, order.tenant, &business_key(order)).await?;
    let given_up = entries
        .iter()
        .find(|entry| entry.account == Account::WriteOff && row.kind == Kind::WriteOff);
    let given_up = given_up.ok_or(WriteOffError::KeyInUse)?;
    let amount = Credits::from_nanos(given_up.amount.saturating_neg());
    if order.amount.is_some_and(|wished| wished != amount) {
        return Err(WriteOffError::KeyInUse);
    }
    Ok(WrittenOff {
        transaction: row.id,
        amount,
        replay: true,
    })
}
