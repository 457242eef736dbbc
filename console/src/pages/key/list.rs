//! The keys in reach of the reader.

use super::hint;
use crate::{
    frame::{Answer, Page, SignedIn, State, reply},
    words::{Phrase, format, phrase},
};
use askama::Template;
use entity::{
    Database, MemberId, Platform, Scoped, Timestamp, group,
    key::{Model, Status},
    member, person,
};
use identity::key;
use sea_orm::{ColumnTrait, DbErr, QueryFilter};
use std::collections::HashMap;

#[derive(Template)]
#[template(path = "page/keys/list.html")]
struct KeysPage {
    page: Page,
    may_create: bool,
    keys: Vec<Row>,
}

struct Row {
    id: String,
    name: String,
    holder: String,
    hint: String,
    group: String,
    tone: &'static str,
    status: Phrase,
    last_used: Option<format::Moment>,
    expires: Option<format::Moment>,
    can_disable: bool,
    can_enable: bool,
    can_revoke: bool,
}

impl Row {
    fn path_to(&self, verb: &str) -> String {
        format!("/console/keys/{}/{verb}", self.id)
    }
}

/// Shows it.
pub(crate) async fn show(console: State, page: Page, member: SignedIn) -> Answer {
    let found = key::list(&console.db, &member).await?;

    reply::page(&KeysPage {
        page,
        may_create: member.may_hold_keys(),
        keys: rows(&console.db, &member, found, console.clock.now()).await?,
    })
}

async fn rows(
    db: &Database,
    reader: &SignedIn,
    found: Vec<Model>,
    now: Timestamp,
) -> Result<Vec<Row>, DbErr> {
    let groups = group::Entity::every()
        .filter(group::Column::Id.is_in(found.iter().map(|key| key.group_id)))
        .all(db.read())
        .await?;
    let holders = holders(db, reader, &found).await?;
    let rows = found.into_iter().map(|key| {
        let (tone, status) = standing(&key, now);
        Row {
            id: key.id.to_string(),
            holder: holders.get(&key.member_id).cloned().unwrap_or_default(),
            hint: hint(&key),
            group: groups
                .iter()
                .find(|group| group.id == key.group_id)
                .map_or_else(String::new, |group| group.title.clone()),
            tone,
            status,
            last_used: key.last_used_at.map(format::moment),
            expires: key.expires_at.map(format::moment),
            can_disable: key.status == Status::Active,
            can_enable: key.status == Status::Disabled,
            can_revoke: key.status != Status::Revoked,
            name: key.name,
        }
    });
    Ok(rows.collect())
}

/// Names of the other members whose keys are listed.
async fn holders(
    db: &Database,
    reader: &SignedIn,
    found: &[Model],
) -> Result<HashMap<MemberId, String>, DbErr> {
    let others = found
        .iter()
        .map(|key| key.member_id)
        .filter(|id| *id != reader.member());
    let members = member::Entity::of(reader.tenant())
        .filter(member::Column::Id.is_in(others))
        .all(db.read())
        .await?;
    let people = person::Entity::every()
        .filter(person::Column::Id.is_in(members.iter().map(|member| member.person_id)))
        .all(db.read())
        .await?;
    let named = members.into_iter().filter_map(|member| {
        let person = people.iter().find(|person| person.id == member.person_id)?;
        Some((member.id, person.display_name.clone()))
    });
    Ok(named.collect())
}

fn standing(key: &Model, now: Timestamp) -> (&'static str, Phrase) {
    let expired = key.expires_at.is_some_and(|at| at <= now);
    match key.status {
        Status::Revoked => ("", phrase("key-revoked")),
        Status::Disabled => ("warn", phrase("key-disabled")),
        Status::Active if expired => ("warn", phrase("key-expired")),
        Status::Active => ("good", phrase("key-active")),
    }
}
