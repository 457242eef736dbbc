//! Signing up. A stranger learns the same, whether or not the address has an account: look into your mailbox.

use super::{Mailbox, fields};
use crate::{
    Error,
    frame::{Answer, Faults, Page, Protected, State, reply},
    words::Locale,
};
use askama::Template;
use identity::person::{self, SignUp, SignUpError};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/sign_up.html")]
struct SignUpPage {
    page: Page,
    name: String,
    email: String,
    faults: Faults,
}

#[derive(Template)]
#[template(path = "page/sign_up_closed.html")]
struct Closed {
    page: Page,
}

/// What the form sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    name: String,
    email: String,
    password: String,
}

/// The form, where strangers may sign up.
pub(crate) async fn show(page: Page) -> Answer {
    if !page.sign_up_open() {
        return reply::page(&Closed { page });
    }

    reply::page(&SignUpPage {
        page,
        name: String::new(),
        email: String::new(),
        faults: Faults::none(),
    })
}

/// Makes the account and has the mail sent.
pub(crate) async fn submit(console: State, page: Page, Protected(form): Protected<Form>) -> Answer {
    if !page.sign_up_open() {
        return Err(Error::Forbidden);
    }
    console.limits.sign_up(page.address())?;
    let mut faults = Faults::none();
    let name = faults.take("name", fields::name(&form.name));
    let email = faults.take("email", fields::email(&form.email));
    let password = faults.take("password", fields::password(&form.password));
    let (Some(display_name), Some(email), Some(password)) = (name, email, password) else {
        return refused(page, form, faults);
    };

    let order = SignUp {
        email,
        password,
        display_name,
        locale: spoken(page.locale()),
    };
    let outcome = person::sign_up(&console.db, &console.hasher, order, console.clock.now()).await;

    match outcome {
        Ok(_) | Err(SignUpError::EmailInUse) => Ok(reply::see_other("/console/sign-up/sent")),
        Err(SignUpError::Password(fault)) => {
            let faults = Faults::of("password", fields::password_fault(fault));
            refused(page, form, faults)
        }
        Err(SignUpError::Busy(_)) => Err(Error::Busy),
        Err(SignUpError::Store(cause)) => Err(Error::Store(cause)),
    }
}

fn refused(page: Page, form: Form, faults: Faults) -> Answer {
    reply::refused(&SignUpPage {
        page,
        name: form.name,
        email: form.email,
        faults,
    })
}

/// Where to look for the mail.
pub(crate) async fn sent(page: Page) -> Answer {
    let (title, text) = (
        page.say("sign-up-sent-title"),
        page.say("sign-up-sent-text"),
    );
    reply::page(&Mailbox { page, title, text })
}

/// The reader's language as identity keeps it.
pub(super) fn spoken(locale: Locale) -> person::Locale {
    person::Locale::from_tag(locale.tag())
}
