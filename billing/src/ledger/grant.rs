//! Credits that come in: a lot in the wallet, with what they repay of an earlier debt.

use super::wallet::locked_in;
use crate::{
    admission::Legs,
    admission::{Scope, broken},
    bulk,
};
use entity::{
    Actor, CodeId, Credits, Database, GrantId, LedgerTransactionId, OrderId, Platform, Scoped,
    SubscriptionId, TenantId, Timestamp, WalletId, audit_trail,
    grant::{self, Source, Status},
    ledger_entry::{self, Account},
    ledger_transaction::{self, Kind},
    wallet,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter, sea_query::OnConflict,
};

/// Credits to put into a wallet.
#[derive(Clone, Debug)]
pub struct GrantOrder {
    /// Whose wallet; it is opened if need be.
    pub tenant: TenantId,
    /// Where the credits come from.
    pub source: Source,
    /// How many; more than none.
    pub amount: Credits,
    /// Lower is drawn first; none takes the source's own.
    pub priority: Option<i64>,
    /// From when they may be spent.
    pub effective_at: Timestamp,
    /// Until when; none is for ever.
    pub expires_at: Option<Timestamp>,
    /// What they may be spent on.
    pub scope: Scope,
    /// What was paid for them.
    pub cost: Option<Cost>,
    /// The happening's own name, unique in the tenant: it is booked once.
    pub business_key: String,
    /// Who caused it.
    pub actor: Actor,
    /// Why, where a person decided it.
    pub reason: Option<String>,
    /// The order that bought them.
    pub order: Option<OrderId>,
    /// The code that gave them.
    pub code: Option<CodeId>,
    /// The subscription they are the allowance of; while its plan refuses a call they are not drawn for it.
    pub subscription: Option<SubscriptionId>,
}

/// Money that was paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// In the currency's smallest unit.
    pub minor: i64,
    /// ISO 4217, lower case.
    pub currency: String,
}

/// Credits that are in a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The lot.
    pub grant: GrantId,
    /// The transaction that booked it.
    pub transaction: LedgerTransactionId,
    /// How many came in.
    pub amount: Credits,
    /// How many of them repaid a debt.
    pub repaid: Credits,
    /// Whether this had been booked before, so that nothing changed now.
    pub replay: bool,
}

/// Why credits are not granted. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// Not more than none, more than a wallet can hold, or dates the wrong way round.
    #[error("the grant's amount or dates are out of range")]
    OutOfRange,
    /// The business key names another happening of this tenant.
    #[error("the business key has been used for something else")]
    KeyInUse,
    /// The database failed.
    #[error("the store failed")]
    Store(#[from] DbErr),
}

impl GrantOrder {
    /// Credits of a source that may be spent on anything from now on.
    pub fn new(
        tenant: TenantId,
        source: Source,
        amount: Credits,
        business_key: impl Into<String>,
        actor: Actor,
        now: Timestamp,
    ) -> Self {
        Self {
            tenant,
            source,
            amount,
            priority: None,
            effective_at: now,
            expires_at: None,
            scope: Scope::default(),
            cost: None,
            business_key: business_key.into(),
            actor,
            reason: None,
            order: None,
            code: None,
            subscription: None,
        }
    }

    fn is_in_range(&self) -> bool {
        self.amount.is_positive()
            && self.amount <= Credits::MAX
            && self.expires_at.is_none_or(|end| end > self.effective_at)
            && self.cost.as_ref().is_none_or(|cost| cost.minor >= 0)
            && !self.business_key.is_empty()
    }
}

/// Puts credits into a wallet, once for each business key; a debt is repaid first, in the same transaction.
///
/// # Errors
/// [`GrantError`].
pub async fn grant(
    db: &Database,
    order: GrantOrder,
    now: Timestamp,
) -> Result<Granted, GrantError> {
    db.write(move |tx| Box::pin(async move { grant_in(tx, order, now).await }))
        .await
}

