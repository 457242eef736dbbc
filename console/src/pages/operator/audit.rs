//! The audit trail: who did what, and why.

use crate::{
    Error,
    frame::{Answer, Page, State, Support, reply},
    pages::operator::listing::{self, PAGE_ROWS, Query},
    words::format,
};
use actix_web::web;
use askama::Template;
use entity::{
    AuditId, Database, MemberId, PersonId, Platform, Scoped, audit_trail, audit_trail::ActorKind,
    member, person,
};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::HashMap;

#[derive(Template)]
#[template(path = "page/operator/audit.html")]
struct Audit {
    page: Page,
    query: Query,
    rows: Vec<Row>,
    next: String,
}

struct Row {
    time: format::Moment,
    who: Option<String>,
    action: String,
    kind: String,
    id: String,
    tenant: Option<String>,
    reason: String,
    /// What the line says besides, by name.
    detail: Vec<(String, String)>,
}

/// The list.
pub(crate) async fn show(
    page: Page,
    _support: Support,
    console: State,
    query: web::Query<Query>,
) -> Answer {
    let query = query.into_inner();
    let mut lines = find(&console.db, &query).await?;
    let next = listing::cut(&mut lines, "/console/operator/audit", &query, |line| {
        line.id.to_string()
    });
    let rows = rows(&console.db, lines).await?;

    reply::page(&Audit {
        page,
        query,
        rows,
        next: next.unwrap_or_default(),
    })
}

async fn find(db: &Database, query: &Query) -> Result<Vec<audit_trail::Model>, Error> {
    let mut select = audit_trail::Entity::every();
    let action = query.q.trim();
    if !action.is_empty() {
        select = select.filter(audit_trail::Column::Action.starts_with(action));
    }
    if let Some(before) = query.before::<AuditId>() {
        select = select.filter(audit_trail::Column::Id.lt(before));
    }
    let lines = select
        .order_by_desc(audit_trail::Column::Id)
        .limit(PAGE_ROWS as u64 + 1)
        .all(db.read())
        .await?;
    Ok(lines)
}

async fn rows(db: &Database, lines: Vec<audit_trail::Model>) -> Result<Vec<Row>, Error> {
    let ids = |kind: ActorKind| {
        lines
            .iter()
            .filter(move |line| line.actor_kind == kind)
            .filter_map(|line| line.actor_id.as_deref())
    };
    let members: HashMap<MemberId, PersonId> = member::Entity::across_tenants()
        .filter(
            member::Column::Id
                .is_in(ids(ActorKind::Member).filter_map(|id| id.parse::<MemberId>().ok())),
        )
        .all(db.read())
        .await?
        .into_iter()
        .map(|member| (member.id, member.person_id))
        .collect();
    let wanted = ids(ActorKind::Operator)
        .filter_map(|id| id.parse::<PersonId>().ok())
        .chain(members.values().copied());
    let persons: HashMap<PersonId, String> = person::Entity::every()
        .filter(person::Column::Id.is_in(wanted))
        .all(db.read())
        .await?
        .into_iter()
        .map(|person| (person.id, person.email))
        .collect();

    Ok(lines
        .into_iter()
        .map(|line| {
            let actor = line.actor_id.as_deref().unwrap_or_default();
            let who = match line.actor_kind {
                ActorKind::System => None,
                ActorKind::Operator => actor.parse().ok().and_then(|id| persons.get(&id).cloned()),
                ActorKind::Member => actor
                    .parse()
                    .ok()
                    .and_then(|id| persons.get(members.get(&id)?).cloned()),
                ActorKind::Provider => Some(actor.to_owned()),
            };
            Row {
                time: format::moment(line.created_at),
                who,
                action: line.action,
                kind: line.subject_kind,
                id: line.subject_id,
                tenant: line.tenant_id.map(super::tenant::address),
                reason: line.reason.unwrap_or_default(),
                detail: pairs(line.detail.as_deref().unwrap_or_default()),
            }
        })
        .collect())
}

/// The members of a JSON object as people read them; what is null is left out.
fn pairs(json: &str) -> Vec<(String, String)> {
    let Ok(serde_json::Value::Object(members)) = serde_json::from_str(json) else {
        return Vec::new();
    };
    members
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let text = match value {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            (name.replace('_', " "), text)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_read_member_by_member() {
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let table = [
            ("", vec![]),
            (r#"{"address":null}"#, vec![]),
            (r#"{"last_used":"8Dn4"}"#, vec![pair("last used", "8Dn4")]),
            (
                r#"{"version":1,"a":["b"]}"#,
                vec![pair("a", r#"["b"]"#), pair("version", "1")],
            ),
        ];
        for (json, expected) in table {
            let mut found = pairs(json);
            found.sort();
            assert_eq!(found, expected, "{json}");
        }
    }
}
