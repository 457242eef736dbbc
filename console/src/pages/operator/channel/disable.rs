//! Switches a channel off.

use crate::{
    Console, Error,
    frame::Operator,
    pages::operator::reasoned::{Deed, Outcome, Words},
};
use billing::shop::channel::{SwitchError, disable};
use entity::{ChannelId, channel};
use identity::Reason;

/// Switches a channel off.
pub(crate) struct Disable;

impl Deed for Disable {
    type Id = ChannelId;
    type Subject = channel::Model;

    const WORDS: Words = Words {
        title: "op-channel-disable-title",
        text: "op-channel-disable-text",
        button: "op-channel-disable",
        reason_hint: "op-reason-hint",
        done: "op-channel-disabled-done",
        danger: true,
    };

    async fn find(console: &Console, id: ChannelId) -> Result<channel::Model, Error> {
        super::found(console, id).await
    }

    fn name(subject: &channel::Model) -> &str {
        &subject.name
    }

    fn back(subject: &channel::Model) -> String {
        super::address(subject.id)
    }

    async fn carry_out(
        console: &Console,
        operator: &Operator,
        subject: &channel::Model,
        reason: Reason,
    ) -> Result<Outcome, Error> {
        let (actor, now) = (operator.0.actor(), console.clock.now());
        let reason = Some(reason.as_str().to_owned());
        match disable(&console.db, subject.id, reason, actor, now).await {
            Ok(()) => Ok(Outcome::Done),
            Err(SwitchError::NothingToChange) => Ok(Outcome::NothingToDo),
            Err(SwitchError::Store(cause)) => Err(Error::Store(cause)),
        }
    }
}
