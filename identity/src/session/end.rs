//! Ending sessions: one's own, another of one's own, all of them, and those of whom an operator banned.

use crate::{right::SignedIn, trail};
use entity::{
    Database, MemberId, PersonId, Platform, SessionId, Timestamp, Tx, audit_trail,
    session::{Column, Entity},
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter};
use serde_json::json;

/// Why a session was not ended.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// The person has no such session, or it ended already.
    #[error("no such session")]
    NotFound,
    /// The database failed.
    #[error("database")]
    Store(#[from] DbErr),
}

/// Ends the session of this very browser.
///
/// # Errors
/// When the database fails.
pub async fn sign_out(db: &Database, right: &SignedIn, now: Timestamp) -> Result<(), DbErr> {
    match revoke(db, right, right.session, now).await {
        Ok(()) | Err(RevokeError::NotFound) => Ok(()),
        Err(RevokeError::Store(fault)) => Err(fault),
    }
}

/// Ends one of the person's own sessions.
///
/// # Errors
/// When it is not theirs, or over.
pub async fn revoke(
    db: &Database,
    right: &SignedIn,
    session: SessionId,
    now: Timestamp,
) -> Result<(), RevokeError> {
    let right = right.clone();
    db.write(move |tx| {
        Box::pin(async move {
            let ended = Entity::remove()
                .filter(Column::Id.eq(session))
                .filter(Column::PersonId.eq(right.person))
                .exec(tx)
                .await?;
            if ended.rows_affected != 1 {
                return Err(RevokeError::NotFound);
            }
            let line = audit_trail::Entry {
                tenant: Some(right.tenant),
                ..trail::line(right.actor(), "session.end", ("session", session))
            };
            audit_trail::append(tx, line, now).await?;
            Ok(())
        })
    })
    .await
}

/// Ends all sessions of the person, this one too.
///
/// # Errors
/// When the database fails.
pub async fn sign_out_everywhere(
    db: &Database,
    right: &SignedIn,
    now: Timestamp,
) -> Result<u64, DbErr> {
    let right = right.clone();
    db.write(move |tx| {
        Box::pin(async move {
            let ended = end_all_in(tx, right.person).await?;
            let line = audit_trail::Entry {
                tenant: Some(right.tenant),
                detail: Some(json!({ "ended": ended })),
                ..trail::line(right.actor(), "session.end_all", ("person", right.person))
            };
            audit_trail::append(tx, line, now).await?;
            Ok(ended)
        })
    })
    .await
}

/// Ends all sessions of the person but this one.
///
/// # Errors
/// When the database fails.
pub async fn end_others(db: &Database, right: &SignedIn, now: Timestamp) -> Result<u64, DbErr> {
    let right = right.clone();
    db.write(move |tx| {
        Box::pin(async move {
            let ended = end_others_in(tx, right.person, right.session).await?;
            let line = audit_trail::Entry {
                tenant: Some(right.tenant),
                detail: Some(json!({ "ended": ended })),
                ..trail::line(
                    right.actor(),
                    "session.end_others",
                    ("person", right.person),
                )
            };
            audit_trail::append(tx, line, now).await?;
            Ok(ended)
        })
    })
    .await
}

pub(crate) async fn end_all_in(tx: &Tx, person: PersonId) -> Result<u64, DbErr> {
    let ended = Entity::remove()
        .filter(Column::PersonId.eq(person))
        .exec(tx)
        .await?;
    Ok(ended.rows_affected)
}

pub(crate) async fn end_others_in(
    tx: &Tx,
    person: PersonId,
    kept: SessionId,
) -> Result<u64, DbErr> {
    let ended = Entity::remove()
        .filter(Column::PersonId.eq(person))
        .filter(Column::Id.ne(kept))
        .exec(tx)
        .await?;
    Ok(ended.rows_affected)
}

pub(crate) async fn end_of_member_in(tx: &Tx, member: MemberId) -> Result<u64, DbErr> {
    let ended = Entity::remove()
        .filter(Column::MemberId.eq(member))
        .exec(tx)
        .await?;
    Ok(ended.rows_affected)
}
