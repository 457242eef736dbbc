//! Disables a batch, after a question.

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
use billing::code::{DisableError, disable_batch};
use entity::{CodeBatchId, Platform, code_batch};
use sea_orm::{ColumnTrait, QueryFilter};

/// The question.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<CodeBatchId>,
) -> Answer {
    let batch = found(&console, path.into_inner()).await?;

    question(page, &batch).ask()
}

/// The answer yes, with a reason.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    path: web::Path<CodeBatchId>,
    form: Protected<Reason>,
) -> Answer {
    let batch = found(&console, path.into_inner()).await?;
    let Protected(form) = form;
    let reason = match field::reason(&form.reason) {
        Ok(reason) => reason.as_str().to_owned(),
        Err(fault) => return question(page, &batch).ask_again(form, fault),
    };

    let person = operator.0.person();
    let outcome = disable_batch(&console.db, batch.id, person, reason, console.clock.now()).await;

    let back = reply::see_other(super::LIST);
    match outcome {
        Ok(()) => Ok(back.flash(
            Tone::Good,
            phrase("op-code-batch-disabled-done").with("name", batch.name),
        )),
        Err(DisableError::NotFound) => Ok(back.flash(Tone::Note, phrase("op-done-nothing"))),
        Err(DisableError::Store(error)) => Err(Error::Store(error)),
    }
}

async fn found(console: &State, id: CodeBatchId) -> Result<code_batch::Model, Error> {
    code_batch::Entity::every()
        .filter(code_batch::Column::Id.eq(id))
        .one(console.db.read())
        .await?
        .ok_or(Error::NotFound)
}

fn question(page: Page, batch: &code_batch::Model) -> Confirm {
    Confirm {
        page,
        title: phrase("op-code-batch-disable-title").with("name", batch.name.as_str()),
        text: phrase("op-code-batch-disable-text"),
        button: phrase("op-code-batch-disable"),
        danger: true,
        reason_hint: Some(phrase("op-reason-hint")),
        back: super::LIST.to_owned(),
        form: Reason::default(),
        faults: Faults::none(),
    }
}
