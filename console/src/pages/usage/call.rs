//! One finished call, and how its cost came about: price times tokens of each class.

use super::bill::{self, Bill};
use crate::{
    Error,
    frame::{Answer, Page, SignedIn, State, reply},
};
use actix_web::web;
use askama::Template;
use entity::{
    HoldId, Scoped, call_link,
    usage::{Column, Entity},
};
use sea_orm::{ColumnTrait, Condition, QueryFilter};

#[derive(Template)]
#[template(path = "page/usage/call.html")]
struct CallPage {
    page: Page,
    bill: Bill,
    /// The call that this one repeats.
    repeats: Option<HoldId>,
    /// The call that repeats this one.
    repeated_by: Option<HoldId>,
}

/// Shows it.
pub(crate) async fn show(
    console: State,
    page: Page,
    member: SignedIn,
    path: web::Path<String>,
) -> Answer {
    let id: HoldId = path.parse().map_err(|_| Error::NotFound)?;
    let call = Entity::of(member.tenant())
        .filter(Column::Id.eq(id))
        .one(console.db.read())
        .await?
        .ok_or(Error::NotFound)?;
    let bill = bill::read(&console.db, &page, &call).await?;

    let links = call_link::Entity::of(member.tenant())
        .filter(
            Condition::any()
                .add(call_link::Column::Id.eq(id))
                .add(call_link::Column::RepeatsId.eq(id)),
        )
        .all(console.db.read())
        .await?;
    let repeats = links.iter().find(|link| link.id == id);
    let repeated_by = links.iter().find(|link| link.repeats_id == id);

    reply::page(&CallPage {
        repeats: repeats.map(|link| link.repeats_id),
        repeated_by: repeated_by.map(|link| link.id),
        page,
        bill,
    })
}
