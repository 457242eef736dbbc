//! An operator puts a balance right, by hand and with a reason.

use super::{
    GrantError, GrantOrder,
    grant::{booked, claim},
    grant_in,
    wallet::locked_in,
};
use crate::{
    admission::{Legs, Lot, broken},
    bulk,
};
use entity::{
    Actor, Credits, Database, LedgerTransactionId, Scoped, TenantId, Timestamp, audit_trail,
    grant::{self, Source},
    ledger_entry::{self, Account},
    ledger_transaction::{self, Kind},
    wallet,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, QueryFilter};

/// A balance to put right.
#[derive(Clone, Debug)]
pub struct Adjustment {
    /// Whose.
    pub tenant: TenantId,
    /// Which way.
    pub change: Change,
    /// The happening's own name, unique in the tenant: it is booked once.
    pub business_key: String,
    /// Who does it.
    pub actor: Actor,
    /// Why; never blank.
    pub reason: String,
}

/// Which way a balance moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// More credits, until a date or for ever.
    Credit {
        /// How many.
        amount: Credits,
        /// Until when.
        expires_at: Option<Timestamp>,
    },
    /// Fewer; what running calls hold is never touched.
    Debit {
        /// How many.
        amount: Credits,
    },
}

/// A balance that was put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adjusted {
    /// The transaction that booked it.
    pub transaction: LedgerTransactionId,
    /// Whether it had been booked before, so that nothing changed now.
    pub replay: bool,
}

/// Why a balance is not put right. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum AdjustError {
    /// Say why.
    #[error("a reason is needed")]
    NoReason,
    /// Not more than none, or more than a wallet can hold.
    #[error("the amount is out of range")]
    OutOfRange,
    /// Take less: the rest is spent, or held by running calls.
    #[error("{available} credits are there to take")]
    NotThere {
        /// How much may be taken.
        available: Credits,
    },
    /// The business key names another happening of this tenant.
    #[error("the business key has been used for something else")]
    KeyInUse,
    /// The database failed.
    #[error("the store failed")]
    Store(#[from] DbErr),
}

impl From<GrantError> for AdjustError {
    fn from(fault: GrantError) -> Self {
        match fault {
            GrantError::OutOfRange => Self::OutOfRange,
            GrantError::KeyInUse => Self::KeyInUse,
            GrantError::Store(fault) => Self::Store(fault),
        }
    }
}

/// Moves a balance by hand, once for each business key, and writes the audit trail.
///
/// # Errors
/// [`AdjustError`].
pub async fn adjust(
    db: &Database,
    adjustment: Adjustment,
    now: Timestamp,
) -> Result<Adjusted, AdjustError> {
    db.write(move |tx| Box::pin(async move { adjust_in(tx, adjustment, now).await }))
        .await
}

/// As [`adjust`], in a transaction of the caller's.
///
/// # Errors
/// [`AdjustError`]; the caller must then roll back.
pub async fn adjust_in(
    tx: &impl ConnectionTrait,
    adjustment: Adjustment,
    now: Timestamp,
) -> Result<Adjusted, AdjustError> {
    if adjustment.reason.trim().is_empty() {
        return Err(AdjustError::NoReason);
    }
    let adjusted = match adjustment.change {
        Change::Credit { amount, expires_at } => {
            credit(tx, &adjustment, amount, expires_at, now).await?
        }
        Change::Debit { amount } => debit(tx, &adjustment, amount, now).await?,
    };
    if !adjusted.replay {
        trail(tx, &adjustment, adjusted, now).await?;
    }
    Ok(adjusted)
}

