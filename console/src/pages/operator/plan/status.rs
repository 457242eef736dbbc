//! Whether a plan is offered: to members, to nobody but operators and codes, or to nobody at all.

use crate::{
    Error,
    frame::{Answer, Operator, Protected, State, Tone, reply},
    words::{Phrase, phrase},
};
use actix_web::web;
use billing::plan::{SaveError, set_status};
use entity::{PlanId, plan::Status};
use serde::Deserialize;

/// What a plan can become.
pub(super) struct Move {
    /// Its word in the form.
    pub(super) word: &'static str,
    /// What the button says.
    pub(super) label: Phrase,
}

/// The button pressed.
#[derive(Deserialize)]
pub(crate) struct Form {
    #[serde(default)]
    status: String,
}

const ALL: [(Status, &str); 3] = [
    (Status::Active, "active"),
    (Status::Hidden, "hidden"),
    (Status::Retired, "retired"),
];

/// What a plan of this status can become.
pub(super) fn moves(now: Status) -> Vec<Move> {
    ALL.into_iter()
        .filter(|(status, _)| *status != now)
        .map(|(status, word)| Move {
            word,
            label: match status {
                Status::Active => phrase("op-plan-offer"),
                Status::Hidden => phrase("op-plan-hide"),
                Status::Retired => phrase("op-plan-retire"),
            },
        })
        .collect()
}

/// Moves it.
pub(crate) async fn submit(
    operator: Operator,
    console: State,
    path: web::Path<PlanId>,
    Protected(form): Protected<Form>,
) -> Answer {
    let id = path.into_inner();
    let wish = ALL.into_iter().find(|(_, word)| *word == form.status);
    let Some((status, _)) = wish else {
        return Err(Error::Malformed("status".to_owned()));
    };

    let (person, now) = (operator.0.person(), console.clock.now());
    match set_status(&console.db, id, status, person, now).await {
        Ok(()) => Ok(reply::see_other(format!("{}/{id}", super::LIST))
            .flash(Tone::Good, phrase("op-plan-status-done"))),
        Err(SaveError::NoSuchPlan) => Err(Error::NotFound),
        Err(SaveError::Store(fault)) => Err(Error::Store(fault)),
        Err(fault) => Err(Error::Internal(fault.to_string())),
    }
}
