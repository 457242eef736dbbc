//! All tenants, found by name, or by the name or mail address of a member.

use crate::{
    Error,
    frame::{Answer, Page, State, Support, reply},
    pages::operator::{
        badge::{self, Badge},
        listing::{self, PAGE_ROWS, Query},
    },
    words::{Phrase, format},
};
use actix_web::web;
use askama::Template;
use entity::{Credits, Database, Platform, Scoped, TenantId, member, person, tenant, wallet};
use sea_orm::{
    ColumnTrait, Condition, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, Func, LikeExpr},
};
use std::collections::HashMap;

/// Persons that a search takes into account.
const PERSONS_MAX: u64 = 200;

#[derive(Template)]
#[template(path = "page/operator/tenants.html")]
struct Tenants {
    page: Page,
    query: Query,
    rows: Vec<Row>,
    next: String,
}

struct Row {
    address: String,
    name: String,
    owner: String,
    kind: Phrase,
    badge: Badge,
    available: format::Amount,
    debt: Option<String>,
    members: i64,
    created: format::Moment,
}

/// The list.
pub(crate) async fn show(
    page: Page,
    _support: Support,
    console: State,
    query: web::Query<Query>,
) -> Answer {
    let query = query.into_inner();
    let mut tenants = find(&console.db, &query).await?;
    let next = listing::cut(
        &mut tenants,
        "/console/operator/tenants",
        &query,
        |tenant| tenant.id.to_string(),
    );
    let rows = rows(&console.db, tenants).await?;

    reply::page(&Tenants {
        page,
        query,
        rows,
        next: next.unwrap_or_default(),
    })
}

async fn find(db: &Database, query: &Query) -> Result<Vec<tenant::Model>, Error> {
    let mut select = tenant::Entity::every();
    if let Some(pattern) = query.pattern() {
        let like = |column: Expr| {
            Expr::expr(Func::lower(column)).like(LikeExpr::new(&pattern).escape('\\'))
        };
        let persons = person::Entity::every()
            .filter(
                Condition::any()
                    .add(like(Expr::col(person::Column::Email)))
                    .add(like(Expr::col(person::Column::DisplayName))),
            )
            .limit(PERSONS_MAX)
            .all(db.read())
            .await?;
        let members = member::Entity::across_tenants()
            .filter(member::Column::PersonId.is_in(persons.iter().map(|person| person.id)))
            .all(db.read())
            .await?;
        select = select.filter(
            Condition::any()
                .add(like(Expr::col(tenant::Column::Name)))
                .add(tenant::Column::Id.is_in(members.iter().map(|member| member.tenant_id))),
        );
    }
    if let Some(before) = query.before::<TenantId>() {
        select = select.filter(tenant::Column::Id.lt(before));
    }
    let rows = select
        .order_by_desc(tenant::Column::Id)
        .limit(PAGE_ROWS as u64 + 1)
        .all(db.read())
        .await?;
    Ok(rows)
}

async fn rows(db: &Database, tenants: Vec<tenant::Model>) -> Result<Vec<Row>, Error> {
    let ids: Vec<TenantId> = tenants.iter().map(|tenant| tenant.id).collect();
    let wallets: HashMap<TenantId, wallet::Model> = wallet::Entity::across_tenants()
        .filter(wallet::Column::TenantId.is_in(ids.iter().copied()))
        .all(db.read())
        .await?
        .into_iter()
        .map(|wallet| (wallet.tenant_id, wallet))
        .collect();
    let mut members: HashMap<TenantId, Vec<member::Model>> = HashMap::new();
    for member in member::Entity::across_tenants()
        .filter(member::Column::TenantId.is_in(ids.iter().copied()))
        .order_by_asc(member::Column::Id)
        .all(db.read())
        .await?
    {
        members.entry(member.tenant_id).or_default().push(member);
    }
    let owners: Vec<_> = members
        .values()
        .flatten()
        .filter(|member| member.role == member::Role::Owner)
        .map(|member| member.person_id)
        .collect();
    let persons: HashMap<_, _> = person::Entity::every()
        .filter(person::Column::Id.is_in(owners))
        .all(db.read())
        .await?
        .into_iter()
        .map(|person| (person.id, person.email))
        .collect();

    Ok(tenants
        .into_iter()
        .map(|tenant| {
            let wallet = wallets.get(&tenant.id);
            let members = members.remove(&tenant.id).unwrap_or_default();
            let owner = members
                .iter()
                .find(|member| member.role == member::Role::Owner)
                .and_then(|member| persons.get(&member.person_id));
            Row {
                address: super::address(tenant.id),
                owner: owner.cloned().unwrap_or_default(),
                kind: badge::tenant_kind(tenant.kind),
                badge: badge::tenant(tenant.status),
                available: format::amount(wallet.map_or(Credits::ZERO, available)),
                debt: wallet
                    .filter(|wallet| wallet.debt.is_positive())
                    .map(|wallet| format::credits(wallet.debt)),
                members: i64::try_from(members.len()).unwrap_or(i64::MAX),
                created: format::moment(tenant.created_at),
                name: tenant.name,
            }
        })
        .collect())
}

/// What new holds may draw from the lots of a wallet, roughly: the list does not look at each lot's dates.
fn available(wallet: &wallet::Model) -> Credits {
    wallet
        .posted
        .checked_sub(wallet.held)
        .unwrap_or(Credits::ZERO)
}
