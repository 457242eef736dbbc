//! One posting: the lots it moved, and the calls behind it with what paid for each.

use super::list::kind;
use crate::{
    Error,
    frame::{Answer, Page, SignedIn, State, reply},
    pages::operator::badge,
    words::{Phrase, format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::ledger::{self, Leg, Paid, Posting};
use entity::{Database, GrantId, LedgerTransactionId, Platform, Scoped, TenantId, grant, model};
use sea_orm::{ColumnTrait, DbErr, QueryFilter};
use std::collections::HashMap;

#[derive(Template)]
#[template(path = "page/statement/entry.html")]
struct EntryPage {
    page: Page,
    /// The statement.
    back: String,
    /// Calls, before their id.
    calls_at: &'static str,
    what: Phrase,
    time: format::Moment,
    reason: String,
    id: String,
    legs: Vec<Moved>,
    calls: Vec<Call>,
}

struct Moved {
    what: Phrase,
    since: Option<format::Moment>,
    amount: format::Amount,
}

struct Call {
    id: String,
    time: format::Moment,
    model: String,
    cost: format::Amount,
    given_back: Option<format::Amount>,
    paid: Vec<(Phrase, format::Amount)>,
}

/// A member's own.
pub(crate) async fn show(
    console: State,
    page: Page,
    member: SignedIn,
    path: web::Path<String>,
) -> Answer {
    if !member.may_pay() {
        return Err(Error::NotFound);
    }
    let id: LedgerTransactionId = path.parse().map_err(|_| Error::NotFound)?;
    let back = "/console/statement".to_owned();
    answer(
        page,
        &console,
        (member.tenant(), id),
        back,
        "/console/usage/",
    )
    .await
}

/// The page of a posting of any tenant.
pub(crate) async fn answer(
    page: Page,
    console: &State,
    (tenant, id): (TenantId, LedgerTransactionId),
    back: String,
    calls_at: &'static str,
) -> Answer {
    let Posting {
        transaction,
        legs,
        calls,
    } = ledger::posting(&console.db, tenant, id)
        .await?
        .ok_or(Error::NotFound)?;
    let calls = named(&console.db, tenant, calls).await?;

    reply::page(&EntryPage {
        page,
        back,
        calls_at,
        what: kind(transaction.kind),
        time: format::moment(transaction.posted_at),
        reason: transaction.reason.unwrap_or_default(),
        id: transaction.id.to_string(),
        legs: legs.into_iter().map(Moved::of).collect(),
        calls,
    })
}

impl Moved {
    fn of(leg: Leg) -> Self {
        Self {
            what: leg
                .lot
                .as_ref()
                .map_or(phrase("posting-debt"), |lot| badge::source(lot.source)),
            since: leg.lot.map(|lot| format::moment(lot.created_at)),
            amount: format::amount(leg.amount),
        }
    }
}

async fn named(db: &Database, tenant: TenantId, calls: Vec<Paid>) -> Result<Vec<Call>, DbErr> {
    let models: HashMap<_, _> = model::Entity::every()
        .filter(model::Column::Id.is_in(calls.iter().map(|paid| paid.call.model_id)))
        .all(db.read())
        .await?
        .into_iter()
        .map(|model| (model.id, model.name))
        .collect();
    let lots: HashMap<GrantId, grant::Source> = grant::Entity::of(tenant)
        .filter(
            grant::Column::Id.is_in(
                calls
                    .iter()
                    .flat_map(|paid| paid.allocations.iter().filter_map(|(grant, _)| *grant)),
            ),
        )
        .all(db.read())
        .await?
        .into_iter()
        .map(|lot| (lot.id, lot.source))
        .collect();
    let source = |grant: Option<GrantId>| {
        let lot = grant.and_then(|grant| lots.get(&grant));
        lot.map_or(phrase("posting-debt"), |source| badge::source(*source))
    };
    let named = calls.into_iter().map(|paid| Call {
        id: paid.call.id.to_string(),
        time: format::moment(paid.call.ended_at),
        model: models.get(&paid.call.model_id).cloned().unwrap_or_default(),
        cost: format::amount(paid.call.charge),
        given_back: paid.given_back.map(format::amount),
        paid: paid
            .allocations
            .into_iter()
            .map(|(grant, amount)| (source(grant), format::amount(amount)))
            .collect(),
    });
    Ok(named.collect())
}
