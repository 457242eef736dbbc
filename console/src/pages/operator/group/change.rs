//! One group: its title, multiplier, default model and channels, and whom it takes.

use crate::{
    Console, Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::operator::field,
    words::{Phrase, format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::shop::group::{ChangeGroup, ChangeGroupError, change};
use entity::{
    ChannelId, GroupId, ModelId, Platform, Protocol, channel,
    group::{
        self,
        client::{KINDS, Known, Rule, Version},
    },
    group_channel, model,
};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder};
use serde::Deserialize;
use std::collections::BTreeSet;

#[derive(Template)]
#[template(path = "page/operator/group.html")]
struct Group {
    page: Page,
    name: String,
    form: Entered,
    faults: Faults,
    models: Vec<Choice>,
    channels: Vec<Choice>,
    protocols: Vec<Choice>,
    clients: Vec<Client>,
    fallbacks: Vec<Choice>,
}

/// A kind of client to tick, with the versions typed beside it.
struct Client {
    word: &'static str,
    name: &'static str,
    versioned: bool,
    chosen: bool,
    least: String,
    most: String,
}

struct Choice {
    id: String,
    name: String,
    chosen: bool,
}

/// The form as sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Entered {
    title: String,
    multiplier: String,
    default_model: String,
    channels: String,
    protocols: String,
    clients: String,
    /// A line for each kind that says its version, in the order of the list.
    client_least: String,
    client_most: String,
    fallback: String,
    /// Not empty where its box is ticked.
    stops_when_left: String,
    counted: String,
    /// Not empty where its box is ticked.
    strict_translation: String,
}

/// The protocols by the paths that members know.
const PROTOCOLS: [(Protocol, &str, &str); 4] = [
    (Protocol::Chat, "chat", "/v1/chat/completions"),
    (Protocol::Responses, "responses", "/v1/responses"),
    (Protocol::Messages, "messages", "/v1/messages"),
    (Protocol::Embeddings, "embeddings", "/v1/embeddings"),
];

/// What a ticked box sends.
const TICKED: &str = "yes";

fn ticked(is: bool) -> String {
    if is { TICKED } else { "" }.to_owned()
}

impl Entered {
    fn of(group: &group::Model, channels: &[String]) -> Self {
        let rules: Vec<Rule> = serde_json::from_str(&group.clients).unwrap_or_default();
        let taken: Vec<Protocol> = serde_json::from_str(&group.protocols).unwrap_or_default();
        let words = PROTOCOLS
            .iter()
            .filter(|(protocol, ..)| taken.contains(protocol))
            .map(|(_, word, _)| *word);
        let kinds: Vec<&str> = rules.iter().map(|rule| rule.kind.as_str()).collect();
        let versions = |of: fn(&Rule) -> Option<Version>| {
            let lines = versioned().map(|kind| {
                let rule = rules.iter().find(|rule| rule.kind == kind.word);
                rule.and_then(of)
                    .map(|version| version.to_string())
                    .unwrap_or_default()
            });
            lines.collect::<Vec<_>>().join("\n")
        };
        Self {
            title: group.title.clone(),
            multiplier: format::factor(group.multiplier_ppm),
            default_model: group
                .default_model_id
                .map(|id| id.to_string())
                .unwrap_or_default(),
            channels: channels.join("\n"),
            protocols: words.collect::<Vec<_>>().join("\n"),
            clients: kinds.join("\n"),
            client_least: versions(|rule| rule.least),
            client_most: versions(|rule| rule.most),
            fallback: group
                .fallback_group_id
                .map(|id| id.to_string())
                .unwrap_or_default(),
            stops_when_left: ticked(group.stops_when_left),
            counted: format::factor(group.counted_ppm),
            strict_translation: ticked(group.strict_translation),
        }
    }

    /// Every kind with what was ticked and typed for it.
    fn clients(&self) -> Vec<Client> {
        let ticked = field::lines(&self.clients);
        let (mut least, mut most) = (self.client_least.split('\n'), self.client_most.split('\n'));
        let mut typed = |versioned: bool| {
            if !versioned {
                return (String::new(), String::new());
            }
            let line = |lines: &mut std::str::Split<'_, char>| {
                lines.next().unwrap_or_default().trim().to_owned()
            };
            (line(&mut least), line(&mut most))
        };
        let clients = KINDS.iter().map(|kind| {
            let (least, most) = typed(kind.versioned);
            Client {
                word: kind.word,
                name: kind.name,
                versioned: kind.versioned,
                chosen: ticked.iter().any(|word| word == kind.word),
                least,
                most,
            }
        });
        clients.collect()
    }

    fn rules(&self) -> Result<Vec<Rule>, Phrase> {
        let version = |text: &str| {
            field::optional(text, |text| {
                text.parse::<Version>()
                    .map_err(|_| phrase("op-fault-version"))
            })
        };
        self.clients()
            .iter()
            .filter(|client| client.chosen)
            .map(|client| {
                Ok(Rule {
                    kind: client.word.to_owned(),
                    least: version(&client.least)?,
                    most: version(&client.most)?,
                })
            })
            .collect()
    }

    fn is_stopped_when_left(&self) -> bool {
        !self.stops_when_left.is_empty()
    }

    fn is_strict(&self) -> bool {
        !self.strict_translation.is_empty()
    }

    fn read(&self, group: GroupId) -> Result<ChangeGroup, Faults> {
        let mut faults = Faults::none();
        let title = faults.take("title", field::text(&self.title, 80));
        let multiplier = faults.take("multiplier", field::factor(&self.multiplier));
        let clients = faults.take("clients", self.rules());
        let counted = faults.take("counted", field::factor(&self.counted));
        let taken = field::lines(&self.protocols);
        let protocols = PROTOCOLS
            .iter()
            .filter(|(_, word, _)| taken.iter().any(|taken| taken == word))
            .map(|(protocol, ..)| *protocol);
        match (title, multiplier, clients, counted) {
            (Some(title), Some(multiplier_ppm), Some(clients), Some(counted_ppm)) => {
                Ok(ChangeGroup {
                    group,
                    title,
                    multiplier_ppm,
                    default_model: self.default_model.parse::<ModelId>().ok(),
                    channels: field::ids::<ChannelId>(&self.channels)
                        .into_iter()
                        .collect(),
                    protocols: protocols.collect(),
                    clients,
                    fallback: self.fallback.parse::<GroupId>().ok(),
                    stops_when_left: self.is_stopped_when_left(),
                    counted_ppm,
                    strict_translation: self.is_strict(),
                })
            }
            _ => Err(faults),
        }
    }
}

