//! A forgotten password: asking for the link, and setting a new one by it.

use super::{LinkUsed, fields};
use crate::{
    Error,
    frame::{Answer, Faults, Page, Protected, State, Tone, reply},
    words::phrase,
};
use actix_web::{http::header, web};
use askama::Template;
use identity::{
    TokenSecret,
    email_token::{self, RecoverError, TokenError},
};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/recover.html")]
struct RecoverPage {
    page: Page,
    email: String,
    faults: Faults,
}

#[derive(Template)]
#[template(path = "page/recover_sent.html")]
struct SentPage {
    page: Page,
}

#[derive(Template)]
#[template(path = "page/reset.html")]
struct ResetPage {
    page: Page,
    faults: Faults,
}

/// Whose password was forgotten.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    email: String,
}

/// The new password.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reset {
    password: String,
}

/// Asks for the address.
pub(crate) async fn show(page: Page) -> Answer {
    reply::page(&RecoverPage {
        page,
        email: String::new(),
        faults: Faults::none(),
    })
}

/// Has the link sent, and says the same for every address.
pub(crate) async fn submit(
    console: State,
    page: Page,
    Protected(form): Protected<Start>,
) -> Answer {
    console.limits.recover(page.address())?;
    let email = match fields::email(&form.email) {
        Ok(email) => email,
        Err(fault) => {
            return reply::refused(&RecoverPage {
                page,
                email: form.email,
                faults: Faults::of("email", fault),
            });
        }
    };

    email_token::start_recovery(&console.db, &email, console.clock.now()).await?;

    Ok(reply::see_other("/console/recover/sent"))
}

/// Where to look for the mail.
pub(crate) async fn sent(page: Page) -> Answer {
    reply::page(&SentPage { page })
}

/// Asks for the new password, where the link is good.
pub(crate) async fn show_reset(console: State, page: Page, path: web::Path<String>) -> Answer {
    let Some(secret) = TokenSecret::parse(&path) else {
        return stale(page);
    };

    match email_token::check_recovery(&console.db, &secret, console.clock.now()).await {
        Ok(()) => {
            let faults = Faults::none();
            Ok(reply::page(&ResetPage { page, faults })?
                .header(header::REFERRER_POLICY, "strict-origin"))
        }
        Err(TokenError::Unknown | TokenError::Used | TokenError::Expired) => stale(page),
        Err(TokenError::Store(cause)) => Err(Error::Store(cause)),
    }
}

/// Sets the new password and ends every session.
pub(crate) async fn submit_reset(
    console: State,
    page: Page,
    path: web::Path<String>,
    Protected(form): Protected<Reset>,
) -> Answer {
    let Some(secret) = TokenSecret::parse(&path) else {
        return stale(page);
    };
    let password = match fields::password(&form.password) {
        Ok(password) => password,
        Err(fault) => return refused(page, Faults::of("password", fault)),
    };

    let now = console.clock.now();
    match email_token::recover(&console.db, &console.hasher, &secret, password, now).await {
        Ok(_) => Ok(reply::see_other("/console/sign-in").flash(Tone::Good, phrase("reset-done"))),
        Err(RecoverError::Password(fault)) => {
            refused(page, Faults::of("password", fields::password_fault(fault)))
        }
        Err(RecoverError::Link(TokenError::Unknown | TokenError::Used | TokenError::Expired)) => {
            stale(page)
        }
        Err(RecoverError::Busy(_)) => Err(Error::Busy),
        Err(RecoverError::Link(TokenError::Store(cause)) | RecoverError::Store(cause)) => {
            Err(Error::Store(cause))
        }
    }
}

fn refused(page: Page, faults: Faults) -> Answer {
    reply::refused(&ResetPage { page, faults })
}

fn stale(page: Page) -> Answer {
    reply::refused(&LinkUsed {
        title: page.say("reset-stale-title"),
        text: page.say("reset-stale-text"),
        way: "/console/recover",
        way_label: page.say("reset-again"),
        page,
    })
}
