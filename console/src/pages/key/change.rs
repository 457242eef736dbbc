//! Switching a key off and on again.

use crate::{
    Error,
    frame::{Answer, Protected, SignedIn, State, Tone, reply},
    words::{Phrase, phrase},
};
use actix_web::web;
use entity::KeyId;
use identity::key::{self, KeyChangeError};
use serde::Deserialize;

/// Nothing but the token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {}

/// Makes its calls fail until it is enabled.
pub(crate) async fn disable(
    console: State,
    member: SignedIn,
    path: web::Path<String>,
    _form: Protected<Form>,
) -> Answer {
    let id: KeyId = path.parse().map_err(|_| Error::NotFound)?;

    let outcome = key::disable(&console.db, &member, id, console.clock.now()).await;

    answer(outcome, phrase("keys-disabled-done"))
}

/// Makes a disabled key work again.
pub(crate) async fn enable(
    console: State,
    member: SignedIn,
    path: web::Path<String>,
    _form: Protected<Form>,
) -> Answer {
    let id: KeyId = path.parse().map_err(|_| Error::NotFound)?;

    let outcome = key::enable(&console.db, &member, id, console.clock.now()).await;

    answer(outcome, phrase("keys-enabled-done"))
}

/// Back to the list, with what was done.
pub(super) fn answer(outcome: Result<(), KeyChangeError>, done: Phrase) -> Answer {
    let back = reply::see_other("/console/keys");
    match outcome {
        Ok(()) => Ok(back.flash(Tone::Good, done)),
        Err(KeyChangeError::Revoked) => Ok(back.flash(Tone::Warn, phrase("keys-revoked-already"))),
        Err(KeyChangeError::NotFound) => Err(Error::NotFound),
        Err(KeyChangeError::Store(cause)) => Err(Error::Store(cause)),
    }
}
