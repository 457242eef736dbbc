//! Blocks a model for everyone, after a question.

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
use billing::shop::model::{BlockError, block};
use entity::{ModelId, model};

/// The question.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<ModelId>,
) -> Answer {
    let model = super::found(&console, path.into_inner()).await?;

    question(page, &model).ask()
}

/// The answer yes, with a reason.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    path: web::Path<ModelId>,
    form: Protected<Reason>,
) -> Answer {
    let model = super::found(&console, path.into_inner()).await?;
    let Protected(form) = form;
    let reason = match field::reason(&form.reason) {
        Ok(reason) => reason.as_str().to_owned(),
        Err(fault) => return question(page, &model).ask_again(form, fault),
    };

    let actor = operator.0.actor();
    let outcome = block(&console.db, model.id, reason, actor, console.clock.now()).await;

    let back = reply::see_other(super::LIST);
    match outcome {
        Ok(()) => Ok(back.flash(
            Tone::Good,
            phrase("op-model-blocked-done").with("name", model.name),
        )),
        Err(BlockError::NothingToChange) => Ok(back.flash(Tone::Note, phrase("op-done-nothing"))),
        Err(BlockError::ReasonMissing) => {
            question(page, &model).ask_again(form, phrase("op-fault-required"))
        }
        Err(BlockError::Store(error)) => Err(Error::Store(error)),
    }
}

fn question(page: Page, model: &model::Model) -> Confirm {
    Confirm {
        page,
        title: phrase("op-model-block-title").with("name", model.name.as_str()),
        text: phrase("op-model-block-text"),
        button: phrase("op-model-block"),
        danger: true,
        reason_hint: Some(phrase("op-model-block-reason-hint")),
        back: super::LIST.to_owned(),
        form: Reason::default(),
        faults: Faults::none(),
    }
}
