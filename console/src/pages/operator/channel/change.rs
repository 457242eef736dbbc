//! One channel: its settings, its models in short, and its test.

use super::{difference, options, secret};
use crate::{
    Console, Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::operator::{
        badge::{self, Badge},
        field, overview,
    },
    words::{Phrase, format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::shop::channel::{ChangeChannel, ChangeChannelError, SealedSecret, change};
use entity::{
    ChannelId, Platform, Scoped, attempt, channel, channel::Kind, channel_check, channel_key,
    channel_model, model, usage,
};
use sea_orm::{ColumnTrait, PaginatorTrait, QueryFilter, QueryOrder};
use serde::Deserialize;
use std::time::Duration;

#[derive(Template)]
#[template(path = "page/operator/channel.html")]
struct Channel {
    page: Page,
    address: String,
    name: String,
    kind: Phrase,
    badge: Badge,
    reason: Option<String>,
    active: bool,
    sandbox: bool,
    secret_note: Phrase,
    models: Vec<String>,
    keys: Vec<Key>,
    health: Option<Health>,
    spend: Spend,
    options: options::Entered,
    limit_names: Vec<Choice>,
    form: Entered,
    faults: Faults,
}

/// A further key; never more of it than its end.
struct Key {
    id: String,
    hint: String,
    since: String,
    refused: Option<String>,
}

/// How the channel was last found.
struct Health {
    at: format::Moment,
    tone: &'static str,
    said: Phrase,
    new: Vec<String>,
    gone: Vec<String>,
}

/// What the channel did in the last thirty days.
struct Spend {
    calls: String,
    charged: format::Amount,
    cost: format::Amount,
    vain: String,
}

/// A name of the output limit to choose.
struct Choice {
    word: &'static str,
    chosen: bool,
}

/// The form as sent.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Entered {
    name: String,
    base_url: String,
    secret: String,
    priority: String,
    weight: String,
}

impl Entered {
    fn of(channel: &channel::Model) -> Self {
        Self {
            name: channel.name.clone(),
            base_url: channel.base_url.clone(),
            secret: String::new(),
            priority: channel.priority.to_string(),
            weight: channel.weight.to_string(),
        }
    }

    fn read(&self, console: &Console, channel: &channel::Model) -> Result<ChangeChannel, Faults> {
        let mut faults = Faults::none();
        let name = faults.take("name", field::text(&self.name, 80));
        let priority = faults.take("priority", field::number(&self.priority, 0..=1000));
        let weight = faults.take("weight", field::number(&self.weight, 1..=1000));
        let (base_url, secret) = match channel.kind {
            Kind::Sandbox => (Some(String::new()), None),
            Kind::Openai | Kind::Anthropic | Kind::OpenaiCompatible => {
                self.reach(console, channel, &mut faults)
            }
        };
        match (name, base_url, priority, weight) {
            (Some(name), Some(base_url), Some(priority), Some(weight)) if faults.is_empty() => {
                Ok(ChangeChannel {
                    channel: channel.id,
                    name,
                    moved: secret::host(&base_url) != secret::host(&channel.base_url),
                    base_url,
                    secret,
                    priority,
                    weight,
                })
            }
            _ => Err(faults),
        }
    }

    /// Address and secret. A secret is sealed to its host, so another host needs it anew.
    fn reach(
        &self,
        console: &Console,
        channel: &channel::Model,
        faults: &mut Faults,
    ) -> (Option<String>, Option<SealedSecret>) {
        let Some(base_url) = faults.take("base_url", secret::checked_url(console, &self.base_url))
        else {
            return (None, None);
        };
        let sealed = secret::sealed(console, channel.id, &base_url, &self.secret);
        let sealed = faults.take("secret", sealed).flatten();
        let moved = secret::host(&base_url) != secret::host(&channel.base_url);
        if moved && channel.secret.is_some() && sealed.is_none() {
            faults.add("secret", phrase("op-fault-secret-again"));
        }
        (Some(base_url), sealed)
    }
}

/// The page.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<ChannelId>,
) -> Answer {
    let channel = super::found(&console, path.into_inner()).await?;
    let form = Entered::of(&channel);

    reply::page(&view(page, &console, channel, form, Faults::none()).await?)
}

/// The settings sent.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    path: web::Path<ChannelId>,
    form: Protected<Entered>,
) -> Answer {
    let channel = super::found(&console, path.into_inner()).await?;
    let Protected(form) = form;
    let wish = match form.read(&console, &channel) {
        Ok(wish) => wish,
        Err(faults) => return reply::refused(&view(page, &console, channel, form, faults).await?),
    };

    let outcome = change(&console.db, wish, operator.0.actor(), console.clock.now()).await;

    let faults = match outcome {
        Ok(()) => {
            let done = phrase("op-channel-saved-done").with("name", form.name.trim());
            return Ok(reply::see_other(super::address(channel.id)).flash(Tone::Good, done));
        }
        Err(ChangeChannelError::NoChannel) => return Err(Error::NotFound),
        Err(ChangeChannelError::Name) => Faults::of("name", phrase("op-fault-required")),
        Err(ChangeChannelError::Taken) => Faults::of("name", phrase("op-fault-taken")),
        Err(ChangeChannelError::Order) => Faults::of("priority", phrase("op-fault-range")),
        Err(ChangeChannelError::Store(error)) => return Err(Error::Store(error)),
    };
    reply::refused(&view(page, &console, channel, form, faults).await?)
}

