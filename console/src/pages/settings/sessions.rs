//! The browsers that are signed in, and ending them.

use super::browser;
use crate::{
    Error,
    frame::{Answer, Page, Protected, SignedIn, State, Tone, reply, reply::Keep},
    words::{format, phrase},
};
use actix_web::web;
use entity::SessionId;
use identity::session::{self, RevokeError};
use sea_orm::DbErr;
use serde::Deserialize;

/// One signed-in browser.
pub(super) struct Row {
    pub browser: String,
    pub current: bool,
    pub address: String,
    pub since: format::Moment,
    pub seen: format::Moment,
    pub end_path: String,
}

/// Nothing but the token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {}

pub(super) async fn rows(
    console: &State,
    page: &Page,
    member: &SignedIn,
) -> Result<Vec<Row>, DbErr> {
    let listed = session::list(&console.db, member, console.clock.now()).await?;
    let rows = listed.into_iter().map(|row| Row {
        browser: page.say_phrase(&browser::name(
            row.user_agent.as_deref().unwrap_or_default(),
        )),
        current: row.is_this_one,
        address: row.address.unwrap_or_default(),
        since: format::moment(row.created_at),
        seen: format::moment(row.seen_at),
        end_path: format!("/console/settings/sessions/{}/end", row.session),
    });
    Ok(rows.collect())
}

/// Ends one session.
pub(crate) async fn end(
    console: State,
    member: SignedIn,
    path: web::Path<String>,
    _form: Protected<Form>,
) -> Answer {
    let id: SessionId = path.parse().map_err(|_| Error::NotFound)?;

    session::revoke(&console.db, &member, id, console.clock.now())
        .await
        .map_err(gone)?;

    if id == member.session() {
        return Ok(reply::see_other("/console/sign-in").keep(Keep::NoSession));
    }
    Ok(reply::see_other("/console/settings").flash(Tone::Good, phrase("sessions-ended")))
}

/// Ends every session but this one.
pub(crate) async fn end_others(console: State, member: SignedIn, _form: Protected<Form>) -> Answer {
    session::end_others(&console.db, &member, console.clock.now()).await?;

    Ok(reply::see_other("/console/settings").flash(Tone::Good, phrase("sessions-ended")))
}

fn gone(error: RevokeError) -> Error {
    match error {
        RevokeError::NotFound => Error::NotFound,
        RevokeError::Store(cause) => Error::Store(cause),
    }
}
