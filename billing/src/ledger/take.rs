//! Credits that leave a wallet other than for calls: out of its lots in their order, into one account, once.

use super::{
    AdjustError, Adjusted,
    grant::{booked, claim},
    wallet::locked_in,
};
use crate::{
    admission::{Legs, Lot, broken},
    bulk,
};
use entity::{
    Actor, Credits, LedgerTransactionId, Scoped, TenantId, Timestamp, grant,
    ledger_entry::{self, Account},
    ledger_transaction::{self, Kind},
    wallet,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, QueryFilter};

/// Credits to take.
#[derive(Clone, Debug)]
pub(crate) struct Taking {
    /// Whose.
    pub(crate) tenant: TenantId,
    /// How many; more than none.
    pub(crate) amount: Credits,
    /// Out of which lots.
    pub(crate) from: From,
    /// Where they go.
    pub(crate) into: Account,
    /// The happening's own name, unique in the tenant.
    pub(crate) business_key: String,
    /// Who does it.
    pub(crate) actor: Actor,
    /// Why, where a person decided it.
    pub(crate) reason: Option<String>,
}

/// Out of which lots credits are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// Any that has not lapsed.
    Any,
    /// Those that may be spent on anything now: no plan's allowance, none for some models only.
    Own,
}

/// Takes credits, or as many as there are is an error and nothing has changed. What running calls hold stays.
///
/// # Errors
/// [`AdjustError`]; the caller must then roll back.
pub(crate) async fn take_in(
    tx: &impl ConnectionTrait,
    taking: &Taking,
    now: Timestamp,
) -> Result<Adjusted, AdjustError> {
    let amount = taking.amount;
    if !amount.is_positive() || amount > Credits::MAX {
        return Err(AdjustError::OutOfRange);
    }
    let row = transaction_row(taking, now);
    let transaction = row.id;
    if !claim(tx, row).await? {
        return replay(tx, taking).await;
    }
    let mut wallet = locked_in(tx, taking.tenant, now).await?;
    let mut lots = free_lots(tx, &wallet, taking.from, now).await?;
    let taken = spend(&mut lots, amount)?;
    wallet.posted = wallet
        .posted
        .checked_sub(amount)
        .ok_or_else(|| broken("wallet.posted", wallet.id))?;
    wallet.seq = wallet.seq.saturating_add(1);
    wallet.updated_at = now;
    let mut legs = Legs::of(transaction, &wallet);
    for (grant, part) in taken {
        legs.debit_lot(grant, part)?;
    }
    let changed = lots.into_iter().filter(Lot::is_changed).map(|lot| lot.row);
    bulk::replace::<grant::Entity>(tx, changed.collect()).await?;
    bulk::replace::<wallet::Entity>(tx, vec![wallet]).await?;
    bulk::insert::<ledger_entry::Entity>(tx, legs.balanced_by(taking.into)?).await?;
    Ok(Adjusted {
        transaction,
        replay: false,
    })
}

/// How much [`take_in`] would find.
pub(crate) async fn there(
    tx: &impl ConnectionTrait,
    tenant: TenantId,
    from: From,
    now: Timestamp,
) -> Result<Credits, DbErr> {
    let Some(wallet) = wallet::Entity::of(tenant).one(tx).await? else {
        return Ok(Credits::ZERO);
    };
    let lots = free_lots(tx, &wallet, from, now).await?;
    Ok(lots
        .iter()
        .try_fold(Credits::ZERO, |sum, lot| sum.checked_add(lot.free()))
        .unwrap_or(Credits::MAX))
}

fn spend(
    lots: &mut [Lot],
    amount: Credits,
) -> Result<Vec<(entity::GrantId, Credits)>, AdjustError> {
    let mut left = amount;
    let mut taken = Vec::new();
    for lot in lots {
        let part = lot.free().min(left);
        if !part.is_positive() {
            continue;
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
    Ok(taken)
}

async fn free_lots(
    tx: &impl ConnectionTrait,
    wallet: &wallet::Model,
    from: From,
    now: Timestamp,
) -> Result<Vec<Lot>, DbErr> {
    let mut rows = grant::Entity::of(wallet.tenant_id)
        .filter(grant::Column::WalletId.eq(wallet.id))
        .filter(grant::Column::Remaining.gt(0))
        .filter(grant::Column::Status.eq(grant::Status::Active));
    if from == From::Own {
        rows = rows
            .filter(grant::Column::SubscriptionId.is_null())
            .filter(grant::Column::Scope.is_null());
    }
    let fits = |lot: &Lot| match from {
        From::Any => lot.row.expires_at.is_none_or(|end| now < end),
        From::Own => lot.is_current(now),
    };
    let rows = rows.all(tx).await?;
    let mut lots: Vec<Lot> = rows.into_iter().map(Lot::of).filter(fits).collect();
    lots.sort_by_cached_key(Lot::order);
    Ok(lots)
}

fn transaction_row(taking: &Taking, now: Timestamp) -> ledger_transaction::Model {
    ledger_transaction::Model {
        id: LedgerTransactionId::fresh(),
        tenant_id: taking.tenant,
        kind: Kind::Adjust,
        business_key: taking.business_key.clone(),
        effective_at: now,
        posted_at: now,
        actor_kind: taking.actor.kind(),
        actor_id: taking.actor.id(),
        reason: taking.reason.clone(),
        reverses: None,
        detail: None,
    }
}

async fn replay(tx: &impl ConnectionTrait, taking: &Taking) -> Result<Adjusted, AdjustError> {
    let (row, entries) = booked(tx, taking.tenant, &taking.business_key).await?;
    let same = row.kind == Kind::Adjust
        && entries
            .iter()
            .any(|entry| entry.account == taking.into && entry.amount == taking.amount.nanos());
    if !same {
        return Err(AdjustError::KeyInUse);
    }
    Ok(Adjusted {
        transaction: row.id,
        replay: true,
    })
}
