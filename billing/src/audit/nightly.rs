//! The audit of each night: what it found is kept for operators' pages, and what is broken is put into the audit trail
//! and mailed to every operator. The next clean one clears it.

use super::{Report, prove};
use chrono::{Days, NaiveTime};
use entity::{
    Actor, Database, Platform, Timestamp, Tx, audit_trail, outbox,
    person::{self, PlatformRole},
    setting,
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter};
use serde::{Deserialize, Serialize};

/// What operators are mailed under; the payload names the person and when the audit began.
pub const ALERT_TOPIC: &str = "mail.audit";
/// Where the last finding is kept.
const SETTING: &str = "audit.last";
/// The hour of the night, in UTC.
const HOUR: u32 = 3;

/// What the last audit found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// When it began.
    pub at: Timestamp,
    /// What is broken, one line a law; none where all laws hold.
    pub broken: Vec<String>,
}

/// What the last audit found, if there was one.
///
/// # Errors
/// When the database does not answer.
pub async fn last(db: &Database) -> Result<Option<Finding>, DbErr> {
    setting::read(db.read(), SETTING).await
}

/// Proves the laws if that was not done since the last three o'clock in the night (UTC), and keeps what it found.
///
/// # Errors
/// When the database does not answer; then it is tried again.
#[tracing::instrument(name = "audit.nightly", skip_all)]
pub async fn run_due(db: &Database, now: Timestamp) -> Result<Option<Report>, DbErr> {
    let known = last(db).await?;
    if known.is_some_and(|known| known.at >= last_night(now)) {
        return Ok(None);
    }
    run(db, now).await.map(Some)
}

/// Proves the laws now, and keeps what it found.
///
/// # Errors
/// When the database does not answer.
pub async fn run(db: &Database, now: Timestamp) -> Result<Report, DbErr> {
    let report = prove(db, now).await?;
    let finding = Finding {
        at: now,
        broken: report.broken().map(line).collect(),
    };
    for line in &finding.broken {
        tracing::error!(law = line, "a law of the ledger is broken");
    }
    db.write(move |tx| Box::pin(async move { keep(tx, finding, now).await }))
        .await?;
    Ok(report)
}

/// The last three o'clock in the night that has passed.
fn last_night(now: Timestamp) -> Timestamp {
    let today = now.to_datetime().date_naive();
    let hour = NaiveTime::from_hms_opt(HOUR, 0, 0).unwrap_or_default();
    let here = Timestamp::from_datetime(today.and_time(hour).and_utc());
    if here <= now {
        return here;
    }
    let yesterday = today.checked_sub_days(Days::new(1)).unwrap_or(today);
    Timestamp::from_datetime(yesterday.and_time(hour).and_utc())
}

fn line(proof: &super::Proof) -> String {
    match &proof.breach {
        Some(breach) => format!("{}: {breach}", proof.law),
        None => proof.law.to_owned(),
    }
}

async fn keep(tx: &Tx, finding: Finding, now: Timestamp) -> Result<(), DbErr> {
    let before: Option<Finding> = setting::read(tx, SETTING).await?;
    let was_broken = before.is_some_and(|before| !before.broken.is_empty());
    setting::write(tx, SETTING, &finding, now).await?;
    let action = match (finding.broken.is_empty(), was_broken) {
        (true, false) => return Ok(()),
        (true, true) => "audit.mended",
        (false, _) => "audit.broken",
    };
    let entry = audit_trail::Entry {
        actor: Actor::System,
        action,
        subject: ("ledger", finding.at.micros().to_string()),
        tenant: None,
        reason: None,
        detail: Some(serde_json::json!({ "broken": finding.broken })),
    };
    audit_trail::append(tx, entry, now).await?;
    if finding.broken.is_empty() {
        return Ok(());
    }
    let operators = person::Entity::every()
        .filter(person::Column::PlatformRole.eq(PlatformRole::Operator))
        .filter(person::Column::Status.eq(person::Status::Active))
        .all(tx)
        .await?;
    for operator in operators {
        let payload = serde_json::json!({ "person": operator.id });
        outbox::put(tx, ALERT_TOPIC, &payload, now).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_night_begins_at_three() {
        let at = |text: &str| {
            let instant = text.parse::<chrono::DateTime<chrono::Utc>>();
            Timestamp::from_datetime(instant.expect("a time"))
        };
        for (now, night) in [
            ("2026-11-21T03:00:00Z", "2026-11-21T03:00:00Z"),
            ("2026-11-21T02:59:59Z", "2026-11-20T03:00:00Z"),
            ("2026-11-21T23:00:00Z", "2026-11-21T03:00:00Z"),
            ("2026-03-01T00:00:00Z", "2026-02-28T03:00:00Z"),
        ] {
            assert_eq!(last_night(at(now)), at(night), "{now}");
        }
    }
}
