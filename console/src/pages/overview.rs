//! The first page after signing in: what is left, what runs, what was spent, and the next step for a newcomer.

use crate::{
    Error,
    frame::{Answer, Page, SignedIn, State, reply},
    pages::usage::rows::{self, Call},
    words::{format, phrase},
};
use askama::Template;
use billing::{
    ledger,
    plan::{Quantity, Window},
    subscription::{self, Current, WindowStand},
};
use entity::{Database, Scoped, TenantId, hold, key, usage};
use sea_orm::{ColumnTrait, DbErr, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use std::time::Duration;

/// Calls shown.
const LAST: u64 = 8;

/// Thousandths of a window from which on its meter warns.
const NEARLY_USED_UP: i64 = 900;

const MONTH: Duration = Duration::from_hours(30 * 24);

#[derive(Template)]
#[template(path = "page/overview.html")]
struct Overview {
    page: Page,
    name: String,
    may_hold_keys: bool,
    available: format::Amount,
    held: format::Amount,
    open_calls: i64,
    debt: Option<String>,
    spent: format::Amount,
    calls_of_month: i64,
    plan: String,
    plan_note: String,
    windows: Vec<Meter>,
    steps: Option<Steps>,
    calls: Vec<Call>,
}

/// One window of a plan, and how far it is used.
struct Meter {
    plan: String,
    title: String,
    used: String,
    limit: String,
    /// Thousandths of the limit that are used.
    share: i64,
    /// Whether the next call may well be refused.
    nearly_used_up: bool,
    resets_at: format::Moment,
}

/// How far a newcomer is: an account they have, a call they have not made.
struct Steps {
    funded: bool,
    has_key: bool,
}

/// Shows it.
pub(crate) async fn show(console: State, page: Page, member: SignedIn) -> Answer {
    let (db, tenant, now) = (&console.db, member.tenant(), console.clock.now());
    let balance = ledger::balance(db, tenant, now).await?;
    let plans = subscription::current(db, tenant, now).await?;
    let last = last_calls(db, tenant).await?;
    let range = rows::Filter {
        from: Some(now.minus(MONTH)),
        ..rows::Filter::default()
    };
    let month = rows::sum(db, tenant, &range).await?;

    let steps = if last.is_empty() {
        Some(Steps {
            funded: balance.posted.is_positive() || !plans.is_empty(),
            has_key: has_key(db, tenant).await?,
        })
    } else {
        None
    };

    let mut windows = Vec::new();
    for current in &plans {
        let stands = subscription::windows(db, current, now).await?;
        windows.extend(stands.iter().map(|stand| meter(&page, current, stand)));
    }

    let (plan, plan_note) = plan_words(&page, &plans);
    reply::page(&Overview {
        name: member.display_name().to_owned(),
        may_hold_keys: member.may_hold_keys(),
        available: format::amount(balance.available),
        held: format::amount(balance.held),
        open_calls: open_calls(db, tenant).await?,
        debt: balance
            .debt
            .is_positive()
            .then(|| format::credits(balance.debt)),
        spent: format::amount(month.charge),
        calls_of_month: month.calls,
        plan,
        plan_note,
        windows,
        steps,
        calls: rows::read(db, tenant, last).await?,
        page,
    })
}

fn plan_words(page: &Page, plans: &[Current]) -> (String, String) {
    let Some(first) = plans.first() else {
        return (
            page.say("overview-plan-none"),
            page.say("overview-plan-none-note"),
        );
    };
    let titles: Vec<&str> = plans.iter().map(|plan| plan.plan.title.as_str()).collect();
    let date = format::day(first.subscription.period_end);
    let note = if first.subscription.renews {
        page.say_with("overview-plan-renews", "date", &date)
    } else {
        page.say_with("overview-plan-until", "date", &date)
    };
    (titles.join(", "), note)
}

fn meter(page: &Page, current: &Current, stand: &WindowStand) -> Meter {
    let title = match stand.window {
        Window::FirstUse { hours } => {
            phrase("overview-window-hours").with("hours", hours.to_string())
        }
        Window::Day => phrase("overview-window-day"),
        Window::Week => phrase("overview-window-week"),
        Window::Month => phrase("overview-window-month"),
    };
    let share = thousandths(stand.used.units(), stand.limit.units());
    Meter {
        plan: current.plan.title.clone(),
        title: page.say_phrase(&title.with("name", stand.name.as_str())),
        used: amount_of(stand.used),
        limit: match stand.limit {
            Quantity::Credits(credits) => page.say_with(
                "overview-window-credits",
                "amount",
                &format::credits(credits),
            ),
            Quantity::Requests(calls) => page.say_count("overview-window-requests", &calls),
        },
        share,
        nearly_used_up: share >= NEARLY_USED_UP,
        resets_at: format::moment(stand.resets_at),
    }
}

fn amount_of(quantity: Quantity) -> String {
    match quantity {
        Quantity::Credits(credits) => format::credits(credits),
        Quantity::Requests(calls) => format::count(calls),
    }
}

/// How much of `limit` is used, from 0 to 1000.
fn thousandths(used: i64, limit: i64) -> i64 {
    let share = i128::from(used) * 1000 / i128::from(limit.max(1));
    i64::try_from(share.clamp(0, 1000)).unwrap_or(1000)
}

async fn last_calls(db: &Database, tenant: TenantId) -> Result<Vec<usage::Model>, DbErr> {
    usage::Entity::of(tenant)
        .order_by_desc(usage::Column::Id)
        .limit(LAST)
        .all(db.read())
        .await
}

async fn open_calls(db: &Database, tenant: TenantId) -> Result<i64, Error> {
    let count = hold::Entity::of(tenant).count(db.read()).await?;
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

async fn has_key(db: &Database, tenant: TenantId) -> Result<bool, DbErr> {
    let key = key::Entity::of(tenant)
        .filter(key::Column::Status.eq(key::Status::Active))
        .one(db.read())
        .await?;
    Ok(key.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_lies_between_nothing_and_all() {
        for (used, limit, share) in [
            (0, 10, 0),
            (1, 3, 333),
            (10, 10, 1000),
            (12, 10, 1000),
            (i64::MAX, i64::MAX, 1000),
        ] {
            assert_eq!(thousandths(used, limit), share, "{used} of {limit}");
        }
    }
}
