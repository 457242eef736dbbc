//! Gives back what one call cost, whole or in part: the recorded allocations are unwound, the last first (ledger.md 6.4).

use super::{
    grant::{booked, claim, default_priority},
    wallet::locked_in,
};
use crate::{
    admission::{Legs, broken},
    bulk,
};
use entity::{
    Actor, Credits, Database, GrantId, HoldId, LedgerTransactionId, Platform, Scoped, TenantId,
    Timestamp, UsageAdjustmentId, audit_trail,
    grant::{self, Source, Status},
    ledger_entry::{self, Account},
    ledger_transaction::{self, Kind},
    usage, usage_adjustment, usage_allocation, wallet,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, QueryFilter, QueryOrder};

/// Credits of a call to give back.
#[derive(Clone, Debug)]
pub struct CallRefund {
    /// Whose call.
    pub tenant: TenantId,
    /// Which.
    pub call: HoldId,
    /// How many; none is all that is left of its charge.
    pub amount: Option<Credits>,
    /// Made by the caller with the form, so that sending it twice books once.
    pub once: String,
    /// Who does it.
    pub actor: Actor,
    /// Why; its member reads it. Never blank.
    pub reason: String,
}

/// Credits of a call that were given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRefunded {
    /// The transaction that booked it.
    pub transaction: LedgerTransactionId,
    /// How many.
    pub amount: Credits,
    /// Whether it had been booked before, so that nothing changed now.
    pub replay: bool,
}

/// Why nothing is given back. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum CallRefundError {
    /// Say why.
    #[error("a reason is needed")]
    NoReason,
    /// The tenant has no call of this id that has ended.
    #[error("no such call")]
    NoCall,
    /// Not more than none.
    #[error("the amount is out of range")]
    OutOfRange,
    /// More than is left of what the call cost.
    #[error("{left} credits of the call are left to give back")]
    TooMuch {
        /// How many are.
        left: Credits,
    },
    /// The mark of the form names another happening of this tenant.
    #[error("the mark has been used for something else")]
    KeyInUse,
    /// The database failed.
    #[error("the store failed")]
    Store(#[from] DbErr),
}

/// A part of what paid for the call, to be unwound.
#[derive(Clone, Copy, Debug)]
struct Part {
    grant: Option<GrantId>,
    amount: Credits,
}

/// Gives credits of a call back, once for each mark, and writes the audit trail. Lots get back what they paid; what a lot
/// that has lapsed or was revoked had paid comes as a new lot of goodwill; a debt is repaid first.
///
/// # Errors
/// [`CallRefundError`].
pub async fn refund_call(
    db: &Database,
    refund: CallRefund,
    now: Timestamp,
) -> Result<CallRefunded, CallRefundError> {
    db.write(move |tx| Box::pin(async move { refund_call_in(tx, refund, now).await }))
        .await
}

/// As [`refund_call`], in a transaction of the caller's.
///
/// # Errors
/// [`CallRefundError`]; the caller must then roll back.
pub async fn refund_call_in(
    tx: &impl ConnectionTrait,
    refund: CallRefund,
    now: Timestamp,
) -> Result<CallRefunded, CallRefundError> {
    if refund.reason.trim().is_empty() {
        return Err(CallRefundError::NoReason);
    }
    let wished = |amount: Credits| amount.is_positive() && amount <= Credits::MAX;
    if refund.once.trim().is_empty() || !refund.amount.is_none_or(wished) {
        return Err(CallRefundError::OutOfRange);
    }
    let call = usage::Entity::of(refund.tenant)
        .filter(usage::Column::Id.eq(refund.call))
        .one(tx)
        .await?
        .ok_or(CallRefundError::NoCall)?;
    let row = transaction_row(&refund, now);
    let transaction = row.id;
    if !claim(tx, row).await? {
        return replay(tx, &refund).await;
    }
    let mut wallet = locked_in(tx, refund.tenant, now).await?;
    let before = given_back(tx, refund.tenant, refund.call).await?;
    let left = call.charge.checked_sub(before);
    let left = left.ok_or_else(|| broken("usage_adjustment.amount", call.id))?;
    let amount = refund.amount.unwrap_or(left);
    if amount > left || amount.is_zero() {
        return Err(CallRefundError::TooMuch { left });
    }
    let parts = unwound(tx, &call, before, amount).await?;
    let mut unwinding = Unwinding::of(tx, &mut wallet, &parts, now).await?;
    let mut legs = Legs::of(transaction, &unwinding.wallet);
    unwinding.post(&mut legs, &parts, now)?;
    let Unwinding { wallet, lots, .. } = unwinding;
    let adjustment = usage_adjustment::Model {
        id: UsageAdjustmentId::fresh(),
        tenant_id: refund.tenant,
        usage_id: refund.call,
        transaction_id: transaction,
        amount,
        reason: refund.reason.trim().to_owned(),
        created_at: now,
    };
    bulk::replace::<wallet::Entity>(tx, vec![wallet]).await?;
    bulk::replace::<grant::Entity>(tx, lots).await?;
    bulk::insert::<ledger_entry::Entity>(tx, legs.balanced_by(Account::Used)?).await?;
    bulk::insert::<usage_adjustment::Entity>(tx, vec![adjustment]).await?;
    trail(tx, &refund, amount, now).await?;
    Ok(CallRefunded {
        transaction,
        amount,
        replay: false,
    })
}

