//! A tenant's statement, its postings and its files, as its members see them.

use crate::{
    Error,
    frame::{Answer, Page, State, Support},
    pages::{
        statement::{
            entry, export,
            list::{self, Places},
        },
        usage::{
            export::{Cost, file},
            list as usage_list,
        },
    },
};
use actix_web::web;
use entity::{LedgerTransactionId, Scoped, TenantId, ledger_transaction};
use sea_orm::{ColumnTrait, QueryFilter};

/// The list.
pub(crate) async fn show(
    page: Page,
    _support: Support,
    console: State,
    path: web::Path<TenantId>,
    query: web::Query<list::Query>,
) -> Answer {
    let tenant = super::found(&console, path.into_inner()).await?;
    let address = super::address(tenant.id);
    let places = Places {
        here: format!("{address}/statement"),
        csv: format!("{address}/statement.csv"),
        entries: "/console/operator/entries/",
        above: Some((address, tenant.name)),
    };
    list::answer(page, &console, tenant.id, &query, places).await
}

/// Its lines as a file.
pub(crate) async fn show_file(
    _support: Support,
    console: State,
    path: web::Path<TenantId>,
    query: web::Query<export::Query>,
) -> Answer {
    let tenant = super::found(&console, path.into_inner()).await?;
    let back = format!("{}/statement", super::address(tenant.id));
    export::file(&console, tenant.id, &query, &back).await
}

/// Its calls as a file, with what the upstream took.
pub(crate) async fn show_calls(
    _support: Support,
    console: State,
    path: web::Path<TenantId>,
    query: web::Query<usage_list::Query>,
) -> Answer {
    let tenant = super::found(&console, path.into_inner()).await?;
    let back = super::address(tenant.id);
    let filter = query.filter();
    file(&console, tenant.id, (&filter, Cost::Shown), &back).await
}

/// One posting of any tenant.
pub(crate) async fn show_entry(
    page: Page,
    _support: Support,
    console: State,
    path: web::Path<LedgerTransactionId>,
) -> Answer {
    let id = path.into_inner();
    let transaction = ledger_transaction::Entity::across_tenants()
        .filter(ledger_transaction::Column::Id.eq(id))
        .one(console.db.read())
        .await?
        .ok_or(Error::NotFound)?;
    let tenant = transaction.tenant_id;
    let back = format!("{}/statement", super::address(tenant));
    entry::answer(
        page,
        &console,
        (tenant, id),
        back,
        "/console/operator/calls/",
    )
    .await
}
