//! A new group.

use crate::{
    Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    words::phrase,
};
use askama::Template;
use billing::shop::group::{AddGroup, AddGroupError, add};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/operator/group_add.html")]
struct Add {
    page: Page,
    form: Entered,
    faults: Faults,
}

/// The form as sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Entered {
    name: String,
    title: String,
}

/// The form.
pub(crate) async fn show(page: Page, _operator: Operator) -> Answer {
    reply::page(&Add {
        page,
        form: Entered::default(),
        faults: Faults::none(),
    })
}

/// The form sent.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    form: Protected<Entered>,
) -> Answer {
    let Protected(form) = form;
    let order = AddGroup {
        name: form.name.clone(),
        title: form.title.clone(),
    };

    let outcome = add(&console.db, order, operator.0.actor(), console.clock.now()).await;

    let faults = match outcome {
        Ok(id) => {
            let done = phrase("op-group-added-done").with("name", form.title.trim());
            return Ok(reply::see_other(format!("{}/{id}", super::LIST)).flash(Tone::Good, done));
        }
        Err(AddGroupError::Name) => Faults::of("name", phrase("op-fault-group-name")),
        Err(AddGroupError::Taken) => Faults::of("name", phrase("op-fault-taken")),
        Err(AddGroupError::Title) => Faults::of("title", phrase("op-fault-required")),
        Err(AddGroupError::Store(error)) => return Err(Error::Store(error)),
    };
    reply::refused(&Add { page, form, faults })
}