async fn credit(
    tx: &impl ConnectionTrait,
    adjustment: &Adjustment,
    amount: Credits,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Adjusted, AdjustError> {
    let order = GrantOrder {
        expires_at,
        reason: Some(adjustment.reason.clone()),
        ..GrantOrder::new(
            adjustment.tenant,
            Source::Adjust,
            amount,
            adjustment.business_key.clone(),
            adjustment.actor.clone(),
            now,
        )
    };
    let granted = grant_in(tx, order, now).await?;
    Ok(Adjusted {
        transaction: granted.transaction,
        replay: granted.replay,
    })
}

/// Out of the lots in their order, into `issued_adjust`.
async fn debit(
    tx: &impl ConnectionTrait,
    adjustment: &Adjustment,
    amount: Credits,
    now: Timestamp,
) -> Result<Adjusted, AdjustError> {
    if !amount.is_positive() || amount > Credits::MAX {
        return Err(AdjustError::OutOfRange);
    }
    let row = ledger_transaction::Model {
        id: LedgerTransactionId::fresh(),
        tenant_id: adjustment.tenant,
        kind: Kind::Adjust,
        business_key: adjustment.business_key.clone(),
        effective_at: now,
        posted_at: now,
        actor_kind: adjustment.actor.kind(),
        actor_id: adjustment.actor.id(),
        reason: Some(adjustment.reason.clone()),
        reverses: None,
        detail: None,
    };
    let transaction = row.id;
    if !claim(tx, row).await? {
        return replay(tx, adjustment, amount).await;
    }
    let mut wallet = locked_in(tx, adjustment.tenant, now).await?;
    let mut lots = free_lots(tx, &wallet, now).await?;
    let mut left = amount;
    let mut taken = Vec::new();
    for lot in &mut lots {
        let part = lot.free().min(left);
        if !part.is_positive() {
            break;
        }
        let grant = lot.row.id;
        lot.spend(part)
            .ok_or_else(|| broken("grant.remaining", grant))?;
        left = left.checked_sub(part).unwrap_or(Credits::ZERO);
        taken.push((grant, part));
    }
    if left.is_positive() {
        let available = amount.checked_sub(left).unwrap_or(Credits::ZERO);
        return Err(AdjustError::NotThere { available });
    }
    let posted = wallet.posted.checked_sub(amount);
    wallet.posted = posted.ok_or_else(|| broken("wallet.posted", wallet.id))?;
    wallet.seq = wallet.seq.saturating_add(1);
    wallet.updated_at = now;
    let mut legs = Legs::of(transaction, &wallet);
    for (grant, part) in taken {
        legs.debit_lot(grant, part)?;
    }
    let changed = lots.into_iter().filter(Lot::is_changed).map(|lot| lot.row);
    bulk::replace::<grant::Entity>(tx, changed.collect()).await?;
    bulk::replace::<wallet::Entity>(tx, vec![wallet]).await?;
    bulk::insert::<ledger_entry::Entity>(tx, legs.balanced_by(Account::IssuedAdjust)?).await?;
    Ok(Adjusted {
        transaction,
        replay: false,
    })
}

async fn free_lots(
    tx: &impl ConnectionTrait,
    wallet: &wallet::Model,
    now: Timestamp,
) -> Result<Vec<Lot>, DbErr> {
    let rows = grant::Entity::of(wallet.tenant_id)
        .filter(grant::Column::WalletId.eq(wallet.id))
        .filter(grant::Column::Remaining.gt(0))
        .filter(grant::Column::Status.eq(grant::Status::Active))
        .all(tx)
        .await?;
    let in_time = |lot: &Lot| lot.row.expires_at.is_none_or(|end| now < end);
    let mut lots: Vec<Lot> = rows.into_iter().map(Lot::of).filter(in_time).collect();
    lots.sort_by_cached_key(Lot::order);
    Ok(lots)
}

async fn replay(
    tx: &impl ConnectionTrait,
    adjustment: &Adjustment,
    amount: Credits,
) -> Result<Adjusted, AdjustError> {
    let (row, entries) = booked(tx, adjustment.tenant, &adjustment.business_key).await?;
    let same = row.kind == Kind::Adjust
        && entries
            .iter()
            .any(|entry| entry.account == Account::IssuedAdjust && entry.amount == amount.nanos());
    if !same {
        return Err(AdjustError::KeyInUse);
    }
    Ok(Adjusted {
        transaction: row.id,
        replay: true,
    })
}

async fn trail(
    tx: &impl ConnectionTrait,
    adjustment: &Adjustment,
    adjusted: Adjusted,
    now: Timestamp,
) -> Result<(), DbErr> {
    let (action, amount) = match adjustment.change {
        Change::Credit { amount, .. } => ("wallet.credit", amount),
        Change::Debit { amount } => ("wallet.debit", amount),
    };
    let entry = audit_trail::Entry {
        actor: adjustment.actor.clone(),
        action,
        subject: ("ledger_transaction", adjusted.transaction.to_string()),
        tenant: Some(adjustment.tenant),
        reason: Some(adjustment.reason.clone()),
        detail: Some(serde_json::json!({ "amount": amount })),
    };
    audit_trail::append(tx, entry, now).await
}
