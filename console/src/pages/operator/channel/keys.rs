//! Further keys of a channel: one pasted in, one taken out.

use super::secret;
use crate::{
    Error,
    frame::{Answer, Operator, Protected, State, Tone, reply},
    words::phrase,
};
use actix_web::web;
use billing::shop::channel::{KEYS_MAX, KeyError, add_key, remove_key};
use entity::{ChannelId, ChannelKeyId};
use serde::Deserialize;

/// The form as sent: a new key, or the id of one to remove.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Entered {
    secret: String,
    remove: String,
}

/// The form sent.
pub(crate) async fn submit(
    operator: Operator,
    console: State,
    path: web::Path<ChannelId>,
    form: Protected<Entered>,
) -> Answer {
    let channel = super::found(&console, path.into_inner()).await?;
    let Protected(form) = form;
    let (actor, now) = (operator.0.actor(), console.clock.now());
    let back = reply::see_other(super::address(channel.id));

    let outcome = if let Ok(key) = form.remove.parse::<ChannelKeyId>() {
        remove_key(&console.db, channel.id, key, actor, now).await
    } else {
        match secret::sealed(&console, channel.id, &channel.base_url, &form.secret) {
            Ok(Some(sealed)) => add_key(&console.db, channel.id, sealed, actor, now).await,
            Ok(None) => return Ok(back.flash(Tone::Bad, phrase("op-fault-required"))),
            Err(fault) => return Ok(back.flash(Tone::Bad, fault)),
        }
    };

    match outcome {
        Ok(()) => {
            let done = phrase("op-channel-saved-done").with("name", channel.name);
            Ok(back.flash(Tone::Good, done))
        }
        Err(KeyError::NotThere) => Err(Error::NotFound),
        Err(KeyError::TooMany) => {
            let most = i64::try_from(KEYS_MAX).unwrap_or(i64::MAX);
            Ok(back.flash(Tone::Bad, phrase("op-fault-keys-many").count("count", most)))
        }
        Err(KeyError::Store(error)) => Err(Error::Store(error)),
    }
}
