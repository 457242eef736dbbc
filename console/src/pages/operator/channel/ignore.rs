//! Says no more of the models that a provider lists now.

use crate::{
    frame::{Answer, Operator, Protected, State, Tone, reply},
    pages::operator::field::Pressed,
    words::phrase,
};
use actix_web::web;
use billing::shop::channel::check::ignore_listed;
use entity::ChannelId;

/// The button.
pub(crate) async fn submit(
    _operator: Operator,
    console: State,
    path: web::Path<ChannelId>,
    _form: Protected<Pressed>,
) -> Answer {
    let channel = super::found(&console, path.into_inner()).await?;

    ignore_listed(&console.db, channel.id).await?;

    let done = phrase("op-channel-saved-done").with("name", channel.name);
    Ok(reply::see_other(super::address(channel.id)).flash(Tone::Good, done))
}
