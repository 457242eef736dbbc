//! Giving a key up for good, after a question.

use super::{change, hint};
use crate::{
    Error,
    frame::{Answer, Page, Protected, SignedIn, State, reply},
    words::phrase,
};
use actix_web::web;
use askama::Template;
use entity::KeyId;
use identity::key;

#[derive(Template)]
#[template(path = "page/keys/revoke.html")]
struct RevokePage {
    page: Page,
    name: String,
    hint: String,
    action: String,
}

/// The question.
pub(crate) async fn show(
    console: State,
    page: Page,
    member: SignedIn,
    path: web::Path<String>,
) -> Answer {
    let id: KeyId = path.parse().map_err(|_| Error::NotFound)?;
    let found = key::show(&console.db, &member, id)
        .await?
        .ok_or(Error::NotFound)?;

    reply::page(&RevokePage {
        page,
        hint: hint(&found),
        action: format!("/console/keys/{id}/revoke"),
        name: found.name,
    })
}

/// Revokes.
pub(crate) async fn submit(
    console: State,
    member: SignedIn,
    path: web::Path<String>,
    _form: Protected<change::Form>,
) -> Answer {
    let id: KeyId = path.parse().map_err(|_| Error::NotFound)?;

    let outcome = key::revoke(&console.db, &member, id, console.clock.now()).await;

    change::answer(outcome, phrase("keys-revoked-done"))
}
