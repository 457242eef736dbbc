//! The page between a destructive button and its effect: what will happen, and why it is done.

use crate::{
    frame::{Answer, Faults, Page, reply},
    words::Phrase,
};
use askama::Template;
use serde::Deserialize;

/// What is to be confirmed.
#[derive(Template)]
#[template(path = "page/operator/confirm.html")]
pub(super) struct Confirm {
    pub page: Page,
    /// The question.
    pub title: Phrase,
    /// What will happen.
    pub text: Phrase,
    /// The word on the button.
    pub button: Phrase,
    /// Whether the button warns.
    pub danger: bool,
    /// Who reads the reason; none where no reason is asked for.
    pub reason_hint: Option<Phrase>,
    /// Where the way back leads.
    pub back: String,
    /// What was entered.
    pub form: Reason,
    pub faults: Faults,
}

/// Why something is done.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Reason {
    #[serde(default)]
    pub reason: String,
}

impl Confirm {
    /// The question, asked for the first time.
    pub(super) fn ask(&self) -> Answer {
        reply::page(self)
    }

    /// The question again, for the reason is missing.
    pub(super) fn ask_again(mut self, form: Reason, fault: Phrase) -> Answer {
        self.form = form;
        self.faults = Faults::of("reason", fault);
        reply::refused(&self)
    }
}
