//! One group: its title, multiplier, default model and channels.

use crate::{
    Console, Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::operator::field,
    words::{format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::shop::group::{ChangeGroup, ChangeGroupError, change};
use entity::{ChannelId, GroupId, ModelId, Platform, channel, group, group_channel, model};
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
}

impl Entered {
    fn read(&self, group: GroupId) -> Result<ChangeGroup, Faults> {
        let mut faults = Faults::none();
        let title = faults.take("title", field::text(&self.title, 80));
        let multiplier = faults.take("multiplier", field::factor(&self.multiplier));
        match (title, multiplier) {
            (Some(title), Some(multiplier_ppm)) => Ok(ChangeGroup {
                group,
                title,
                multiplier_ppm,
                default_model: self.default_model.parse::<ModelId>().ok(),
                channels: field::ids::<ChannelId>(&self.channels)
                    .into_iter()
                    .collect(),
            }),
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
    let form = Entered {
        title: group.title.clone(),
        multiplier: format::factor(group.multiplier_ppm),
        default_model: group
            .default_model_id
            .map(|id| id.to_string())
            .unwrap_or_default(),
        channels: channels.join("\n"),
    };

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
        Err(ChangeGroupError::Unknown) => Faults::of("channels", phrase("op-fault-unknown")),
        Err(ChangeGroupError::Store(error)) => return Err(Error::Store(error)),
    };
    reply::refused(&view(page, &console, group, form, faults).await?)
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
        form,
        faults,
    })
}
