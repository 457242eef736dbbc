//! What a tenant has.

use crate::admission::Lot;
use entity::{Credits, Database, Scoped, TenantId, Timestamp, grant, wallet};
use sea_orm::{ColumnTrait, DbErr, QueryFilter};

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
        .unwrap_or(Credits::ZERO)
        .max(Credits::ZERO);
    lots.into_iter()
        .map(Lot::of)
        .filter(|lot| lot.is_current(now))
        .try_fold(line, |sum, lot| sum.checked_add(lot.free()))
        .unwrap_or(Credits::MAX)
}
