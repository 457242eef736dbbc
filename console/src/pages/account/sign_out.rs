//! Signing out: the session ends on the server, and the browser forgets what it kept.

use crate::{
    frame::{Answer, Protected, SignedIn, State, Tone, reply, reply::Keep},
    words::phrase,
};
use actix_web::http::header::HeaderName;
use identity::session;
use serde::Deserialize;

/// Nothing but the token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {}

/// Ends this browser's session.
pub(crate) async fn submit(console: State, member: SignedIn, _form: Protected<Form>) -> Answer {
    session::sign_out(&console.db, &member, console.clock.now()).await?;

    Ok(reply::see_other("/console/sign-in")
        .keep(Keep::NoSession)
        .header(
            HeaderName::from_static("clear-site-data"),
            "\"cache\", \"storage\"",
        )
        .flash(Tone::Note, phrase("signed-out")))
}
