//! What the payment provider sent, newest first.

use crate::{
    frame::{Answer, Page, State, Support, reply},
    pages::operator::badge::{self, Badge},
    words::format,
};
use askama::Template;
use entity::{Platform, payment_inbox};
use sea_orm::{QueryOrder, QuerySelect};

const ROWS: u64 = 200;

#[derive(Template)]
#[template(path = "page/operator/inbox.html")]
struct Inbox {
    page: Page,
    rows: Vec<Row>,
}

struct Row {
    event: String,
    kind: String,
    object: String,
    badge: Badge,
    attempts: i64,
    error: String,
    received: format::Moment,
}

/// The list.
pub(crate) async fn show(page: Page, _support: Support, console: State) -> Answer {
    let events = payment_inbox::Entity::every()
        .order_by_desc(payment_inbox::Column::ReceivedAt)
        .limit(ROWS)
        .all(console.db.read())
        .await?;

    reply::page(&Inbox {
        page,
        rows: events.into_iter().map(Row::of).collect(),
    })
}

impl Row {
    fn of(event: payment_inbox::Model) -> Self {
        Self {
            badge: badge::inbox(event.status),
            received: format::moment(event.received_at),
            event: event.event_id,
            kind: event.kind,
            object: event.object_id.unwrap_or_default(),
            attempts: event.attempts,
            error: event.error.unwrap_or_default(),
        }
    }
}
