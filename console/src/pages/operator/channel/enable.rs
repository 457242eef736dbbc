//! Switches a channel on.

use crate::{
    Error,
    frame::{Answer, Operator, Protected, State, Tone, reply},
    pages::operator::field::Pressed,
    words::phrase,
};
use actix_web::web;
use billing::shop::channel::{SwitchError, enable};
use entity::ChannelId;

/// The button.
pub(crate) async fn submit(
    operator: Operator,
    console: State,
    path: web::Path<ChannelId>,
    _form: Protected<Pressed>,
) -> Answer {
    let channel = super::found(&console, path.into_inner()).await?;

    let outcome = enable(
        &console.db,
        channel.id,
        operator.0.actor(),
        console.clock.now(),
    )
    .await;

    let back = reply::see_other(super::address(channel.id));
    match outcome {
        Ok(()) => Ok(back.flash(
            Tone::Good,
            phrase("op-channel-enabled-done").with("name", channel.name),
        )),
        Err(SwitchError::NothingToChange) => Ok(back.flash(Tone::Note, phrase("op-done-nothing"))),
        Err(SwitchError::Store(error)) => Err(Error::Store(error)),
    }
}
