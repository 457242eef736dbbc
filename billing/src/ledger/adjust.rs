//! An operator puts a balance right, by hand and with a reason.

use super::{
    GrantError, GrantOrder, grant_in,
    take::{From, Taking, take_in},
};
use entity::{
    Actor, Credits, Database, LedgerTransactionId, TenantId, Timestamp, audit_trail, grant::Source,
    ledger_entry::Account,
};
use sea_orm::{ConnectionTrait, DbErr};

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

impl std::convert::From<GrantError> for AdjustError {
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
    let taking = Taking {
        tenant: adjustment.tenant,
        amount,
        from: From::Any,
        into: Account::IssuedAdjust,
        business_key: adjustment.business_key.clone(),
        actor: adjustment.actor.clone(),
        reason: Some(adjustment.reason.clone()),
    };
    take_in(tx, &taking, now).await
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
