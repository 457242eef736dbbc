//! The first operator of a fresh installation, by the link that the server printed when it started.

use super::{LinkUsed, fields, sign_up::spoken};
use crate::{
    Error,
    frame::{Answer, Faults, Page, Protected, State, Tone, reply, reply::Keep},
    words::phrase,
};
use actix_web::{http::header, web};
use askama::Template;
use identity::{
    SetupSecret,
    operator::CreateOperator,
    password::Attempt,
    session::{self, SignIn, SignInError},
    setup::{self, SetupError},
};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/setup.html")]
struct SetupPage {
    page: Page,
    name: String,
    email: String,
    faults: Faults,
}

/// What the form sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    name: String,
    email: String,
    password: String,
}

/// The form, while the link is good.
pub(crate) async fn show(console: State, page: Page, path: web::Path<String>) -> Answer {
    let Some(secret) = SetupSecret::parse(&path) else {
        return stale(page);
    };

    match setup::check(&console.db, &secret, console.clock.now()).await {
        Ok(()) => Ok(reply::page(&SetupPage {
            page,
            name: String::new(),
            email: String::new(),
            faults: Faults::none(),
        })?
        .header(header::REFERRER_POLICY, "strict-origin")),
        Err(error) => failed(error, page, None),
    }
}

/// Makes the operator and signs them in.
pub(crate) async fn submit(
    console: State,
    page: Page,
    path: web::Path<String>,
    Protected(form): Protected<Form>,
) -> Answer {
    let Some(secret) = SetupSecret::parse(&path) else {
        return stale(page);
    };
    let mut faults = Faults::none();
    let name = faults.take("name", fields::name(&form.name));
    let email = faults.take("email", fields::email(&form.email));
    let password = faults.take("password", fields::password(&form.password));
    let (Some(display_name), Some(email), Some(password)) = (name, email, password) else {
        return refused(page, form, faults);
    };

    let order = CreateOperator {
        email: email.clone(),
        password,
        display_name,
        locale: spoken(page.locale()),
    };
    let now = console.clock.now();
    let claimed = setup::claim(&console.db, &console.hasher, &secret, order, now).await;
    if let Err(error) = claimed {
        return failed(error, page, Some(form));
    }
    let order = SignIn {
        email,
        password: Attempt::new(&form.password),
        address: Some(page.address()),
        user_agent: Some(page.user_agent().to_owned()),
        replaces: page.session_token(),
    };
    let signed_in = session::sign_in(&console.db, &console.hasher, order, now).await;

    let done = |path| reply::see_other(path).flash(Tone::Good, phrase("setup-done"));
    match signed_in {
        Ok((token, _)) => {
            Ok(done("/console/operator").keep(Keep::Session(token.expose().to_owned())))
        }
        Err(SignInError::Store(cause)) => Err(Error::Store(cause)),
        Err(
            SignInError::Refused
            | SignInError::Unverified
            | SignInError::Banned
            | SignInError::Busy(_),
        ) => Ok(done("/console/sign-in")),
    }
}

fn failed(error: SetupError, page: Page, form: Option<Form>) -> Answer {
    match (error, form) {
        (SetupError::Password(fault), Some(form)) => {
            let faults = Faults::of("password", fields::password_fault(fault));
            refused(page, form, faults)
        }
        (SetupError::EmailInUse, Some(form)) => {
            refused(page, form, Faults::of("email", phrase("sign-up-taken")))
        }
        (SetupError::Busy(_), _) => Err(Error::Busy),
        (SetupError::Store(cause), _) => Err(Error::Store(cause)),
        (SetupError::Unknown | SetupError::Done, _)
        | (SetupError::Password(_) | SetupError::EmailInUse, None) => stale(page),
    }
}

fn refused(page: Page, form: Form, faults: Faults) -> Answer {
    reply::refused(&SetupPage {
        page,
        name: form.name,
        email: form.email,
        faults,
    })
}

fn stale(page: Page) -> Answer {
    reply::refused(&LinkUsed {
        title: page.say("setup-stale-title"),
        text: page.say("setup-stale-text"),
        way: "/console/sign-in",
        way_label: page.say("sign-in"),
        page,
    })
}
