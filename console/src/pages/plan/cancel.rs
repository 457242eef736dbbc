//! Stopping a plan when its period ends, and taking that back.

use crate::{
    Error,
    frame::{
        Answer, Protected, SignedIn, State, Tone,
        reply::{self, Reply},
    },
    words::{Phrase, phrase},
};
use actix_web::web;
use billing::subscription::{End, EndError, end, resume};
use serde::Deserialize;

/// Nothing but the token.
#[derive(Deserialize)]
pub(crate) struct Form {}

/// Lets the running period be the last.
pub(crate) async fn submit(
    console: State,
    member: SignedIn,
    path: web::Path<String>,
    _form: Protected<Form>,
) -> Answer {
    let row = super::found(&console, &member, &path).await?;
    if !member.may_pay() {
        return Ok(refused());
    }

    let (whose, now) = ((row.tenant_id, row.id), console.clock.now());
    let outcome = end(&console.db, whose, End::AtPeriodEnd, member.actor(), now).await;

    answer(outcome, phrase("plans-cancelled"))
}

/// Takes that back.
pub(crate) async fn undo(
    console: State,
    member: SignedIn,
    path: web::Path<String>,
    _form: Protected<Form>,
) -> Answer {
    let row = super::found(&console, &member, &path).await?;
    if !member.may_pay() {
        return Ok(refused());
    }

    let (whose, now) = ((row.tenant_id, row.id), console.clock.now());
    let outcome = resume(&console.db, whose, member.actor(), now).await;

    answer(outcome, phrase("plans-resumed"))
}

fn answer(outcome: Result<(), EndError>, done: Phrase) -> Answer {
    let back = reply::see_other(super::LIST);
    match outcome {
        Ok(()) => Ok(back.flash(Tone::Good, done)),
        Err(EndError::NotFound) => Ok(back.flash(Tone::Note, phrase("plans-nothing-to-do"))),
        Err(EndError::Clock) => Ok(back.flash(Tone::Bad, phrase("plans-clock"))),
        Err(EndError::Store(cause)) => Err(Error::Store(cause)),
    }
}

fn refused() -> Reply {
    reply::see_other(super::LIST).flash(Tone::Bad, phrase("plans-not-yours"))
}
