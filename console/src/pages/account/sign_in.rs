//! Signing in.

use super::fields;
use crate::{
    Error,
    frame::{Answer, Faults, Page, Protected, State, reply, reply::Keep},
    pages::preferences::own_path,
    words::{Phrase, phrase},
};
use actix_web::web;
use askama::Template;
use identity::{
    password::Attempt,
    session::{self, SignIn, SignInError},
};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/sign_in.html")]
struct SignInPage {
    page: Page,
    next: String,
    email: String,
    unproved: bool,
    faults: Faults,
}

/// Where to go afterwards.
#[derive(Deserialize)]
pub(crate) struct Next {
    #[serde(default)]
    next: String,
}

/// What the form sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    email: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// The form; who is signed in goes on.
pub(crate) async fn show(page: Page, query: web::Query<Next>) -> Answer {
    let next = own_path(&query.next).to_owned();
    if page.member().is_some() {
        return Ok(reply::see_other(next));
    }

    reply::page(&SignInPage {
        page,
        next,
        email: String::new(),
        unproved: false,
        faults: Faults::none(),
    })
}

/// Opens a session under a fresh secret.
pub(crate) async fn submit(console: State, page: Page, Protected(form): Protected<Form>) -> Answer {
    console.limits.sign_in(page.address())?;
    let email = match fields::email(&form.email) {
        Ok(email) => email,
        Err(fault) => return refused(page, form, Faults::of("email", fault)),
    };

    let order = SignIn {
        email,
        password: Attempt::new(&form.password),
        address: Some(page.address()),
        user_agent: Some(page.user_agent().to_owned()),
        replaces: page.session_token(),
    };
    let outcome = session::sign_in(&console.db, &console.hasher, order, console.clock.now()).await;

    match outcome {
        Ok((token, _)) => {
            let next = own_path(&form.next).to_owned();
            Ok(reply::see_other(next).keep(Keep::Session(token.expose().to_owned())))
        }
        Err(SignInError::Refused) => refused(page, form, whole(phrase("sign-in-wrong"))),
        Err(SignInError::Unverified) => refused(page, form, whole(phrase("sign-in-unverified"))),
        Err(SignInError::Banned) => refused(page, form, whole(phrase("sign-in-closed"))),
        Err(SignInError::Busy(_)) => Err(Error::Busy),
        Err(SignInError::Store(cause)) => Err(Error::Store(cause)),
    }
}

fn whole(fault: Phrase) -> Faults {
    Faults::of("form", fault)
}

fn refused(page: Page, form: Form, faults: Faults) -> Answer {
    let unproved = faults.about("form") == Some(&phrase("sign-in-unverified"));
    reply::refused(&SignInPage {
        page,
        next: form.next,
        email: form.email,
        unproved,
        faults,
    })
}
