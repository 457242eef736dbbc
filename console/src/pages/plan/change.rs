//! Another plan instead of the present one: what each would come to, now and at the period's end.

use super::{
    each,
    list::{not_there, title_of},
};
use crate::{
    Error,
    frame::{Answer, Page, Protected, SignedIn, State, Tone, reply},
    pages::clause,
    words::{Phrase, format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::{
    ledger::GrantError,
    subscription::{self, Change, ChangeError, Quote, Upgraded},
};
use entity::{PlanVersionId, subscription::Status};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/plans/change.html")]
struct ChangePage {
    page: Page,
    title: String,
    may_pay: bool,
    until: String,
    next: Option<String>,
    available: format::Amount,
    options: Vec<Choice>,
}

/// One plan to change to.
struct Choice {
    version: String,
    title: String,
    price: String,
    each: Phrase,
    rules: Vec<Phrase>,
    allowance: String,
    has_allowance: bool,
    /// What it comes to at once; nothing where it has to wait.
    now: Option<Now>,
    /// Why it has to wait.
    waits: Option<Phrase>,
    at_end: bool,
}

struct Now {
    due: String,
    extra: String,
    affordable: bool,
}

/// What the form sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Form {
    to: String,
    when: String,
}

/// The plans to change to.
pub(crate) async fn show(
    console: State,
    page: Page,
    member: SignedIn,
    path: web::Path<String>,
) -> Answer {
    let row = super::found(&console, &member, &path).await?;
    let (db, now) = (&console.db, console.clock.now());
    let mut options = Vec::new();
    for sale in subscription::for_sale(db).await? {
        let to = sale.offered.version.id;
        match subscription::quote(db, (row.tenant_id, row.id), to, now).await {
            Ok(quote) => options.push(Choice::of(sale.offered.plan.title, &quote)),
            Err(ChangeError::Same | ChangeError::NotFound | ChangeError::NotForSale) => {}
            Err(fault) => return Err(internal(fault)),
        }
    }
    let next = match row.next_plan_version_id {
        Some(next) => title_of(db, next).await?,
        None => None,
    };

    reply::page(&ChangePage {
        title: title_of(db, row.plan_version_id).await?.unwrap_or_default(),
        may_pay: member.may_pay() && row.status == Status::Active,
        until: format::day(row.period_end),
        next: next.filter(|_| row.source == entity::subscription::Source::Order),
        available: format::amount(subscription::payable(db, row.tenant_id, now).await?),
        options,
        page,
    })
}

/// Changes, now or when the period ends; or keeps the plan after all.
pub(crate) async fn submit(
    console: State,
    member: SignedIn,
    path: web::Path<String>,
    Protected(form): Protected<Form>,
) -> Answer {
    let row = super::found(&console, &member, &path).await?;
    let (whose, now) = ((row.tenant_id, row.id), console.clock.now());
    let back = reply::see_other(super::LIST);
    if !member.may_pay() {
        return Ok(back.flash(Tone::Bad, phrase("plans-not-yours")));
    }
    let to = form.to.parse::<PlanVersionId>().ok();

    let outcome = match (form.when.as_str(), to) {
        ("now", Some(to)) => {
            let change = Change {
                tenant: row.tenant_id,
                subscription: row.id,
                to,
                actor: member.actor(),
            };
            subscription::upgrade(&console.db, change, now)
                .await
                .map(upgraded)
        }
        ("end", Some(to)) => {
            subscription::change_at_end(&console.db, whose, Some(to), member.actor(), now)
                .await
                .map(|()| {
                    let day = format::day(row.period_end);
                    phrase("plans-changes").with("date", day)
                })
        }
        ("keep", _) => subscription::change_at_end(&console.db, whose, None, member.actor(), now)
            .await
            .map(|()| phrase("plans-kept")),
        _ => return Ok(back.flash(Tone::Note, phrase("plans-choose"))),
    };

    match outcome {
        Ok(done) => Ok(back.flash(Tone::Good, done)),
        Err(fault) => {
            let why = refusal(fault)?;
            Ok(
                reply::see_other(format!("/console/subscriptions/{}", row.id))
                    .flash(Tone::Bad, why),
            )
        }
    }
}

fn upgraded(done: Upgraded) -> Phrase {
    phrase("plans-upgraded")
        .with("due", format::credits(done.due))
        .with("extra", format::credits(done.extra))
}

/// Why there is no change, for people.
fn refusal(fault: ChangeError) -> Result<Phrase, Error> {
    match fault {
        ChangeError::NotFound => Ok(phrase("plans-nothing-to-do")),
        ChangeError::NotForSale => Ok(phrase("plans-not-for-sale")),
        ChangeError::Same => Ok(phrase("plans-has-it")),
        ChangeError::NotBetter => Ok(phrase("plans-not-better")),
        ChangeError::OtherPeriod => Ok(phrase("plans-other-period")),
        ChangeError::NoPrice => Ok(phrase("plans-no-price")),
        ChangeError::Given => Ok(phrase("plans-given")),
        ChangeError::Clock => Ok(phrase("plans-clock")),
        ChangeError::NotThere { needed, available } => Ok(not_there(needed, available)),
        fault @ (ChangeError::Grant(_) | ChangeError::Store(_)) => Err(internal(fault)),
    }
}

fn internal(fault: ChangeError) -> Error {
    match fault {
        ChangeError::Store(fault) | ChangeError::Grant(GrantError::Store(fault)) => {
            Error::Store(fault)
        }
        fault => Error::Internal(fault.to_string()),
    }
}

impl Choice {
    fn of(title: String, quote: &Quote) -> Self {
        let (now, waits) = match &quote.now {
            Ok(prorated) => {
                let now = Now {
                    due: format::credits(prorated.due),
                    extra: format::credits(prorated.extra),
                    affordable: quote.there >= prorated.due,
                };
                (Some(now), None)
            }
            Err(ChangeError::OtherPeriod) => (None, Some(phrase("plans-other-period"))),
            Err(ChangeError::NoPrice) => (None, Some(phrase("plans-no-price"))),
            Err(_) => (None, None),
        };
        Self {
            version: quote.to.id.to_string(),
            title,
            price: format::credits(quote.price),
            each: each(quote.to.period),
            rules: clause::words(&quote.to.document),
            allowance: format::credits(quote.to.allowance),
            has_allowance: quote.to.allowance.is_positive(),
            now,
            waits,
            at_end: quote.at_end,
        }
    }
}
