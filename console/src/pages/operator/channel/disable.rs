//! Switches a channel off, after a question.

use crate::{
    Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::operator::{
        confirm::{Confirm, Reason},
        field,
    },
    words::phrase,
};
use actix_web::web;
use billing::shop::channel::{SwitchError, disable};
use entity::{ChannelId, channel};

/// The question.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<ChannelId>,
) -> Answer {
    let channel = super::found(&console, path.into_inner()).await?;

    question(page, &channel).ask()
}

/// The answer yes, with a reason.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    path: web::Path<ChannelId>,
    form: Protected<Reason>,
) -> Answer {
    let channel = super::found(&console, path.into_inner()).await?;
    let Protected(form) = form;
    let reason = match field::reason(&form.reason) {
        Ok(reason) => reason.as_str().to_owned(),
        Err(fault) => return question(page, &channel).ask_again(form, fault),
    };

    let actor = operator.0.actor();
    let outcome = disable(
        &console.db,
        channel.id,
        Some(reason),
        actor,
        console.clock.now(),
    )
    .await;

    let back = reply::see_other(super::address(channel.id));
    match outcome {
        Ok(()) => Ok(back.flash(
            Tone::Good,
            phrase("op-channel-disabled-done").with("name", channel.name),
        )),
        Err(SwitchError::NothingToChange) => Ok(back.flash(Tone::Note, phrase("op-done-nothing"))),
        Err(SwitchError::Store(error)) => Err(Error::Store(error)),
    }
}

fn question(page: Page, channel: &channel::Model) -> Confirm {
    Confirm {
        page,
        title: phrase("op-channel-disable-title").with("name", channel.name.as_str()),
        text: phrase("op-channel-disable-text"),
        button: phrase("op-channel-disable"),
        danger: true,
        reason_hint: Some(phrase("op-reason-hint")),
        back: super::address(channel.id),
        form: Reason::default(),
        faults: Faults::none(),
    }
}
