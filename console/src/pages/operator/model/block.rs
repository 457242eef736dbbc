//! Blocks a model for everyone.

use crate::{
    Console, Error,
    frame::Operator,
    pages::operator::reasoned::{Deed, Outcome, Words},
};
use billing::shop::model::{BlockError, block};
use entity::{ModelId, model};
use identity::Reason;

/// Blocks a model for everyone.
pub(crate) struct Block;

impl Deed for Block {
    type Id = ModelId;
    type Subject = model::Model;

    const WORDS: Words = Words {
        title: "op-model-block-title",
        text: "op-model-block-text",
        button: "op-model-block",
        reason_hint: "op-model-block-reason-hint",
        done: "op-model-blocked-done",
        danger: true,
    };

    async fn find(console: &Console, id: ModelId) -> Result<model::Model, Error> {
        super::found(console, id).await
    }

    fn name(subject: &model::Model) -> &str {
        &subject.name
    }

    fn back(_subject: &model::Model) -> String {
        super::LIST.to_owned()
    }

    async fn carry_out(
        console: &Console,
        operator: &Operator,
        subject: &model::Model,
        reason: Reason,
    ) -> Result<Outcome, Error> {
        let (actor, now) = (operator.0.actor(), console.clock.now());
        let reason = reason.as_str().to_owned();
        match block(&console.db, subject.id, reason, actor, now).await {
            Ok(()) => Ok(Outcome::Done),
            Err(BlockError::NothingToChange) => Ok(Outcome::NothingToDo),
            Err(BlockError::ReasonMissing) => Ok(Outcome::Refused("op-fault-required")),
            Err(BlockError::Store(cause)) => Err(Error::Store(cause)),
        }
    }
}
