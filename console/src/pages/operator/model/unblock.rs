//! Lets a blocked model be called again.

use crate::{
    Error,
    frame::{Answer, Operator, Protected, State, Tone, reply},
    pages::operator::field::Pressed,
    words::phrase,
};
use actix_web::web;
use billing::shop::model::{BlockError, unblock};
use entity::ModelId;

/// The button.
pub(crate) async fn submit(
    operator: Operator,
    console: State,
    path: web::Path<ModelId>,
    _form: Protected<Pressed>,
) -> Answer {
    let model = super::found(&console, path.into_inner()).await?;

    let outcome = unblock(
        &console.db,
        model.id,
        operator.0.actor(),
        console.clock.now(),
    )
    .await;

    let back = reply::see_other(super::LIST);
    match outcome {
        Ok(()) => Ok(back.flash(
            Tone::Good,
            phrase("op-model-unblocked-done").with("name", model.name),
        )),
        Err(BlockError::NothingToChange | BlockError::ReasonMissing) => {
            Ok(back.flash(Tone::Note, phrase("op-done-nothing")))
        }
        Err(BlockError::Store(error)) => Err(Error::Store(error)),
    }
}