/// As [`grant()`], by hand: with a line in the audit trail.
///
/// # Errors
/// [`GrantError`].
pub async fn give(db: &Database, order: GrantOrder, now: Timestamp) -> Result<Granted, GrantError> {
    db.write(move |tx| {
        Box::pin(async move {
            let mut entry = audit_trail::Entry {
                actor: order.actor.clone(),
                action: "wallet.grant",
                subject: ("grant", String::new()),
                tenant: Some(order.tenant),
                reason: order.reason.clone(),
                detail: Some(serde_json::json!({
                    "source": order.source, "amount": order.amount, "models": order.scope.models,
                })),
            };
            let granted = grant_in(tx, order, now).await?;
            if !granted.replay {
                entry.subject = ("grant", granted.grant.to_string());
                audit_trail::append(tx, entry, now).await?;
            }
            Ok(granted)
        })
    })
    .await
}

/// As [`grant()`], in the transaction of what causes it.
///
/// # Errors
/// [`GrantError`]; the caller must then roll back.
pub async fn grant_in(
    tx: &impl ConnectionTrait,
    order: GrantOrder,
    now: Timestamp,
) -> Result<Granted, GrantError> {
    let kind = match order.source {
        Source::Import => Kind::Import,
        Source::Adjust => Kind::Adjust,
        Source::Paid | Source::Promo | Source::Code | Source::Plan | Source::Goodwill => {
            Kind::Grant
        }
    };
    if !order.is_in_range() {
        return Err(GrantError::OutOfRange);
    }
    let transaction = transaction_row(&order, kind, now);
    if !claim(tx, transaction.clone()).await? {
        return replay(tx, &order, kind).await;
    }
    let mut wallet = locked_in(tx, order.tenant, now).await?;
    let repaid = wallet.debt.min(order.amount);
    let lot = lot_row(&order, wallet.id, repaid, now).ok_or(GrantError::OutOfRange)?;
    let granted = Granted {
        grant: lot.id,
        transaction: transaction.id,
        amount: order.amount,
        repaid,
        replay: false,
    };
    credit(&mut wallet, lot.remaining, repaid, now).ok_or(GrantError::OutOfRange)?;
    let mut legs = Legs::of(transaction.id, &wallet);
    legs.credit_lot(lot.id, order.amount)?;
    if repaid.is_positive() {
        legs.debit_lot(lot.id, repaid)?;
        legs.repay(repaid)?;
    }
    let entries = legs.balanced_by(issuing_account(order.source))?;
    bulk::replace::<wallet::Entity>(tx, vec![wallet]).await?;
    bulk::insert::<grant::Entity>(tx, vec![lot]).await?;
    bulk::insert::<ledger_entry::Entity>(tx, entries).await?;
    Ok(granted)
}

