//! Disables a batch of codes.

use crate::{
    Console, Error,
    frame::Operator,
    pages::operator::reasoned::{Deed, Outcome, Words},
};
use billing::code::{DisableError, disable_batch};
use entity::{CodeBatchId, Platform, code_batch};
use identity::Reason;
use sea_orm::{ColumnTrait, QueryFilter};

/// Disables a batch of codes.
pub(crate) struct DisableBatch;

impl Deed for DisableBatch {
    type Id = CodeBatchId;
    type Subject = code_batch::Model;

    const WORDS: Words = Words {
        title: "op-code-batch-disable-title",
        text: "op-code-batch-disable-text",
        button: "op-code-batch-disable",
        reason_hint: "op-reason-hint",
        done: "op-code-batch-disabled-done",
        danger: true,
    };

    async fn find(console: &Console, id: CodeBatchId) -> Result<code_batch::Model, Error> {
        code_batch::Entity::every()
            .filter(code_batch::Column::Id.eq(id))
            .one(console.db.read())
            .await?
            .ok_or(Error::NotFound)
    }

    fn name(subject: &code_batch::Model) -> &str {
        &subject.name
    }

    fn back(_subject: &code_batch::Model) -> String {
        super::LIST.to_owned()
    }

    async fn carry_out(
        console: &Console,
        operator: &Operator,
        subject: &code_batch::Model,
        reason: Reason,
    ) -> Result<Outcome, Error> {
        let (person, now) = (operator.0.person(), console.clock.now());
        let reason = reason.as_str().to_owned();
        match disable_batch(&console.db, subject.id, person, reason, now).await {
            Ok(()) => Ok(Outcome::Done),
            Err(DisableError::NotFound) => Ok(Outcome::NothingToDo),
            Err(DisableError::Store(cause)) => Err(Error::Store(cause)),
        }
    }
}
