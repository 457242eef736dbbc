//! Which models a channel serves: ticked from the provider's own list, or written one a line.

use super::upstream;
use crate::{
    Console, Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    words::{Phrase, phrase},
};
use actix_web::web;
use askama::Template;
use billing::shop::{
    channel::{MODELS_MAX, ServeError, Served, serve},
    price_table::{PriceTable, SANDBOX_VENDOR},
};
use entity::{ChannelId, Platform, channel, channel::Kind, channel_model, model};
use sea_orm::{ColumnTrait, QueryFilter};
use serde::Deserialize;
use std::collections::HashMap;

#[derive(Template)]
#[template(path = "page/operator/channel_models.html")]
struct Models {
    page: Page,
    address: String,
    name: String,
    sandbox: bool,
    fault: Option<Phrase>,
    found: Option<Vec<Found>>,
    form: Entered,
    faults: Faults,
}

struct Found {
    name: String,
    listed: bool,
    ticked: bool,
}

/// What the address may say.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Query {
    #[serde(default)]
    look_up: String,
}

/// The form as sent: ticked names, and lines.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Entered {
    models: String,
    more: String,
}

impl Entered {
    /// Everything that is to be served. A line is `name` or `name = upstream name`.
    fn read(&self) -> Vec<Served> {
        self.models
            .lines()
            .chain(self.more.lines())
            .filter_map(|line| {
                let (name, upstream_name) = line.split_once('=').unwrap_or((line, line));
                let (name, upstream_name) = (name.trim(), upstream_name.trim());
                (!name.is_empty() && !upstream_name.is_empty()).then(|| Served {
                    name: name.to_owned(),
                    upstream_name: upstream_name.to_owned(),
                })
            })
            .collect()
    }
}

/// The page; it asks the provider where the address says so.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<ChannelId>,
    query: web::Query<Query>,
) -> Answer {
    let channel = super::found(&console, path.into_inner()).await?;
    let served = served(&console, channel.id).await?;
    let (found, fault) = match (channel.kind, query.look_up.is_empty()) {
        // What it has is known without asking anybody.
        (Kind::Sandbox, _) => (Some(PriceTable::shipped().names_of(SANDBOX_VENDOR)), None),
        (_, true) => (None, None),
        (_, false) => match upstream::models(console.wire(), &channel).await {
            Ok(names) => (Some(names), None),
            Err(fault) => (None, Some(fault)),
        },
    };

    reply::page(&view(page, &channel, &served, found, fault))
}

/// The choice sent.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    path: web::Path<ChannelId>,
    form: Protected<Entered>,
) -> Answer {
    let channel = super::found(&console, path.into_inner()).await?;
    let Protected(form) = form;
    let models = form.read();

    let count = i64::try_from(models.len()).unwrap_or(i64::MAX);
    let actor = operator.0.actor();
    let outcome = serve(&console.db, channel.id, models, actor, console.clock.now()).await;

    let fault = match outcome {
        Ok(()) => {
            let done = phrase("op-channel-models-done")
                .with("name", channel.name)
                .count("count", count);
            return Ok(reply::see_other(super::address(channel.id)).flash(Tone::Good, done));
        }
        Err(ServeError::NoChannel) => return Err(Error::NotFound),
        Err(ServeError::TooMany) => phrase("op-fault-models-many")
            .count("count", i64::try_from(MODELS_MAX).unwrap_or(i64::MAX)),
        Err(ServeError::Name(name)) => phrase("op-fault-model-name").with("name", name),
        Err(error @ ServeError::Import(_)) => return Err(Error::Internal(error.to_string())),
        Err(ServeError::Store(error)) => return Err(Error::Store(error)),
    };
    let lines: Vec<String> = form.read().into_iter().map(line).collect();
    let mut refused = view(page, &channel, &lines, None, None);
    refused.faults = Faults::of("more", fault);
    reply::refused(&refused)
}

fn line(served: Served) -> String {
    if served.name == served.upstream_name {
        served.name
    } else {
        format!("{} = {}", served.name, served.upstream_name)
    }
}

/// What the channel serves now, as lines.
async fn served(console: &Console, channel: ChannelId) -> Result<Vec<String>, Error> {
    let served = channel_model::Entity::every()
        .filter(channel_model::Column::ChannelId.eq(channel))
        .all(console.db.read())
        .await?;
    let names: HashMap<_, _> = model::Entity::every()
        .filter(model::Column::Id.is_in(served.iter().map(|served| served.model_id)))
        .all(console.db.read())
        .await?
        .into_iter()
        .map(|model| (model.id, model.name))
        .collect();
    let mut lines: Vec<String> = served
        .into_iter()
        .filter_map(|served| {
            Some(line(Served {
                name: names.get(&served.model_id)?.clone(),
                upstream_name: served.upstream_name,
            }))
        })
        .collect();
    lines.sort_unstable();
    Ok(lines)
}

/// Lines that the provider lists too become ticks; the others stay lines.
fn view(
    page: Page,
    channel: &channel::Model,
    served: &[String],
    found: Option<Vec<String>>,
    fault: Option<Phrase>,
) -> Models {
    let table = PriceTable::shipped();
    let more: Vec<String> = match &found {
        Some(found) => served
            .iter()
            .filter(|line| !found.contains(line))
            .cloned()
            .collect(),
        None => served.to_vec(),
    };
    let offers_all = channel.kind == Kind::Sandbox && served.is_empty();
    let found = found.map(|names| {
        names
            .into_iter()
            .map(|name| Found {
                listed: table.line(&name).is_some_and(|line| line.price.is_some()),
                ticked: offers_all || served.contains(&name),
                name,
            })
            .collect()
    });
    Models {
        page,
        address: super::address(channel.id),
        name: channel.name.clone(),
        sandbox: channel.kind == Kind::Sandbox,
        fault,
        found,
        form: Entered {
            models: String::new(),
            more: more.join("\n"),
        },
        faults: Faults::none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_may_name_what_the_provider_calls_it() {
        let form = Entered {
            models: "gpt-5.5\n".to_owned(),
            more: "mine = vendor/theirs\n\n = nothing\nplain\n".to_owned(),
        };

        let lines: Vec<String> = form.read().into_iter().map(line).collect();

        assert_eq!(lines, ["gpt-5.5", "mine = vendor/theirs", "plain"]);
    }
}