/// The form.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<GroupId>,
) -> Answer {
    let group = found(&console, path.into_inner()).await?;
    let shelves = group_channel::Entity::every()
        .filter(group_channel::Column::GroupId.eq(group.id))
        .all(console.db.read())
        .await?;
    let channels: Vec<String> = shelves
        .iter()
        .map(|shelf| shelf.channel_id.to_string())
        .collect();
    let form = Entered::of(&group, &channels);

    reply::page(&view(page, &console, group, form, Faults::none()).await?)
}

/// The form sent.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    path: web::Path<GroupId>,
    form: Protected<Entered>,
) -> Answer {
    let group = found(&console, path.into_inner()).await?;
    let Protected(form) = form;
    let wish = match form.read(group.id) {
        Ok(wish) => wish,
        Err(faults) => return reply::refused(&view(page, &console, group, form, faults).await?),
    };

    let outcome = change(&console.db, wish, operator.0.actor(), console.clock.now()).await;

    let faults = match outcome {
        Ok(()) => {
            let done = phrase("op-group-saved-done").with("name", form.title.trim());
            return Ok(reply::see_other(super::LIST).flash(Tone::Good, done));
        }
        Err(ChangeGroupError::NoGroup) => return Err(Error::NotFound),
        Err(ChangeGroupError::Title) => Faults::of("title", phrase("op-fault-required")),
        Err(ChangeGroupError::Multiplier) => {
            Faults::of("multiplier", phrase("op-fault-multiplier"))
        }
        Err(ChangeGroupError::Counted) => Faults::of("counted", phrase("op-fault-multiplier")),
        Err(ChangeGroupError::Clients) => Faults::of("clients", phrase("op-fault-clients")),
        Err(ChangeGroupError::Fallback) => Faults::of("fallback", phrase("op-fault-unknown")),
        Err(ChangeGroupError::Unknown) => Faults::of("channels", phrase("op-fault-unknown")),
        Err(ChangeGroupError::Store(error)) => return Err(Error::Store(error)),
    };
    reply::refused(&view(page, &console, group, form, faults).await?)
}

fn versioned() -> impl Iterator<Item = &'static Known> {
    KINDS.iter().filter(|kind| kind.versioned)
}

async fn found(console: &Console, id: GroupId) -> Result<group::Model, Error> {
    group::Entity::every()
        .filter(group::Column::Id.eq(id))
        .one(console.db.read())
        .await?
        .ok_or(Error::NotFound)
}

async fn view(
    page: Page,
    console: &Console,
    group: group::Model,
    form: Entered,
    faults: Faults,
) -> Result<Group, Error> {
    let db = console.db.read();
    let models = model::Entity::every()
        .filter(model::Column::Status.eq(model::Status::Active))
        .order_by_asc(model::Column::Name)
        .all(db)
        .await?;
    let channels = channel::Entity::every()
        .order_by_asc(channel::Column::Name)
        .all(db)
        .await?;
    let others = group::Entity::every()
        .filter(group::Column::Id.ne(group.id))
        .order_by_asc(group::Column::Title)
        .all(db)
        .await?;
    let taken = field::lines(&form.protocols);
    let on_shelf: BTreeSet<ChannelId> = field::ids(&form.channels).into_iter().collect();

    Ok(Group {
        page,
        name: group.name,
        models: models
            .into_iter()
            .map(|model| Choice {
                chosen: model.id.to_string() == form.default_model,
                id: model.id.to_string(),
                name: model.name,
            })
            .collect(),
        channels: channels
            .into_iter()
            .map(|channel| Choice {
                chosen: on_shelf.contains(&channel.id),
                id: channel.id.to_string(),
                name: channel.name,
            })
            .collect(),
        protocols: PROTOCOLS
            .iter()
            .map(|(_, word, path)| Choice {
                chosen: taken.iter().any(|taken| taken == word),
                id: (*word).to_owned(),
                name: (*path).to_owned(),
            })
            .collect(),
        clients: form.clients(),
        fallbacks: others
            .into_iter()
            .map(|other| Choice {
                chosen: other.id.to_string() == form.fallback,
                id: other.id.to_string(),
                name: other.title,
            })
            .collect(),
        form,
        faults,
    })
}