async fn view(
    page: Page,
    console: &Console,
    channel: channel::Model,
    form: Entered,
    faults: Faults,
) -> Result<Channel, Error> {
    let served = channel_model::Entity::every()
        .filter(channel_model::Column::ChannelId.eq(channel.id))
        .all(console.db.read())
        .await?;
    let models = model::Entity::every()
        .filter(model::Column::Id.is_in(served.iter().map(|served| served.model_id)))
        .order_by_asc(model::Column::Name)
        .all(console.db.read())
        .await?;
    let secret_note = match (&channel.secret_hint, channel.secret_set_at) {
        (Some(hint), Some(since)) => phrase("op-channel-secret-since")
            .with("hint", hint.as_str())
            .with("day", format::day(since)),
        _ => phrase("op-channel-secret-none"),
    };

    let options = options::Entered::of(&channel);
    let limit_names = options::LIMIT_NAMES.iter().map(|word| Choice {
        word,
        chosen: options.output_limit == *word,
    });

    Ok(Channel {
        limit_names: limit_names.collect(),
        keys: keys(console, channel.id).await?,
        health: health(console, channel.id, &served).await?,
        spend: spend(console, channel.id).await?,
        options,
        page,
        address: super::address(channel.id),
        kind: badge::channel_kind(channel.kind),
        badge: badge::channel(channel.status),
        active: channel.status == channel::Status::Active,
        sandbox: channel.kind == Kind::Sandbox,
        secret_note,
        models: models.into_iter().map(|model| model.name).collect(),
        name: channel.name,
        reason: channel.status_reason,
        form,
        faults,
    })
}

async fn keys(console: &Console, channel: ChannelId) -> Result<Vec<Key>, Error> {
    let rows = channel_key::Entity::every()
        .filter(channel_key::Column::ChannelId.eq(channel))
        .order_by_asc(channel_key::Column::Id)
        .all(console.db.read())
        .await?;
    let rows = rows.into_iter().map(|row| Key {
        id: row.id.to_string(),
        since: format::day(row.created_at),
        refused: (row.status == channel_key::Status::Refused)
            .then(|| row.status_reason.unwrap_or_default()),
        hint: row.hint,
    });
    Ok(rows.collect())
}

async fn health(
    console: &Console,
    channel: ChannelId,
    served: &[channel_model::Model],
) -> Result<Option<Health>, Error> {
    let check = channel_check::Entity::every()
        .filter(channel_check::Column::ChannelId.eq(channel))
        .one(console.db.read())
        .await?;
    Ok(check.map(|check| {
        let listed = difference::names(check.listed.as_deref());
        let served: Vec<&str> = served
            .iter()
            .map(|row| row.upstream_name.as_str())
            .collect();
        let (tone, said) = match &check.fault {
            None => (
                "good",
                phrase("op-channel-health-good").count("ms", check.took_ms),
            ),
            Some(fault) => (
                "bad",
                phrase("op-channel-health-bad")
                    .count("count", check.failures)
                    .with("reason", fault.as_str()),
            ),
        };
        Health {
            at: format::moment(check.checked_at),
            tone,
            said,
            new: difference::new(&check, &served),
            gone: difference::gone(&listed, &served),
        }
    }))
}

async fn spend(console: &Console, channel: ChannelId) -> Result<Spend, Error> {
    let since = console.clock.now().minus(MONTH);
    let calls = || {
        usage::Entity::across_tenants()
            .filter(usage::Column::ChannelId.eq(channel))
            .filter(usage::Column::StartedAt.gte(since))
    };
    let vain = || {
        attempt::Entity::every()
            .filter(attempt::Column::ChannelId.eq(channel))
            .filter(attempt::Column::CreatedAt.gte(since))
    };
    let db = &console.db;
    let cost = overview::sum(calls(), usage::Column::ProviderCost, db).await?;
    let lost = overview::sum(vain(), attempt::Column::Cost, db).await?;
    Ok(Spend {
        calls: overview::count(calls().count(db.read()).await?),
        charged: format::amount(overview::sum(calls(), usage::Column::Charge, db).await?),
        cost: format::amount(cost.checked_add(lost).unwrap_or(cost)),
        vain: overview::count(vain().count(db.read()).await?),
    })
}

/// What the page looks back on.
const MONTH: Duration = Duration::from_hours(30 * 24);
