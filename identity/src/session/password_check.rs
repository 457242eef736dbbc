//! The one place that says whether a password is right, for sign-in and for everything that asks again. Every
//! try is counted before it is heard, so that tries sent at once count as much as tries sent in turn.

use crate::{
    email::EmailAddress,
    password::{Attempt, Busy, Hasher, Verdict},
    person as people, trail,
};
use entity::{Actor, Database, PersonId, Platform, Timestamp, Tx, audit_trail, person};
use sea_orm::{ActiveModelTrait, ColumnTrait, DbErr, QueryFilter, QuerySelect, Set};
use serde_json::json;
use std::time::Duration;

/// Tries that cost no waiting.
const FREE_TRIES: i64 = 5;
const LONGEST_WAIT: Duration = Duration::from_mins(15);
/// From here on only a mailed link helps (ASVS 5, V6.3.1; NIST SP 800-63B-4, 3.2.2).
const MAX_FAILURES: i64 = 100;

/// Who claims to know which password.
pub(crate) struct Attempted {
    pub(crate) email: EmailAddress,
    pub(crate) password: Attempt,
}

/// The person, if the password is theirs; nothing for a wrong password, an unknown address, an account that
/// waits after failures or has no password: all take as long.
pub(crate) async fn check_password<E>(
    db: &Database,
    hasher: &Hasher,
    attempt: Attempted,
    now: Timestamp,
) -> Result<Option<person::Model>, E>
where
    E: From<Busy> + From<DbErr>,
{
    let email = attempt.email;
    let person = db
        .write(move |tx| Box::pin(async move { count_try_in(tx, &email, now).await }))
        .await?;
    let stored = person.as_ref().and_then(people::stored_password);
    let verdict = hasher.verify(attempt.password, stored).await?;
    let Some(person) = person else {
        return Ok(None);
    };
    let (id, failures) = (person.id, person.failed_sign_ins + 1);
    let right = verdict != Verdict::Wrong;
    db.write::<_, DbErr, _>(move |tx| {
        Box::pin(async move {
            match verdict {
                Verdict::Wrong => note_failure_in(tx, id, failures, now).await,
                Verdict::Right => people::forget_failures_in(tx, id, None).await,
                Verdict::RightButOld(anew) => people::forget_failures_in(tx, id, Some(anew)).await,
            }
        })
    })
    .await?;
    Ok(right.then_some(person))
}

/// The person as they were before this try, if they may try now.
async fn count_try_in(
    tx: &Tx,
    email: &EmailAddress,
    now: Timestamp,
) -> Result<Option<person::Model>, DbErr> {
    let person = person::Entity::every()
        .filter(person::Column::Email.eq(email.as_str()))
        .lock_exclusive()
        .one(tx)
        .await?;
    let Some(person) = person.filter(|person| may_try(person, now)) else {
        return Ok(None);
    };
    let failures = person.failed_sign_ins + 1;
    person::ActiveModel {
        id: Set(person.id),
        failed_sign_ins: Set(failures),
        retry_at: Set(wait_after(failures).map(|wait| now.plus(wait))),
        ..Default::default()
    }
    .update(tx)
    .await?;
    Ok(Some(person))
}

async fn note_failure_in(
    tx: &Tx,
    person: PersonId,
    failures: i64,
    now: Timestamp,
) -> Result<(), DbErr> {
    let line = audit_trail::Entry {
        detail: Some(json!({ "failures": failures })),
        ..trail::line(Actor::System, "session.refuse", ("person", person))
    };
    audit_trail::append(tx, line, now).await
}

fn may_try(person: &person::Model, now: Timestamp) -> bool {
    person.status != person::Status::Deleted
        && person.failed_sign_ins < MAX_FAILURES
        && person.retry_at.is_none_or(|retry_at| retry_at <= now)
}

/// How long nobody is heard after this many failures in a row: 2 s, 4 s, 8 s, up to a quarter of an hour.
fn wait_after(failures: i64) -> Option<Duration> {
    let paid = u32::try_from(failures - FREE_TRIES)
        .ok()
        .filter(|paid| *paid > 0)?;
    let wait = Duration::from_secs(1_u64.checked_shl(paid).unwrap_or(u64::MAX));
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_grows_with_failures_up_to_a_bound() {
        for (failures, seconds) in [
            (1, None),
            (5, None),
            (6, Some(2)),
            (7, Some(4)),
            (14, Some(512)),
            (15, Some(900)),
            (99, Some(900)),
        ] {
            let wait = wait_after(failures).map(|wait| wait.as_secs());
            assert_eq!(wait, seconds, "{failures}");
        }
    }
}
