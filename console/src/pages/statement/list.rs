//! The list, newest first, and the balance at a moment of the past.

use crate::{
    Error,
    frame::{Answer, Faults, Page, SignedIn, State, reply},
    words::{Phrase, format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::ledger::{self, Line};
use chrono::{NaiveDate, NaiveDateTime};
use entity::{LedgerTransactionId, TenantId, Timestamp, ledger_transaction::Kind};
use serde::Deserialize;

/// Lines of one page.
const ROWS: usize = 50;
/// Where a member's is.
const HERE: &str = "/console/statement";

/// Where a statement and what hangs on it are.
pub(crate) struct Places {
    /// The list.
    pub here: String,
    /// The export of its lines.
    pub csv: String,
    /// Postings, before their id.
    pub entries: &'static str,
    /// The page above, where there is one, and what it is called.
    pub above: Option<(String, String)>,
}

#[derive(Template)]
#[template(path = "page/statement/list.html")]
struct StatementPage {
    page: Page,
    places: Places,
    posted: format::Amount,
    debt: Option<format::Amount>,
    rows: Vec<Row>,
    older: String,
    newer: String,
    at: String,
    past: Option<Past>,
    faults: Faults,
}

/// What there was at a moment.
struct Past {
    moment: format::Moment,
    posted: format::Amount,
    debt: Option<format::Amount>,
}

struct Row {
    id: String,
    time: format::Moment,
    what: Phrase,
    reason: String,
    change: format::Amount,
    debt: Option<format::Amount>,
    balance: format::Amount,
}

/// What the address may say.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Query {
    #[serde(default)]
    before: String,
    /// A moment in UTC at which the balance is wanted.
    #[serde(default)]
    at: String,
}

/// A member's own.
pub(crate) async fn show(
    console: State,
    page: Page,
    member: SignedIn,
    query: web::Query<Query>,
) -> Answer {
    if !member.may_pay() {
        return Err(Error::NotFound);
    }
    let places = Places {
        here: HERE.to_owned(),
        csv: format!("{HERE}.csv"),
        entries: "/console/statement/",
        above: None,
    };
    answer(page, &console, member.tenant(), &query, places).await
}

/// The page of any tenant's statement.
pub(crate) async fn answer(
    page: Page,
    console: &State,
    tenant: TenantId,
    query: &Query,
    places: Places,
) -> Answer {
    let (db, now) = (&console.db, console.clock.now());
    let before: Option<LedgerTransactionId> = query.before.parse().ok();
    let wanted = u64::try_from(ROWS).unwrap_or(u64::MAX).saturating_add(1);
    let mut lines = ledger::statement(db, tenant, before, wanted).await?;
    let more = lines.len() > ROWS;
    lines.truncate(ROWS);
    let older = lines
        .last()
        .filter(|_| more)
        .map(|line| format!("{}?before={}", places.here, line.transaction.id));
    let newer = before.map(|_| places.here.clone());
    let present = ledger::balance(db, tenant, now).await?;
    let (past, faults) = match moment(&query.at, now) {
        None => (None, Faults::none()),
        Some(Err(fault)) => (None, Faults::of("at", fault)),
        Some(Ok(at)) => {
            let then = ledger::balance_at(db, tenant, at).await?;
            let past = Past {
                moment: format::moment(at),
                posted: format::amount(then.posted),
                debt: some(then.debt),
            };
            (Some(past), Faults::none())
        }
    };
    let refused = !faults.is_empty();
    let template = StatementPage {
        page,
        places,
        posted: format::amount(present.posted),
        debt: some(present.debt),
        rows: lines.into_iter().map(Row::of).collect(),
        older: older.unwrap_or_default(),
        newer: newer.unwrap_or_default(),
        at: query.at.clone(),
        past,
        faults,
    };
    if refused {
        reply::refused(&template)
    } else {
        reply::page(&template)
    }
}

fn some(credits: entity::Credits) -> Option<format::Amount> {
    (!credits.is_zero()).then(|| format::amount(credits))
}

impl Row {
    fn of(line: Line) -> Self {
        Self {
            id: line.transaction.id.to_string(),
            time: format::moment(line.transaction.posted_at),
            what: kind(line.transaction.kind),
            reason: line.transaction.reason.unwrap_or_default(),
            change: format::amount(line.change),
            debt: some(line.debt_change),
            balance: format::amount(line.balance),
        }
    }
}

/// What a transaction is called.
pub(super) fn kind(kind: Kind) -> Phrase {
    match kind {
        Kind::Grant => phrase("posting-grant"),
        Kind::Settle => phrase("posting-settle"),
        Kind::Expire => phrase("posting-expire"),
        Kind::Adjust => phrase("posting-adjust"),
        Kind::Correct => phrase("posting-correct"),
        Kind::Refund => phrase("posting-refund"),
        Kind::Clawback => phrase("posting-clawback"),
        Kind::WriteOff => phrase("posting-write-off"),
        Kind::Import => phrase("posting-import"),
    }
}

/// A moment as a form sends it, or a day's beginning, in UTC; none where nothing was asked. The future has no balance.
fn moment(text: &str, now: Timestamp) -> Option<Result<Timestamp, Phrase>> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let day = || {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()?
            .and_hms_opt(0, 0, 0)
    };
    let at = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M")
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S"))
        .ok()
        .or_else(day)
        .map(|at| Timestamp::from_datetime(at.and_utc()));
    Some(match at {
        Some(at) if at <= now => Ok(at),
        _ => Err(phrase("statement-at-fault")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_of_the_past_is_read_and_nothing_else() {
        let now = Timestamp::from_micros(1_795_000_000_000_000);
        let read = |text| moment(text, now);

        assert!(read(" ").is_none());
        for good in ["2026-11-18", "2026-11-18T11:06", "2026-11-18T11:06:40"] {
            assert!(matches!(read(good), Some(Ok(_))), "{good}");
        }
        for bad in ["2027-01-01", "yesterday", "2026-11-18T11:07", "2026-13-01"] {
            assert!(matches!(read(bad), Some(Err(_))), "{bad}");
        }
    }
}
