//! What the installation did in the last day, what it still needs before the first call, and what needs attention.

use crate::{
    Error,
    frame::{Answer, Page, State, Support, reply},
    pages::operator::channel::difference,
    words::{Phrase, format, phrase},
};
use askama::Template;
use billing::audit::nightly;
use entity::{
    Credits, Database, Platform, Scoped, Timestamp, channel, channel_check, channel_key,
    channel_model, grant, group_channel, key, model, order, payment_inbox, rejection, tenant,
    usage, wallet,
};
use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, ExprTrait, PaginatorTrait, QueryFilter, QuerySelect, Select,
    sea_query::SimpleExpr,
};
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

#[derive(Template)]
#[template(path = "page/operator/overview.html")]
struct Overview {
    page: Page,
    steps: Vec<Step>,
    ready: bool,
    troubles: Vec<Phrase>,
    broken: Option<Broken>,
    day: Day,
    tenants: String,
    wallets: format::Amount,
    debt: format::Amount,
}

/// Laws of the ledger that the last audit found broken.
struct Broken {
    found: format::Moment,
    laws: Vec<String>,
}

struct Step {
    title: Phrase,
    text: Phrase,
    href: &'static str,
    done: bool,
}

struct Day {
    calls: String,
    refused: String,
    charged: format::Amount,
    cost: format::Amount,
    margin: format::Amount,
}

/// The page.
pub(crate) async fn show(page: Page, _support: Support, console: State) -> Answer {
    let db = &console.db;
    let steps = steps(db).await?;
    let posted = sum(wallet::Entity::across_tenants(), wallet::Column::Posted, db).await?;
    let debt = sum(wallet::Entity::across_tenants(), wallet::Column::Debt, db).await?;

    reply::page(&Overview {
        page,
        ready: steps.iter().all(|step| step.done),
        steps,
        troubles: troubles(db).await?,
        broken: broken(db).await?,
        day: day(db, console.clock.now()).await?,
        tenants: count(tenant::Entity::every().count(db.read()).await?),
        wallets: format::amount(posted),
        debt: format::amount(debt),
    })
}

async fn steps(db: &Database) -> Result<Vec<Step>, DbErr> {
    let reader = db.read();
    let channels = channel::Entity::every()
        .filter(channel::Column::Status.eq(channel::Status::Active))
        .all(reader)
        .await?;
    let ids = || channels.iter().map(|channel| channel.id);
    let served = channel_model::Entity::every()
        .filter(channel_model::Column::ChannelId.is_in(ids()))
        .all(reader)
        .await?;
    let offered = model::Entity::every()
        .filter(model::Column::Id.is_in(served.iter().map(|served| served.model_id)))
        .filter(model::Column::Status.eq(model::Status::Active))
        .count(reader)
        .await?;
    let shelved = group_channel::Entity::every()
        .filter(group_channel::Column::ChannelId.is_in(ids()))
        .count(reader)
        .await?;
    let granted = grant::Entity::across_tenants().limit(1).all(reader).await?;
    let keys = key::Entity::across_tenants().limit(1).all(reader).await?;

    Ok(vec![
        Step {
            title: phrase("op-step-channel"),
            text: phrase("op-step-channel-text"),
            href: "/console/operator/channels/new",
            done: !channels.is_empty(),
        },
        Step {
            title: phrase("op-step-model"),
            text: phrase("op-step-model-text"),
            href: "/console/operator/models/import",
            done: offered > 0,
        },
        Step {
            title: phrase("op-step-group"),
            text: phrase("op-step-group-text"),
            href: "/console/operator/groups",
            done: shelved > 0,
        },
        Step {
            title: phrase("op-step-credits"),
            text: phrase("op-step-credits-text"),
            href: "/console/operator/tenants",
            done: !granted.is_empty(),
        },
        Step {
            title: phrase("op-step-key"),
            text: phrase("op-step-key-text"),
            href: "/console/keys",
            done: !keys.is_empty(),
        },
    ])
}

async fn broken(db: &Database) -> Result<Option<Broken>, DbErr> {
    let found = nightly::last(db).await?;
    let broken = found.filter(|found| !found.broken.is_empty());
    Ok(broken.map(|found| Broken {
        found: format::moment(found.at),
        laws: found.broken,
    }))
}

