//! The first page after signing in: what is left, what runs, what was spent, and the next step for a newcomer.

use crate::{
    Error,
    frame::{Answer, Page, SignedIn, State, reply},
    pages::usage::rows::{self, Call},
    words::format,
};
use askama::Template;
use billing::{
    ledger,
    subscription::{self, Current},
};
use entity::{Database, Scoped, TenantId, hold, key, usage};
use sea_orm::{ColumnTrait, DbErr, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use std::time::Duration;

/// Calls shown.
const LAST: u64 = 8;

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
    steps: Option<Steps>,
    calls: Vec<Call>,
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