/// Writes the transaction's row unless its business key is taken: the claim.
pub(super) async fn claim(
    tx: &impl ConnectionTrait,
    row: ledger_transaction::Model,
) -> Result<bool, DbErr> {
    let key = [
        ledger_transaction::Column::TenantId,
        ledger_transaction::Column::BusinessKey,
    ];
    let inserted = ledger_transaction::Entity::insert_many([row.into_active_model().reset_all()])
        .on_conflict(OnConflict::columns(key).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    Ok(inserted == 1)
}

/// The transaction of a business key that was claimed before, with its entries.
pub(super) async fn booked(
    tx: &impl ConnectionTrait,
    tenant: TenantId,
    business_key: &str,
) -> Result<(ledger_transaction::Model, Vec<ledger_entry::Model>), DbErr> {
    let row = ledger_transaction::Entity::of(tenant)
        .filter(ledger_transaction::Column::BusinessKey.eq(business_key))
        .one(tx)
        .await?
        .ok_or_else(|| broken("ledger_transaction.business_key", business_key))?;
    let entries = ledger_entry::Entity::every()
        .filter(ledger_entry::Column::TransactionId.eq(row.id))
        .all(tx)
        .await?;
    Ok((row, entries))
}

async fn replay(
    tx: &impl ConnectionTrait,
    order: &GrantOrder,
    kind: Kind,
) -> Result<Granted, GrantError> {
    let (row, entries) = booked(tx, order.tenant, &order.business_key).await?;
    let of = |account: Account| {
        let own = entries.iter().filter(move |entry| entry.account == account);
        own.filter(|entry| entry.amount > 0)
    };
    let first = of(Account::Wallet).find_map(|entry| Some((entry.grant_id?, entry.amount)));
    let (Some((grant, amount)), true) = (first, row.kind == kind) else {
        return Err(GrantError::KeyInUse);
    };
    if amount != order.amount.nanos() {
        return Err(GrantError::KeyInUse);
    }
    let repaid = of(Account::Debt).map(|entry| entry.amount).next();
    Ok(Granted {
        grant,
        transaction: row.id,
        amount: order.amount,
        repaid: Credits::from_nanos(repaid.unwrap_or(0)),
        replay: true,
    })
}

fn transaction_row(order: &GrantOrder, kind: Kind, now: Timestamp) -> ledger_transaction::Model {
    ledger_transaction::Model {
        id: LedgerTransactionId::fresh(),
        tenant_id: order.tenant,
        kind,
        business_key: order.business_key.clone(),
        effective_at: now,
        posted_at: now,
        actor_kind: order.actor.kind(),
        actor_id: order.actor.id(),
        reason: order.reason.clone(),
        reverses: None,
        detail: None,
    }
}

fn lot_row(
    order: &GrantOrder,
    wallet_id: WalletId,
    repaid: Credits,
    now: Timestamp,
) -> Option<grant::Model> {
    let remaining = order.amount.checked_sub(repaid)?;
    let scope = if order.scope == Scope::default() {
        None
    } else {
        Some(serde_json::to_string(&order.scope).ok()?)
    };
    Some(grant::Model {
        id: GrantId::fresh(),
        tenant_id: order.tenant,
        wallet_id,
        source: order.source,
        amount: order.amount,
        remaining,
        held: Credits::ZERO,
        priority: order.priority.unwrap_or(default_priority(order.source)),
        effective_at: order.effective_at,
        expires_at: order.expires_at,
        scope,
        cost_minor: order.cost.as_ref().map_or(0, |cost| cost.minor),
        cost_currency: order.cost.as_ref().map(|cost| cost.currency.clone()),
        status: if remaining.is_zero() {
            Status::Exhausted
        } else {
            Status::Active
        },
        subscription_id: order.subscription,
        order_id: order.order,
        code_id: order.code,
        parent_grant_id: None,
        created_at: now,
        legacy_ref: None,
    })
}

/// What lapses or was given is spent before what was bought (ledger.md 6.3).
pub(super) fn default_priority(source: Source) -> i64 {
    match source {
        Source::Plan => 10,
        Source::Promo => 20,
        Source::Code => 30,
        Source::Adjust | Source::Goodwill => 40,
        Source::Paid | Source::Import => 50,
    }
}

fn issuing_account(source: Source) -> Account {
    match source {
        Source::Paid => Account::IssuedPaid,
        Source::Promo => Account::IssuedPromo,
        Source::Code => Account::IssuedCode,
        Source::Plan => Account::IssuedPlan,
        Source::Adjust => Account::IssuedAdjust,
        Source::Goodwill => Account::IssuedGoodwill,
        Source::Import => Account::Import,
    }
}

/// Moves a locked wallet on; `None` past what a wallet may hold.
fn credit(
    wallet: &mut wallet::Model,
    kept: Credits,
    repaid: Credits,
    now: Timestamp,
) -> Option<()> {
    let posted = wallet.posted.checked_add(kept)?;
    (posted <= Credits::MAX).then_some(())?;
    wallet.posted = posted;
    wallet.debt = wallet.debt.checked_sub(repaid)?;
    wallet.seq = wallet.seq.checked_add(1)?;
    wallet.updated_at = now;
    Some(())
}