async fn troubles(db: &Database) -> Result<Vec<Phrase>, DbErr> {
    let reader = db.read();
    let mut troubles = Vec::new();
    let off = channel::Entity::every()
        .filter(channel::Column::Status.eq(channel::Status::Disabled))
        .all(reader)
        .await?;
    for channel in off {
        troubles.push(
            phrase("op-trouble-channel")
                .with("name", channel.name)
                .with("reason", channel.status_reason.unwrap_or_default()),
        );
    }
    troubles.extend(looked_at(db).await?);
    let refused = channel_key::Entity::every()
        .filter(channel_key::Column::Status.eq(channel_key::Status::Refused))
        .count(reader)
        .await?;
    let unpriced = model::Entity::every()
        .filter(model::Column::Status.eq(model::Status::Hidden))
        .count(reader)
        .await?;
    let dead = payment_inbox::Entity::every()
        .filter(payment_inbox::Column::Status.eq(payment_inbox::Status::Dead))
        .count(reader)
        .await?;
    let review = order::Entity::across_tenants()
        .filter(order::Column::Status.eq(order::Status::Review))
        .count(reader)
        .await?;
    for (number, words) in [
        (refused, phrase("op-trouble-keys")),
        (unpriced, phrase("op-trouble-unpriced")),
        (dead, phrase("op-trouble-inbox")),
        (review, phrase("op-trouble-review")),
    ] {
        if number > 0 {
            troubles.push(words.count("count", i64::try_from(number).unwrap_or(i64::MAX)));
        }
    }
    Ok(troubles)
}

/// Channels that did not answer three times in a row, and those whose provider has new models.
async fn looked_at(db: &Database) -> Result<Vec<Phrase>, DbErr> {
    let reader = db.read();
    let active = channel::Entity::every()
        .filter(channel::Column::Status.eq(channel::Status::Active))
        .all(reader)
        .await?;
    let checks = channel_check::Entity::every().all(reader).await?;
    let served = channel_model::Entity::every().all(reader).await?;
    let mut troubles = Vec::new();
    for channel in active {
        let Some(check) = checks.iter().find(|check| check.channel_id == channel.id) else {
            continue;
        };
        if check.failures >= FAILURES_TOLD {
            let fault = check.fault.clone().unwrap_or_default();
            let trouble = phrase("op-trouble-check").with("name", channel.name.clone());
            troubles.push(trouble.with("reason", fault));
        }
        let names: Vec<&str> = served
            .iter()
            .filter(|row| row.channel_id == channel.id)
            .map(|row| row.upstream_name.as_str())
            .collect();
        let new = difference::new(check, &names).len();
        if new > 0 {
            let trouble = phrase("op-trouble-listed").with("name", channel.name);
            troubles.push(trouble.count("count", i64::try_from(new).unwrap_or(i64::MAX)));
        }
    }
    Ok(troubles)
}

/// Looks in a row that fail before anybody is told.
const FAILURES_TOLD: i64 = 3;

async fn day(db: &Database, now: Timestamp) -> Result<Day, Error> {
    let since = now.minus(DAY);
    let calls = || usage::Entity::across_tenants().filter(usage::Column::StartedAt.gte(since));
    let charged = sum(calls(), usage::Column::Charge, db).await?;
    let known = || calls().filter(usage::Column::ProviderCost.is_not_null());
    let cost = sum(known(), usage::Column::ProviderCost, db).await?;
    let earned = sum(known(), usage::Column::Charge, db).await?;
    let refused = sum(
        rejection::Entity::across_tenants().filter(rejection::Column::CreatedAt.gte(since)),
        rejection::Column::Calls,
        db,
    )
    .await?;

    Ok(Day {
        calls: count(calls().count(db.read()).await?),
        refused: format::count(refused.nanos()),
        charged: format::amount(charged),
        cost: format::amount(cost),
        margin: format::amount(earned.checked_sub(cost).unwrap_or(Credits::ZERO)),
    })
}

/// The sum of a column of integers, as credits.
pub(super) async fn sum<E: EntityTrait>(
    rows: Select<E>,
    column: E::Column,
    db: &Database,
) -> Result<Credits, DbErr> {
    let sum: SimpleExpr = column.sum().cast_as("bigint");
    let total: Option<Option<i64>> = rows
        .select_only()
        .column_as(sum, "total")
        .into_tuple()
        .one(db.read())
        .await?;
    Ok(Credits::from_nanos(total.flatten().unwrap_or_default()))
}

/// A number of rows, for reading.
pub(super) fn count(rows: u64) -> String {
    format::count(i64::try_from(rows).unwrap_or(i64::MAX))
}