/// How many credits of a call were given back so far.
///
/// # Errors
/// When the database does not answer.
pub async fn given_back(
    db: &impl ConnectionTrait,
    tenant: TenantId,
    call: HoldId,
) -> Result<Credits, DbErr> {
    let rows = usage_adjustment::Entity::of(tenant)
        .filter(usage_adjustment::Column::UsageId.eq(call))
        .all(db)
        .await?;
    rows.iter()
        .try_fold(Credits::ZERO, |sum, row| sum.checked_add(row.amount))
        .ok_or_else(|| broken("usage_adjustment.amount", call))
}

/// What paid for the part of the charge that comes back now: counted from the last allocation, past what came back
/// before.
async fn unwound(
    tx: &impl ConnectionTrait,
    call: &usage::Model,
    before: Credits,
    amount: Credits,
) -> Result<Vec<Part>, DbErr> {
    let allocations = usage_allocation::Entity::every()
        .filter(usage_allocation::Column::UsageId.eq(call.id))
        .order_by_desc(usage_allocation::Column::N)
        .all(tx)
        .await?;
    let (mut skip, mut left) = (before, amount);
    let mut parts = Vec::new();
    for allocation in allocations {
        let skipped = skip.min(allocation.amount);
        let open = minus(allocation.amount, skipped, call.id)?;
        skip = minus(skip, skipped, call.id)?;
        let part = open.min(left);
        left = minus(left, part, call.id)?;
        if part.is_positive() {
            parts.push(Part {
                grant: allocation.grant_id,
                amount: part,
            });
        }
    }
    if left.is_positive() {
        return Err(broken("usage_allocation.amount", call.id));
    }
    Ok(parts)
}

fn minus(a: Credits, b: Credits, call: HoldId) -> Result<Credits, DbErr> {
    a.checked_sub(b)
        .filter(|rest| !rest.is_negative())
        .ok_or_else(|| broken("usage_allocation.amount", call))
}

/// The wallet and the lots that credits come back to.
struct Unwinding {
    wallet: wallet::Model,
    lots: Vec<grant::Model>,
}

impl Unwinding {
    async fn of(
        tx: &impl ConnectionTrait,
        wallet: &mut wallet::Model,
        parts: &[Part],
        now: Timestamp,
    ) -> Result<Self, DbErr> {
        wallet.seq = wallet.seq.saturating_add(1);
        wallet.updated_at = now;
        let lots = grant::Entity::of(wallet.tenant_id)
            .filter(grant::Column::Id.is_in(parts.iter().filter_map(|part| part.grant)))
            .all(tx)
            .await?;
        Ok(Self {
            wallet: wallet.clone(),
            lots,
        })
    }

    /// Puts every part where it came from, or into a lot of goodwill, and then repays what is owed.
    fn post(&mut self, legs: &mut Legs, parts: &[Part], now: Timestamp) -> Result<(), DbErr> {
        let mut goodwill = Credits::ZERO;
        let mut back: Vec<(GrantId, Credits)> = Vec::new();
        for part in parts {
            match part.grant.filter(|grant| self.takes(*grant, now)) {
                Some(grant) => {
                    self.restore(grant, part.amount)?;
                    legs.credit_lot(grant, part.amount)?;
                    back.push((grant, part.amount));
                }
                None => goodwill = plus(goodwill, part.amount, self.wallet.id)?,
            }
        }
        if goodwill.is_positive() {
            let lot = goodwill_lot(&self.wallet, goodwill, now);
            legs.credit_lot(lot.id, goodwill)?;
            back.push((lot.id, goodwill));
            self.lots.push(lot);
        }
        let total = back.iter().try_fold(Credits::ZERO, |sum, (_, amount)| {
            plus(sum, *amount, self.wallet.id)
        })?;
        self.wallet.posted = plus(self.wallet.posted, total, self.wallet.id)?;
        self.repay(legs, &back)
    }

    /// Whether a lot can take back what it paid: it neither lapsed nor was revoked.
    fn takes(&self, grant: GrantId, now: Timestamp) -> bool {
        self.lots.iter().any(|lot| {
            let alive = match lot.status {
                Status::Active | Status::Exhausted | Status::Frozen => true,
                Status::Pending | Status::Expired | Status::Revoked => false,
            };
            lot.id == grant && alive && lot.expires_at.is_none_or(|end| now < end)
        })
    }

