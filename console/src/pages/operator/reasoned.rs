//! What operators do to somebody or something after a question and with a reason: ban, suspend, block, switch off. One
//! page asks; each deed says whom it finds, what it asks and what it does.

use super::{
    confirm::{Confirm, Reason},
    field,
};
use crate::{
    Console, Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    words::phrase,
};
use actix_web::web;
use identity::Reason as Given;
use serde::de::DeserializeOwned;

/// What a deed says. All are names of sentences; the title and `done` have a blank for the name.
pub(crate) struct Words {
    /// The question.
    pub title: &'static str,
    /// What will happen.
    pub text: &'static str,
    /// The word on the button.
    pub button: &'static str,
    /// Who reads the reason.
    pub reason_hint: &'static str,
    /// What is said afterwards.
    pub done: &'static str,
    /// Whether the button warns.
    pub danger: bool,
}

/// How a deed went.
pub(crate) enum Outcome {
    /// As asked.
    Done,
    /// It was so already.
    NothingToDo,
    /// It may not be, as the sentence says.
    Refused(&'static str),
}

/// Something that an operator does for a reason.
pub(crate) trait Deed: 'static {
    /// What the address names.
    type Id: DeserializeOwned + 'static;
    /// Whom it is done to.
    type Subject;

    const WORDS: Words;

    async fn find(console: &Console, id: Self::Id) -> Result<Self::Subject, Error>;

    /// What pages call it.
    fn name(subject: &Self::Subject) -> &str;

    /// The page to come back to.
    fn back(subject: &Self::Subject) -> String;

    async fn carry_out(
        console: &Console,
        operator: &Operator,
        subject: &Self::Subject,
        reason: Given,
    ) -> Result<Outcome, Error>;
}

/// The question.
pub(crate) async fn show<D: Deed>(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<D::Id>,
) -> Answer {
    let subject = D::find(&console, path.into_inner()).await?;

    question::<D>(page, &subject).ask()
}

/// The answer yes, with a reason.
pub(crate) async fn submit<D: Deed>(
    page: Page,
    operator: Operator,
    console: State,
    path: web::Path<D::Id>,
    form: Protected<Reason>,
) -> Answer {
    let subject = D::find(&console, path.into_inner()).await?;
    let Protected(form) = form;
    let reason = match field::reason(&form.reason) {
        Ok(reason) => reason,
        Err(fault) => return question::<D>(page, &subject).ask_again(form, fault),
    };

    let outcome = D::carry_out(&console, &operator, &subject, reason).await?;

    let back = reply::see_other(D::back(&subject));
    Ok(match outcome {
        Outcome::Done => back.flash(
            Tone::Good,
            phrase(D::WORDS.done).with("name", D::name(&subject)),
        ),
        Outcome::NothingToDo => back.flash(Tone::Note, phrase("op-done-nothing")),
        Outcome::Refused(why) => back.flash(Tone::Bad, phrase(why)),
    })
}

fn question<D: Deed>(page: Page, subject: &D::Subject) -> Confirm {
    Confirm {
        page,
        title: phrase(D::WORDS.title).with("name", D::name(subject)),
        text: phrase(D::WORDS.text),
        button: phrase(D::WORDS.button),
        danger: D::WORDS.danger,
        reason_hint: Some(phrase(D::WORDS.reason_hint)),
        back: D::back(subject),
        form: Reason::default(),
        faults: Faults::none(),
    }
}
