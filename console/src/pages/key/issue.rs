//! Making a key. Its text is on the answer to the form and nowhere else: that page is not kept by the browser and
//! cannot be asked for again.

use super::connect::{self, Client, SwitchLink, Target};
use crate::{
    Error,
    frame::{Answer, Faults, Page, Protected, SignedIn, State, reply},
    pages::{key::pay, limit::Fields},
    words::{Phrase, format, phrase},
};
use askama::Template;
use billing::{
    cap::{self, CapError, Limit, SetCaps, Whose},
    plan::Plan,
    subscription,
};
use entity::{
    Database, GroupId, Platform, Timestamp, channel, channel_model,
    group::{self, client::Rule},
    group_channel,
    key::PayOrder,
    model,
};
use identity::{
    NameFault,
    key::{self, IssueKey, IssueKeyError, KeyName, KeySecret},
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder};
use serde::Deserialize;
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

#[derive(Template)]
#[template(path = "page/keys/new.html")]
struct NewKeyPage {
    page: Page,
    name: String,
    groups: Vec<GroupChoice>,
    expiries: Vec<ExpiryChoice>,
    pay_orders: Vec<pay::Choice>,
    limits: Fields,
    faults: Faults,
}

struct GroupChoice {
    id: String,
    title: String,
    note: String,
    chosen: bool,
}

struct ExpiryChoice {
    value: &'static str,
    label: Phrase,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "page/keys/issued.html")]
struct IssuedPage<'a> {
    page: Page,
    name: String,
    secret: &'a str,
    model_missing: bool,
    switch_links: Vec<SwitchLink>,
    clients: Vec<Client>,
}

/// What the form sends.
#[derive(Default, Deserialize)]
pub(crate) struct Form {
    name: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    expiry: String,
    #[serde(default)]
    pay_order: String,
    #[serde(flatten)]
    limits: Fields,
}

/// The form.
pub(crate) async fn show(console: State, page: Page, member: SignedIn) -> Answer {
    if !member.may_hold_keys() {
        return Err(Error::NotFound);
    }

    let form = Form {
        pay_order: pay::word(usual(&console.db, &member, console.clock.now()).await?).to_owned(),
        ..Form::default()
    };

    reply::page(&form_page(&console.db, page, form, Faults::none()).await?)
}

/// Makes the key and shows it this once.
pub(crate) async fn submit(
    console: State,
    page: Page,
    member: SignedIn,
    Protected(form): Protected<Form>,
) -> Answer {
    let (db, now) = (&console.db, console.clock.now());
    let usual = usual(db, &member, now).await?;
    let (order, limits) = match parse(&form, usual, now) {
        Ok(parsed) => parsed,
        Err(faults) => return reply::refused(&form_page(db, page, form, faults).await?),
    };

    let issued = key::issue(db, &console.keys, &member, order, now).await;

    match issued {
        Ok((secret, row)) => {
            // Nobody has seen the key yet, so it never works without its limits.
            limit(db, &member, &row, limits, now).await?;
            show_once(db, page, secret, &row).await
        }
        Err(error) => {
            let faults = refusal(error, now)?;
            reply::refused(&form_page(db, page, form, faults).await?)
        }
    }
}

async fn limit(
    db: &Database,
    member: &SignedIn,
    key: &entity::key::Model,
    limits: Vec<Limit>,
    now: Timestamp,
) -> Result<(), Error> {
    if limits.is_empty() {
        return Ok(());
    }
    let order = SetCaps {
        tenant: key.tenant_id,
        whose: Whose::Key(key.id),
        limits,
        actor: member.actor(),
        reason: None,
    };
    match cap::set(db, order, now).await {
        Ok(()) => Ok(()),
        Err(CapError::OutOfRange | CapError::TooMany | CapError::NoSuchBearer) => {
            Err(Error::Malformed("spend".to_owned()))
        }
        Err(CapError::Store(fault)) => Err(Error::Store(fault)),
    }
}

/// What pays for a new key's calls where its form says nothing: what the first plan with a word on it says.
async fn usual(db: &Database, member: &SignedIn, now: Timestamp) -> Result<PayOrder, DbErr> {
    let plans = subscription::current(db, member.tenant(), now).await?;
    let said = plans
        .iter()
        .filter_map(|current| Plan::from_json(&current.version.document).ok())
        .find_map(|plan| plan.pay_order());
    Ok(said.unwrap_or(PayOrder::PlanThenWallet))
}

fn parse(form: &Form, usual: PayOrder, now: Timestamp) -> Result<(IssueKey, Vec<Limit>), Faults> {
    let mut faults = Faults::none();
    let name = KeyName::parse(&form.name).map_err(|fault| match fault {
        NameFault::Empty => phrase("name-empty"),
        NameFault::TooLong => phrase("key-name-long"),
        NameFault::Unprintable => phrase("name-unprintable"),
    });
    let name = faults.take("name", name);
    let group = match form.group.as_str() {
        "" => Some(None),
        text => faults
            .take(
                "group",
                text.parse::<GroupId>().map_err(|_| phrase("group-wanted")),
            )
            .map(Some),
    };
    let expires_at = faults.take("expiry", expiry(&form.expiry, now));
    let limits = form.limits.read(&mut faults);
    match (name, group, expires_at, limits) {
        (Some(name), Some(group), Some(expires_at), Some(limits)) => {
            let order = IssueKey {
                group,
                expires_at,
                pay_order: pay::parse(&form.pay_order).unwrap_or(usual),
                ..IssueKey::named(name)
            };
            Ok((order, limits))
        }
        _ => Err(faults),
    }
}

