//! Credits that move from one period of a subscription to the next: out of the lots that lapse, into a lot of their own.

use super::{grant::claim, wallet::locked_in};
use crate::{
    admission::{Legs, Lot, broken},
    bulk,
};
use entity::{
    Actor, Credits, GrantId, LedgerTransactionId, Scoped, SubscriptionId, TenantId, Timestamp, Tx,
    grant::{self, Source, Status},
    ledger_entry::{self, Account},
    ledger_transaction::{self, Kind},
    wallet,
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter};

/// What moves from which period into which.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Roll {
    /// Whose.
    pub(crate) tenant: TenantId,
    /// Of which subscription.
    pub(crate) subscription: SubscriptionId,
    /// When the lots lapse that it comes out of.
    pub(crate) lapsed_at: Timestamp,
    /// When the next period starts; with the subscription, the happening's own name.
    pub(crate) starts_at: Timestamp,
    /// When what moves lapses in turn.
    pub(crate) ends_at: Timestamp,
    /// How much moves at most.
    pub(crate) cap: Credits,
    /// The place of the new lot in the order of drawing.
    pub(crate) priority: i64,
}

/// Moves what no call used and none holds, at most the cap, once for each period: W(old) -, W(new) +, under the key
/// `roll:<subscription>:<start>`. The rest lapses as any lot does. Answers how much moved.
///
/// # Errors
/// When the database does not answer; the caller must then roll back.
pub(crate) async fn roll_in(tx: &Tx, roll: Roll, now: Timestamp) -> Result<Credits, DbErr> {
    if !roll.cap.is_positive() {
        return Ok(Credits::ZERO);
    }
    let mut wallet = locked_in(tx, roll.tenant, now).await?;
    let rows = grant::Entity::of(roll.tenant)
        .filter(grant::Column::SubscriptionId.eq(roll.subscription))
        .filter(grant::Column::ExpiresAt.eq(roll.lapsed_at))
        .filter(grant::Column::Status.eq(Status::Active))
        .filter(grant::Column::Remaining.gt(0))
        .all(tx)
        .await?;
    let mut lots: Vec<Lot> = rows.into_iter().map(Lot::of).collect();
    lots.sort_by_cached_key(Lot::order);
    let mut left = roll.cap;
    let mut parts: Vec<(GrantId, Credits)> = Vec::new();
    for lot in &mut lots {
        let part = lot.free().min(left);
        if part.is_positive() {
            lot.spend(part)
                .ok_or_else(|| broken("grant.remaining", lot.row.id))?;
            left = left.checked_sub(part).unwrap_or(Credits::ZERO);
            parts.push((lot.row.id, part));
        }
    }
    let moved = roll.cap.checked_sub(left).unwrap_or(Credits::ZERO);
    let Some(&(parent, _)) = parts.first() else {
        return Ok(Credits::ZERO);
    };
    let row = transaction_row(&roll, now);
    wallet.seq = wallet.seq.saturating_add(1);
    wallet.updated_at = now;
    let mut legs = Legs::of(row.id, &wallet);
    if !claim(tx, row).await? {
        return Ok(Credits::ZERO);
    }
    let fresh = lot_row(&roll, &wallet, parent, moved, now);
    for (grant, part) in parts {
        legs.debit_lot(grant, part)?;
    }
    legs.credit_lot(fresh.id, moved)?;
    let changed = lots.into_iter().filter(Lot::is_changed).map(|lot| lot.row);
    bulk::replace::<grant::Entity>(tx, changed.collect()).await?;
    bulk::insert::<grant::Entity>(tx, vec![fresh]).await?;
    bulk::replace::<wallet::Entity>(tx, vec![wallet]).await?;
    // What leaves one lot enters another, so no further account has a leg.
    bulk::insert::<ledger_entry::Entity>(tx, legs.balanced_by(Account::IssuedPlan)?).await?;
    Ok(moved)
}

fn transaction_row(roll: &Roll, now: Timestamp) -> ledger_transaction::Model {
    ledger_transaction::Model {
        id: LedgerTransactionId::fresh(),
        tenant_id: roll.tenant,
        kind: Kind::Grant,
        business_key: format!("roll:{}:{}", roll.subscription, roll.starts_at.micros()),
        effective_at: roll.starts_at,
        posted_at: now,
        actor_kind: Actor::System.kind(),
        actor_id: None,
        reason: None,
        reverses: None,
        detail: None,
    }
}

fn lot_row(
    roll: &Roll,
    wallet: &wallet::Model,
    parent: GrantId,
    moved: Credits,
    now: Timestamp,
) -> grant::Model {
    grant::Model {
        id: GrantId::fresh(),
        tenant_id: roll.tenant,
        wallet_id: wallet.id,
        source: Source::Plan,
        amount: moved,
        remaining: moved,
        held: Credits::ZERO,
        priority: roll.priority,
        effective_at: roll.starts_at,
        expires_at: Some(roll.ends_at),
        scope: None,
        cost_minor: 0,
        cost_currency: None,
        status: Status::Active,
        subscription_id: Some(roll.subscription),
        order_id: None,
        code_id: None,
        parent_grant_id: Some(parent),
        created_at: now,
        legacy_ref: None,
    }
}
