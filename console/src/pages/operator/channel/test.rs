//! One small real call over a channel, and what came of it.

use super::upstream::{self, Wire};
use crate::{
    frame::{Answer, Operator, Protected, State, Tone, reply},
    words::{Phrase, phrase},
};
use actix_web::web;
use entity::{ChannelId, Database, Platform, channel, channel::Kind, channel_model, model};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder};
use serde::Deserialize;
use std::time::Instant;

/// The form as sent.
#[derive(Debug, Deserialize)]
pub(crate) struct Entered {
    #[serde(default)]
    model: String,
}

/// The button.
pub(crate) async fn submit(
    _operator: Operator,
    console: State,
    path: web::Path<ChannelId>,
    form: Protected<Entered>,
) -> Answer {
    let channel = super::found(&console, path.into_inner()).await?;

    let (tone, told) = match run(&console.db, console.wire(), &channel, &form.0.model).await? {
        Ok(told) => (Tone::Good, told),
        Err(told) => (Tone::Bad, told),
    };

    Ok(reply::see_other(super::address(channel.id)).flash(tone, told))
}

/// The call itself, and what to say of it.
pub(crate) async fn run(
    db: &Database,
    wire: Wire<'_>,
    channel: &channel::Model,
    model: &str,
) -> Result<Result<Phrase, Phrase>, DbErr> {
    if channel.kind == Kind::Sandbox {
        return Ok(Ok(phrase("op-channel-test-sandbox")));
    }
    let Some((model, upstream_name)) = chosen(db, channel.id, model).await? else {
        let listed = upstream::models(wire, channel).await;
        return Ok(listed.map(|_| phrase("op-channel-test-no-model")));
    };

    let begun = Instant::now();
    let outcome = upstream::call(wire, channel, model.kind, &upstream_name).await;
    let took = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    Ok(outcome.map(|()| {
        phrase("op-channel-test-good")
            .with("model", model.name)
            .count("ms", took)
    }))
}

/// The model of this name that the channel serves, else its first that chats, else its first.
async fn chosen(
    db: &Database,
    channel: ChannelId,
    name: &str,
) -> Result<Option<(model::Model, String)>, DbErr> {
    let served = channel_model::Entity::every()
        .filter(channel_model::Column::ChannelId.eq(channel))
        .all(db.read())
        .await?;
    let models = model::Entity::every()
        .filter(model::Column::Id.is_in(served.iter().map(|served| served.model_id)))
        .order_by_asc(model::Column::Name)
        .all(db.read())
        .await?;
    let wished = models.iter().position(|model| model.name == name);
    let chats = models
        .iter()
        .position(|model| model.kind == model::Kind::Chat);
    let model = models.into_iter().nth(wished.or(chats).unwrap_or(0));

    Ok(model.and_then(|model| {
        let served = served
            .into_iter()
            .find(|served| served.model_id == model.id)?;
        Some((model, served.upstream_name))
    }))
}
