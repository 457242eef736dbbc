//! A new password, by whoever knows the present one.

use crate::{
    Error,
    frame::{Answer, Faults, Page, Protected, SignedIn, State, Tone, reply},
    pages::account::fields,
    words::phrase,
};
use askama::Template;
use identity::{
    password::Attempt,
    person::{ChangePassword, ChangePasswordError, change_password},
};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/settings/password.html")]
struct PasswordPage {
    page: Page,
    faults: Faults,
}

/// What the form sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    present: String,
    password: String,
}

/// Asks for both.
pub(crate) async fn show(page: Page, _member: SignedIn) -> Answer {
    reply::page(&PasswordPage {
        page,
        faults: Faults::none(),
    })
}

/// Sets it; every other browser is signed out.
pub(crate) async fn submit(
    console: State,
    page: Page,
    member: SignedIn,
    Protected(form): Protected<Form>,
) -> Answer {
    let new = match fields::password(&form.password) {
        Ok(new) => new,
        Err(fault) => return refused(page, Faults::of("password", fault)),
    };

    let order = ChangePassword {
        present: Attempt::new(&form.present),
        new,
    };
    let now = console.clock.now();
    let changed = change_password(&console.db, &console.hasher, &member, order, now).await;

    match changed {
        Ok(()) => {
            Ok(reply::see_other("/console/settings").flash(Tone::Good, phrase("password-changed")))
        }
        Err(ChangePasswordError::Wrong) => refused(
            page,
            Faults::of("present", phrase("password-present-wrong")),
        ),
        Err(ChangePasswordError::Password(fault)) => {
            refused(page, Faults::of("password", fields::password_fault(fault)))
        }
        Err(ChangePasswordError::Busy(_)) => Err(Error::Busy),
        Err(ChangePasswordError::Store(cause)) => Err(Error::Store(cause)),
    }
}

fn refused(page: Page, faults: Faults) -> Answer {
    reply::refused(&PasswordPage { page, faults })
}
