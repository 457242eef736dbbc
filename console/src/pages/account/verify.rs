//! Proving a mailbox by the link that was mailed to it. Looking at the link's page changes nothing, for mail
//! scanners look at links too; its button does.

use super::{LinkUsed, Mailbox, fields};
use crate::{
    Error,
    frame::{Answer, Faults, Page, Protected, State, Tone, reply},
    words::phrase,
};
use actix_web::{http::header, web};
use askama::Template;
use identity::{
    TokenSecret,
    email_token::{self, TokenError},
};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/verify.html")]
struct VerifyPage {
    page: Page,
}

#[derive(Template)]
#[template(path = "page/verify_again.html")]
struct AgainPage {
    page: Page,
    email: String,
    faults: Faults,
}

/// Nothing but the token of the form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirm {}

/// Where to send the link again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Again {
    email: String,
}

/// The button.
pub(crate) async fn show(page: Page) -> Answer {
    Ok(reply::page(&VerifyPage { page })?.header(header::REFERRER_POLICY, "strict-origin"))
}

/// Proves the mailbox.
pub(crate) async fn submit(
    console: State,
    page: Page,
    path: web::Path<String>,
    _form: Protected<Confirm>,
) -> Answer {
    let Some(secret) = TokenSecret::parse(&path) else {
        return stale(page);
    };

    match email_token::verify_email(&console.db, &secret, console.clock.now()).await {
        Ok(_) => Ok(reply::see_other("/console/sign-in").flash(Tone::Good, phrase("verify-done"))),
        Err(TokenError::Unknown | TokenError::Used | TokenError::Expired) => stale(page),
        Err(TokenError::Store(cause)) => Err(Error::Store(cause)),
    }
}

fn stale(page: Page) -> Answer {
    reply::refused(&LinkUsed {
        title: page.say("verify-stale-title"),
        text: page.say("verify-stale-text"),
        way: "/console/verify",
        way_label: page.say("verify-again"),
        page,
    })
}

/// Asks where to send the link again.
pub(crate) async fn show_again(page: Page) -> Answer {
    reply::page(&AgainPage {
        page,
        email: String::new(),
        faults: Faults::none(),
    })
}

/// Has the link sent again, and says the same for every address.
pub(crate) async fn submit_again(
    console: State,
    page: Page,
    Protected(form): Protected<Again>,
) -> Answer {
    console.limits.recover(page.address())?;
    let email = match fields::email(&form.email) {
        Ok(email) => email,
        Err(fault) => {
            return reply::refused(&AgainPage {
                page,
                email: form.email,
                faults: Faults::of("email", fault),
            });
        }
    };

    email_token::resend_verification(&console.db, &email, console.clock.now()).await?;

    let (title, text) = (page.say("sign-up-sent-title"), page.say("verify-sent-text"));
    reply::page(&Mailbox { page, title, text })
}
