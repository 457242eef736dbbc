//! Rows that are kept for a while and no longer. Only tables that say so here are ever swept; nothing that speaks of
//! money is one of them.

use crate::{Database, Timestamp, attempt, call_claim, email_token, outbox, rejection, session};
use sea_orm::{
    ColumnTrait, Condition, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::Uuid,
};
use std::time::Duration;

/// Rows that one transaction removes, so that a lane's batch never waits long behind it.
pub const SLICE: u64 = 200;

/// How long a session's row stays after its last moment.
pub const SESSION_KEPT: Duration = Duration::from_hours(24);
/// How long a mailed link's row stays after it ran out, used or not: as long as a limit may count it.
pub const EMAIL_TOKEN_KEPT: Duration = Duration::from_hours(7 * 24);
/// How long the row of a side effect stays after it was carried out.
pub const OUTBOX_KEPT: Duration = Duration::from_hours(30 * 24);
/// How long members see why a call of theirs was refused.
pub const REJECTION_KEPT: Duration = Duration::from_hours(90 * 24);
/// How long operators see what was tried in vain for a call.
pub const ATTEMPT_KEPT: Duration = Duration::from_hours(90 * 24);
/// How long a request that is sent again is known by its `Idempotency-Key`.
pub const CALL_CLAIM_KEPT: Duration = Duration::from_hours(24);

/// A table whose rows are not kept for good.
pub trait Perishable: EntityTrait {
    /// The column of its id, by which slices are cut.
    const ID: Self::Column;

    /// Rows that may go by `now`.
    fn past(now: Timestamp) -> Condition;
}

impl Perishable for session::Entity {
    const ID: session::Column = session::Column::Id;

    fn past(now: Timestamp) -> Condition {
        Condition::all().add(session::Column::ExpiresAt.lt(now.minus(SESSION_KEPT)))
    }
}

impl Perishable for email_token::Entity {
    const ID: email_token::Column = email_token::Column::Id;

    fn past(now: Timestamp) -> Condition {
        let before = now.minus(EMAIL_TOKEN_KEPT);
        Condition::any()
            .add(email_token::Column::ExpiresAt.lt(before))
            .add(email_token::Column::UsedAt.lt(before))
    }
}

impl Perishable for outbox::Entity {
    const ID: outbox::Column = outbox::Column::Id;

    fn past(now: Timestamp) -> Condition {
        Condition::all()
            .add(outbox::Column::Status.eq(outbox::Status::Done))
            .add(outbox::Column::DoneAt.lt(now.minus(OUTBOX_KEPT)))
    }
}

impl Perishable for rejection::Entity {
    const ID: rejection::Column = rejection::Column::Id;

    fn past(now: Timestamp) -> Condition {
        Condition::all().add(rejection::Column::CreatedAt.lt(now.minus(REJECTION_KEPT)))
    }
}

impl Perishable for attempt::Entity {
    const ID: attempt::Column = attempt::Column::Id;

    fn past(now: Timestamp) -> Condition {
        Condition::all().add(attempt::Column::CreatedAt.lt(now.minus(ATTEMPT_KEPT)))
    }
}

impl Perishable for call_claim::Entity {
    const ID: call_claim::Column = call_claim::Column::Id;

    fn past(now: Timestamp) -> Condition {
        Condition::all().add(call_claim::Column::CreatedAt.lt(now.minus(CALL_CLAIM_KEPT)))
    }
}

/// Removes what may go of every perishable table, slice by slice, and says how many rows went.
///
/// # Errors
/// When the database does not answer; what was removed before stays removed.
pub async fn sweep(db: &Database, now: Timestamp) -> Result<u64, DbErr> {
    let sessions = sweep_table::<session::Entity>(db, now).await?;
    let tokens = sweep_table::<email_token::Entity>(db, now).await?;
    let letters = sweep_table::<outbox::Entity>(db, now).await?;
    let rejections = sweep_table::<rejection::Entity>(db, now).await?;
    let attempts = sweep_table::<attempt::Entity>(db, now).await?;
    let claims = sweep_table::<call_claim::Entity>(db, now).await?;
    Ok(sessions + tokens + letters + rejections + attempts + claims)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the table is any of those that are perishable, of all tenants"
)]
async fn sweep_table<E: Perishable>(db: &Database, now: Timestamp) -> Result<u64, DbErr> {
    let mut removed = 0;
    loop {
        // Looked up by a reader: whatever it costs, no writer waits for it.
        let ids: Vec<Uuid> = E::find()
            .select_only()
            .column(E::ID)
            .filter(E::past(now))
            .order_by_asc(E::ID)
            .limit(SLICE)
            .into_tuple()
            .all(db.read())
            .await?;
        if ids.is_empty() {
            return Ok(removed);
        }
        removed += db
            .write(move |tx| {
                Box::pin(async move {
                    let gone = E::delete_many()
                        .filter(E::ID.is_in(ids))
                        .filter(E::past(now))
                        .exec(tx)
                        .await?;
                    Ok::<_, DbErr>(gone.rows_affected)
                })
            })
            .await?;
    }
}
