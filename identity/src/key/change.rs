//! What can happen to a key after it was made. Revoking is for good.

use super::{form::KeyName, list::in_reach};
use crate::{right::SignedIn, trail};
use entity::{
    Database, KeyId, Scoped, Timestamp, Tx, audit_trail,
    key::{Column, Entity, PayOrder, Status},
    wallet,
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, sea_query::Expr};

/// Why a key stays what it was.
#[derive(Debug, thiserror::Error)]
pub enum KeyChangeError {
    /// There is no such key in reach of whoever asks.
    #[error("no such key")]
    NotFound,
    /// It was revoked, which is for good: make a new one.
    #[error("the key is revoked")]
    Revoked,
    /// The database failed.
    #[error("database")]
    Store(#[from] DbErr),
}

/// What is done to a key.
#[derive(Clone, Debug)]
enum Change {
    Rename(KeyName),
    PayBy(PayOrder),
    Disable,
    Enable,
    Revoke,
}

/// Gives a key another name.
///
/// # Errors
/// As [`KeyChangeError`] says.
pub async fn rename(
    db: &Database,
    right: &SignedIn,
    key: KeyId,
    name: KeyName,
    now: Timestamp,
) -> Result<(), KeyChangeError> {
    apply(db, right, key, Change::Rename(name), now).await
}

/// Changes what pays for a key's calls, from the next one on.
///
/// # Errors
/// As [`KeyChangeError`] says.
pub async fn pay_by(
    db: &Database,
    right: &SignedIn,
    key: KeyId,
    order: PayOrder,
    now: Timestamp,
) -> Result<(), KeyChangeError> {
    apply(db, right, key, Change::PayBy(order), now).await
}

/// Makes calls with a key fail until it is enabled. A key that is disabled stays so.
///
/// # Errors
/// As [`KeyChangeError`] says.
pub async fn disable(
    db: &Database,
    right: &SignedIn,
    key: KeyId,
    now: Timestamp,
) -> Result<(), KeyChangeError> {
    apply(db, right, key, Change::Disable, now).await
}

/// Makes a disabled key work again. A key that works goes on.
///
/// # Errors
/// As [`KeyChangeError`] says.
pub async fn enable(
    db: &Database,
    right: &SignedIn,
    key: KeyId,
    now: Timestamp,
) -> Result<(), KeyChangeError> {
    apply(db, right, key, Change::Enable, now).await
}

/// Ends a key for good. A revoked key stays revoked, and that is no fault.
///
/// # Errors
/// As [`KeyChangeError`] says.
pub async fn revoke(
    db: &Database,
    right: &SignedIn,
    key: KeyId,
    now: Timestamp,
) -> Result<(), KeyChangeError> {
    apply(db, right, key, Change::Revoke, now).await
}

async fn apply(
    db: &Database,
    right: &SignedIn,
    key: KeyId,
    change: Change,
    now: Timestamp,
) -> Result<(), KeyChangeError> {
    let right = right.clone();
    db.write(move |tx| Box::pin(async move { apply_in(tx, &right, key, change, now).await }))
        .await
}

async fn apply_in(
    tx: &Tx,
    right: &SignedIn,
    key: KeyId,
    change: Change,
    now: Timestamp,
) -> Result<(), KeyChangeError> {
    let found = in_reach(right).filter(Column::Id.eq(key)).one(tx).await?;
    let row = found.ok_or(KeyChangeError::NotFound)?;
    if !matches!(change, Change::Rename(_)) {
        wallet::lock(tx, [right.tenant]).await?;
    }
    let update = Entity::of_change(right.tenant).filter(Column::Id.eq(key));
    let (action, update) = match change {
        Change::Rename(name) => (
            "key.rename",
            update
                .col_expr(Column::Name, name.as_str().into())
                .filter(Column::Status.ne(Status::Revoked)),
        ),
        Change::PayBy(order) => (
            "key.pay_by",
            update
                .col_expr(Column::PayOrder, Expr::value(order))
                .filter(Column::Status.ne(Status::Revoked)),
        ),
        Change::Disable => (
            "key.disable",
            update
                .col_expr(Column::Status, word(Status::Disabled))
                .filter(Column::Status.eq(Status::Active)),
        ),
        Change::Enable => (
            "key.enable",
            update
                .col_expr(Column::Status, word(Status::Active))
                .filter(Column::Status.eq(Status::Disabled)),
        ),
        Change::Revoke => (
            "key.revoke",
            update
                .col_expr(Column::Status, word(Status::Revoked))
                .col_expr(Column::RevokedAt, now.micros().into())
                .filter(Column::Status.ne(Status::Revoked)),
        ),
    };
    if update.exec(tx).await?.rows_affected != 1 {
        let wanted_gone = action == "key.revoke";
        return match row.status {
            Status::Revoked if !wanted_gone => Err(KeyChangeError::Revoked),
            Status::Revoked | Status::Active | Status::Disabled => Ok(()),
        };
    }
    let line = audit_trail::Entry {
        tenant: Some(right.tenant),
        ..trail::line(right.actor(), action, ("key", key))
    };
    audit_trail::append(tx, line, now).await?;
    Ok(())
}

fn word(status: Status) -> Expr {
    Expr::value(status)
}
