//! One tenant: its balance, members, lots of credits, plans and last calls.

use crate::{
    Error,
    frame::{Answer, Page, State, Support, reply},
    pages::operator::{
        badge::{self, Badge},
        field::last_day,
    },
    words::{Phrase, format, phrase},
};
use actix_web::web;
use askama::Template;
use entity::{
    Credits, Database, Platform, Scoped, TenantId, Timestamp, grant, member, model, person, plan,
    plan_version, subscription, tenant, usage,
};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::HashMap;

const ROWS: u64 = 20;

#[derive(Template)]
#[template(path = "page/operator/tenant.html")]
struct Tenant {
    page: Page,
    address: String,
    name: String,
    kind: Phrase,
    badge: Badge,
    reason: Option<String>,
    suspended: bool,
    /// None where it is the list price.
    multiplier: Option<String>,
    balance: Balance,
    members: Vec<Member>,
    grants: Vec<Grant>,
    plans: Vec<Subscribed>,
    calls: Vec<Call>,
}

struct Balance {
    available: format::Amount,
    posted: format::Amount,
    held: format::Amount,
    debt: format::Amount,
    owes: bool,
}

struct Member {
    id: String,
    name: String,
    email: String,
    verified: bool,
    role: Phrase,
    badge: Badge,
    reason: Option<String>,
    banned: bool,
    may_be_banned: bool,
    joined: format::Moment,
}

struct Grant {
    source: Phrase,
    badge: Badge,
    remaining: format::Amount,
    amount: String,
    expires: Option<String>,
    created: format::Moment,
}

struct Subscribed {
    id: String,
    title: String,
    version: Phrase,
    until: String,
}

struct Call {
    id: String,
    time: format::Moment,
    model: String,
    client: String,
    tokens_in: String,
    tokens_out: String,
    charge: format::Amount,
    margin: Option<format::Amount>,
}

/// The page.
pub(crate) async fn show(
    page: Page,
    _support: Support,
    console: State,
    path: web::Path<TenantId>,
) -> Answer {
    let tenant = super::found(&console, path.into_inner()).await?;
    let db = &console.db;
    let now = console.clock.now();

    reply::page(&Tenant {
        page,
        address: super::address(tenant.id),
        kind: badge::tenant_kind(tenant.kind),
        badge: badge::tenant(tenant.status),
        multiplier: (tenant.multiplier_ppm != tenant::LIST_PPM)
            .then(|| format::factor(tenant.multiplier_ppm)),
        suspended: tenant.status == tenant::Status::Suspended,
        balance: balance(db, tenant.id, now).await?,
        members: members(db, tenant.id).await?,
        grants: grants(db, tenant.id).await?,
        plans: plans(db, tenant.id).await?,
        calls: calls(db, tenant.id).await?,
        name: tenant.name,
        reason: tenant.status_reason,
    })
}

async fn balance(db: &Database, tenant: TenantId, now: Timestamp) -> Result<Balance, Error> {
    let balance = billing::ledger::balance(db, tenant, now).await?;
    Ok(Balance {
        available: format::amount(balance.available),
        posted: format::amount(balance.posted),
        held: format::amount(balance.held),
        debt: format::amount(balance.debt),
        owes: balance.debt.is_positive(),
    })
}

async fn members(db: &Database, tenant: TenantId) -> Result<Vec<Member>, Error> {
    let members = member::Entity::of(tenant)
        .order_by_asc(member::Column::Id)
        .limit(200)
        .all(db.read())
        .await?;
    let mut persons: HashMap<_, _> = person::Entity::every()
        .filter(person::Column::Id.is_in(members.iter().map(|member| member.person_id)))
        .all(db.read())
        .await?
        .into_iter()
        .map(|person| (person.id, person))
        .collect();

    Ok(members
        .into_iter()
        .filter_map(|member| {
            let person = persons.remove(&member.person_id)?;
            Some(Member {
                id: member.id.to_string(),
                name: person.display_name,
                email: person.email,
                verified: person.email_verified_at.is_some(),
                role: badge::role(member.role),
                badge: badge::member(member.status),
                banned: member.status == member::Status::Banned,
                may_be_banned: member.status == member::Status::Active,
                reason: member.status_reason,
                joined: format::moment(member.created_at),
            })
        })
        .collect())
}

async fn grants(db: &Database, tenant: TenantId) -> Result<Vec<Grant>, Error> {
    let grants = grant::Entity::of(tenant)
        .order_by_desc(grant::Column::Id)
        .limit(ROWS)
        .all(db.read())
        .await?;

    Ok(grants
        .into_iter()
        .map(|grant| Grant {
            source: badge::source(grant.source),
            badge: badge::grant(grant.status),
            remaining: format::amount(grant.remaining),
            amount: format::credits(grant.amount),
            expires: grant.expires_at.map(last_day),
            created: format::moment(grant.created_at),
        })
        .collect())
}

async fn plans(db: &Database, tenant: TenantId) -> Result<Vec<Subscribed>, Error> {
    let running = subscription::Entity::of(tenant)
        .filter(subscription::Column::Status.ne(subscription::Status::Ended))
        .all(db.read())
        .await?;
    let versions: HashMap<_, _> = plan_version::Entity::every()
        .filter(plan_version::Column::Id.is_in(running.iter().map(|copy| copy.plan_version_id)))
        .all(db.read())
        .await?
        .into_iter()
        .map(|version| (version.id, version))
        .collect();
    let plans: HashMap<_, _> = plan::Entity::every()
        .filter(plan::Column::Id.is_in(versions.values().map(|version| version.plan_id)))
        .all(db.read())
        .await?
        .into_iter()
        .map(|plan| (plan.id, plan.title))
        .collect();

    Ok(running
        .into_iter()
        .filter_map(|copy| {
            let version = versions.get(&copy.plan_version_id)?;
            Some(Subscribed {
                id: copy.id.to_string(),
                title: plans.get(&version.plan_id)?.clone(),
                version: phrase("op-plan-version").count("version", version.version),
                until: format::day(copy.period_end),
            })
        })
        .collect())
}

async fn calls(db: &Database, tenant: TenantId) -> Result<Vec<Call>, Error> {
    let calls = usage::Entity::of(tenant)
        .order_by_desc(usage::Column::Id)
        .limit(ROWS)
        .all(db.read())
        .await?;
    let names: HashMap<_, _> = model::Entity::every()
        .filter(model::Column::Id.is_in(calls.iter().map(|call| call.model_id)))
        .all(db.read())
        .await?
        .into_iter()
        .map(|model| (model.id, model.name))
        .collect();

    Ok(calls
        .into_iter()
        .map(|call| {
            let input = [
                call.cache_read_tokens,
                call.cache_write_short_tokens,
                call.cache_write_long_tokens,
            ]
            .into_iter()
            .fold(call.input_tokens, i64::saturating_add);
            Call {
                id: call.id.to_string(),
                time: format::moment(call.started_at),
                model: names.get(&call.model_id).cloned().unwrap_or_default(),
                client: call.client_kind,
                tokens_in: format::count(input),
                tokens_out: format::count(call.output_tokens),
                charge: format::amount(call.charge),
                margin: call
                    .provider_cost
                    .and_then(|cost| call.charge.checked_sub(Credits::from_nanos(cost)))
                    .map(format::amount),
            }
        })
        .collect())
}
