//! Who did what to whom, and why. Never changed.

use crate::{AuditId, MemberId, PersonId, Platform, TenantId, Timestamp};
use sea_orm::{ConnectionTrait, Set, entity::prelude::*};
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_trail")]
pub struct Model {
    /// Which line.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AuditId,
    /// What kind of actor.
    pub actor_kind: ActorKind,
    /// Which one.
    pub actor_id: Option<String>,
    /// In which tenant.
    pub tenant_id: Option<TenantId>,
    /// What: `noun.verb`.
    pub action: String,
    /// To what kind of thing.
    pub subject_kind: String,
    /// To which one.
    pub subject_id: String,
    /// Why, where a person decided it.
    pub reason: Option<String>,
    /// JSON: what changed; never a secret.
    pub detail: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

/// What kind of actor.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// `system`
    System,
    /// `operator`
    Operator,
    /// `member`
    Member,
    /// `provider`
    Provider,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}

/// Who causes something.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A job of the installation.
    System,
    /// A person who runs the installation.
    Operator(PersonId),
    /// A member of the tenant.
    Member(MemberId),
    /// A payment provider, by its name.
    Provider(&'static str),
}

impl Actor {
    /// What kind of actor.
    pub const fn kind(&self) -> ActorKind {
        match self {
            Self::System => ActorKind::System,
            Self::Operator(_) => ActorKind::Operator,
            Self::Member(_) => ActorKind::Member,
            Self::Provider(_) => ActorKind::Provider,
        }
    }

    /// Which one, as text; nothing for the system.
    pub fn id(&self) -> Option<String> {
        match self {
            Self::System => None,
            Self::Operator(person) => Some(person.to_string()),
            Self::Member(member) => Some(member.to_string()),
            Self::Provider(name) => Some((*name).to_owned()),
        }
    }
}

/// A line to append.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who did it.
    pub actor: Actor,
    /// What, as `noun.verb`: `member.ban`, `key.issue`.
    pub action: &'static str,
    /// To what: the kind of thing and its id.
    pub subject: (&'static str, String),
    /// In which tenant, if in one.
    pub tenant: Option<TenantId>,
    /// Why, where a person decided it.
    pub reason: Option<String>,
    /// What changed; never a secret.
    pub detail: Option<serde_json::Value>,
}

/// Appends a line in the transaction of what it records.
///
/// # Errors
/// When the database refuses it.
pub async fn append(tx: &impl ConnectionTrait, entry: Entry, now: Timestamp) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(AuditId::fresh()),
        actor_kind: Set(entry.actor.kind()),
        actor_id: Set(entry.actor.id()),
        tenant_id: Set(entry.tenant),
        action: Set(entry.action.to_owned()),
        subject_kind: Set(entry.subject.0.to_owned()),
        subject_id: Set(entry.subject.1),
        reason: Set(entry.reason),
        detail: Set(entry.detail.map(|detail| detail.to_string())),
        created_at: Set(now),
    };
    Entity::insert(row).exec_without_returning(tx).await?;
    Ok(())
}