fn expiry(word: &str, now: Timestamp) -> Result<Option<Timestamp>, Phrase> {
    let days = match word {
        "" | "never" => return Ok(None),
        "week" => 7,
        "month" => 30,
        "quarter" => 90,
        "year" => 365,
        _ => return Err(phrase("expiry-unknown")),
    };
    Ok(Some(now.plus(DAY * days)))
}

fn expiries(chosen: &str) -> Vec<ExpiryChoice> {
    let choice = |value, label| ExpiryChoice {
        value,
        label,
        chosen: value == chosen,
    };
    vec![
        choice("never", phrase("expiry-never")),
        choice("week", phrase("expiry-week")),
        choice("month", phrase("expiry-month")),
        choice("quarter", phrase("expiry-quarter")),
        choice("year", phrase("expiry-year")),
    ]
}

fn refusal(error: IssueKeyError, now: Timestamp) -> Result<Faults, Error> {
    match error {
        IssueKeyError::NotAllowed => Ok(Faults::of("form", phrase("keys-refused"))),
        IssueKeyError::Banned => Ok(Faults::of("form", phrase("keys-banned"))),
        IssueKeyError::NoGroup => Ok(Faults::of("group", phrase("group-none"))),
        IssueKeyError::ExpiryPassed => Ok(Faults::of("expiry", phrase("expiry-unknown"))),
        IssueKeyError::TooMany => Ok(Faults::of("form", phrase("keys-many"))),
        IssueKeyError::TooFast { retry_at } => Ok(Faults::of(
            "form",
            phrase("keys-fast").count("minutes", minutes(retry_at.since(now))),
        )),
        IssueKeyError::Store(cause) => Err(Error::Store(cause)),
    }
}

/// Whole minutes, rounded up, so that whoever waits as long is let in.
fn minutes(wait: Duration) -> i64 {
    i64::try_from(wait.as_secs().div_ceil(60)).unwrap_or(i64::MAX)
}

async fn form_page(
    db: &Database,
    page: Page,
    form: Form,
    faults: Faults,
) -> Result<NewKeyPage, DbErr> {
    let groups = group::Entity::every()
        .filter(group::Column::Status.eq(group::Status::Active))
        .order_by_desc(group::Column::IsDefault)
        .order_by_asc(group::Column::Title)
        .all(db.read())
        .await?;
    let choices = groups.into_iter().map(|group| {
        let id = group.id.to_string();
        let factor = format::factor(group.multiplier_ppm);
        GroupChoice {
            title: group.title,
            note: match clients_of(&group.clients) {
                clients if clients.is_empty() => page.say_with("group-factor", "factor", &factor),
                clients => page.say_phrase(
                    &phrase("group-factor-clients")
                        .with("factor", factor)
                        .with("clients", clients),
                ),
            },
            chosen: if form.group.is_empty() {
                group.is_default
            } else {
                form.group == id
            },
            id,
        }
    });
    Ok(NewKeyPage {
        groups: choices.collect(),
        expiries: expiries(&form.expiry),
        pay_orders: pay::choices(&form.pay_order),
        limits: form.limits,
        name: form.name,
        page,
        faults,
    })
}

/// The one page with the key on it. Taking the secret by value, it cannot be called twice.
async fn show_once(
    db: &Database,
    page: Page,
    secret: KeySecret,
    row: &entity::key::Model,
) -> Answer {
    let models = models_of(db, row.group_id).await?;
    let secret = secret.reveal();
    let target = Target {
        base_url: page.base_url(),
        site: page.site(),
        key: &secret,
        models: &models,
    };
    reply::page(&IssuedPage {
        name: row.name.clone(),
        secret: &secret,
        model_missing: models.is_empty(),
        switch_links: connect::switch_links(&target),
        clients: connect::clients(&target),
        page: page.clone(),
    })
}

/// The clients that a group is for, as a list for reading; nothing where it takes all.
fn clients_of(policy: &str) -> String {
    let rules: Vec<Rule> = serde_json::from_str(policy).unwrap_or_default();
    let names: Vec<String> = rules.iter().map(Rule::to_string).collect();
    names.join(", ")
}

/// Names of the chat models on sale in a group, the newest first.
async fn models_of(db: &Database, group: GroupId) -> Result<Vec<String>, DbErr> {
    let channels = group_channel::Entity::every()
        .filter(group_channel::Column::GroupId.eq(group))
        .all(db.read())
        .await?;
    let open = channel::Entity::every()
        .filter(channel::Column::Id.is_in(channels.iter().map(|row| row.channel_id)))
        .filter(channel::Column::Status.eq(channel::Status::Active))
        .all(db.read())
        .await?;
    let served = channel_model::Entity::every()
        .filter(channel_model::Column::ChannelId.is_in(open.iter().map(|row| row.id)))
        .all(db.read())
        .await?;
    let models = model::Entity::every()
        .filter(model::Column::Id.is_in(served.iter().map(|row| row.model_id)))
        .filter(model::Column::Status.eq(model::Status::Active))
        .filter(model::Column::Kind.eq(model::Kind::Chat))
        .order_by_desc(model::Column::Id)
        .all(db.read())
        .await?;
    Ok(models.into_iter().map(|model| model.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_one_of_the_listed_times() {
        let now = Timestamp::from_micros(0);
        for choice in expiries("never") {
            assert!(expiry(choice.value, now).is_ok(), "{}", choice.value);
        }

        assert_eq!(expiry("week", now), Ok(Some(now.plus(7 * DAY))));
        assert!(expiry("tomorrow", now).is_err());
    }
}
