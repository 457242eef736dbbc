//! The tenants a person belongs to, and whose pages they see.

use crate::{
    Error,
    frame::{Answer, Page, Protected, SignedIn, State, Tone, reply},
    pages::operator::badge,
    words::phrase,
};
use actix_web::web;
use entity::TenantId;
use identity::session::{self, SwitchError};
use sea_orm::DbErr;
use serde::Deserialize;

/// One tenant.
pub(super) struct Row {
    pub name: String,
    pub role: String,
    pub current: bool,
    pub switch_path: String,
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
    let memberships = session::memberships(&console.db, member).await?;
    let rows = memberships.into_iter().map(|membership| Row {
        name: membership.name,
        role: page.say_phrase(&badge::role(membership.role)),
        current: membership.is_this_one,
        switch_path: format!("/console/settings/tenants/{}/switch", membership.tenant),
    });
    Ok(rows.collect())
}

/// Shows another tenant's pages from now on.
pub(crate) async fn switch(
    console: State,
    member: SignedIn,
    path: web::Path<String>,
    _form: Protected<Form>,
) -> Answer {
    let tenant: TenantId = path.parse().map_err(|_| Error::NotFound)?;

    session::switch(&console.db, &member, tenant, console.clock.now())
        .await
        .map_err(|error| match error {
            SwitchError::NotFound => Error::NotFound,
            SwitchError::Store(cause) => Error::Store(cause),
        })?;

    Ok(reply::see_other("/console").flash(Tone::Good, phrase("tenants-switched")))
}