    fn restore(&mut self, grant: GrantId, amount: Credits) -> Result<(), DbErr> {
        let lot = self.lot(grant)?;
        let remaining = lot.remaining.checked_add(amount);
        lot.remaining = remaining
            .filter(|remaining| *remaining <= lot.amount)
            .ok_or_else(|| broken("grant.remaining", grant))?;
        if lot.status == Status::Exhausted {
            lot.status = Status::Active;
        }
        Ok(())
    }

    fn repay(&mut self, legs: &mut Legs, back: &[(GrantId, Credits)]) -> Result<(), DbErr> {
        let mut repaid = Credits::ZERO;
        for (grant, amount) in back {
            let owed = minus_debt(self.wallet.debt, repaid, &self.wallet)?;
            let part = owed.min(*amount);
            if !part.is_positive() {
                break;
            }
            let lot = self.lot(*grant)?;
            // A frozen lot's credits are not free to repay anything.
            if lot.status == Status::Frozen {
                continue;
            }
            let remaining = lot.remaining.checked_sub(part);
            lot.remaining = remaining.ok_or_else(|| broken("grant.remaining", *grant))?;
            if lot.remaining.is_zero() {
                lot.status = Status::Exhausted;
            }
            legs.debit_lot(*grant, part)?;
            repaid = plus(repaid, part, self.wallet.id)?;
        }
        if repaid.is_positive() {
            legs.repay(repaid)?;
            self.wallet.posted = minus_debt(self.wallet.posted, repaid, &self.wallet)?;
            self.wallet.debt = minus_debt(self.wallet.debt, repaid, &self.wallet)?;
        }
        Ok(())
    }

    fn lot(&mut self, grant: GrantId) -> Result<&mut grant::Model, DbErr> {
        self.lots
            .iter_mut()
            .find(|lot| lot.id == grant)
            .ok_or_else(|| broken("usage_allocation.grant_id", grant))
    }
}

fn plus(a: Credits, b: Credits, wallet: entity::WalletId) -> Result<Credits, DbErr> {
    a.checked_add(b)
        .filter(|sum| *sum <= Credits::MAX)
        .ok_or_else(|| broken("wallet.posted", wallet))
}

fn minus_debt(a: Credits, b: Credits, wallet: &wallet::Model) -> Result<Credits, DbErr> {
    a.checked_sub(b)
        .filter(|rest| !rest.is_negative())
        .ok_or_else(|| broken("wallet.debt", wallet.id))
}

fn goodwill_lot(wallet: &wallet::Model, amount: Credits, now: Timestamp) -> grant::Model {
    grant::Model {
        id: GrantId::fresh(),
        tenant_id: wallet.tenant_id,
        wallet_id: wallet.id,
        source: Source::Goodwill,
        amount,
        remaining: amount,
        held: Credits::ZERO,
        priority: default_priority(Source::Goodwill),
        effective_at: now,
        expires_at: None,
        scope: None,
        cost_minor: 0,
        cost_currency: None,
        status: Status::Active,
        subscription_id: None,
        order_id: None,
        code_id: None,
        parent_grant_id: None,
        created_at: now,
        legacy_ref: None,
    }
}

fn business_key(refund: &CallRefund) -> String {
    format!("corr:{}:{}", refund.call, refund.once.trim())
}

fn transaction_row(refund: &CallRefund, now: Timestamp) -> ledger_transaction::Model {
    ledger_transaction::Model {
        id: LedgerTransactionId::fresh(),
        tenant_id: refund.tenant,
        kind: Kind::Correct,
        business_key: business_key(refund),
        effective_at: now,
        posted_at: now,
        actor_kind: refund.actor.kind(),
        actor_id: refund.actor.id(),
        reason: Some(refund.reason.trim().to_owned()),
        reverses: None,
        detail: Some(serde_json::json!({ "call": refund.call.to_string() }).to_string()),
    }
}

async fn replay(
    tx: &impl ConnectionTrait,
    refund: &CallRefund,
) -> Result<CallRefunded, CallRefundError> {
    let (row, entries) = booked(tx, refund.tenant, &business_key(refund)).await?;
    let used = entries
        .iter()
        .find(|entry| entry.account == Account::Used && row.kind == Kind::Correct);
    let used = used.ok_or(CallRefundError::KeyInUse)?;
    let amount = Credits::from_nanos(used.amount.saturating_neg());
    if refund.amount.is_some_and(|wished| wished != amount) {
        return Err(CallRefundError::KeyInUse);
    }
    Ok(CallRefunded {
        transaction: row.id,
        amount,
        replay: true,
    })
}

async fn trail(
    tx: &impl ConnectionTrait,
    refund: &CallRefund,
    amount: Credits,
    now: Timestamp,
) -> Result<(), DbErr> {
    let entry = audit_trail::Entry {
        actor: refund.actor.clone(),
        action: "usage.refund",
        subject: ("usage", refund.call.to_string()),
        tenant: Some(refund.tenant),
        reason: Some(refund.reason.trim().to_owned()),
        detail: Some(serde_json::json!({ "amount": amount })),
    };
    audit_trail::append(tx, entry, now).await
}
