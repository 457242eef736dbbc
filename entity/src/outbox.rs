//! Side effects that wait to be carried out, written in the transaction that causes them.

use crate::{OutboxId, Platform, Timestamp};
use sea_orm::{ConnectionTrait, Set, entity::prelude::*};
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    /// Which one.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OutboxId,
    /// What to do: `mail.verify` and so on.
    pub topic: String,
    /// JSON: with what; never a secret.
    pub payload: String,
    /// Where it stands.
    pub status: Status,
    /// How often it was tried.
    pub attempts: i64,
    /// When to try next.
    pub next_try_at: Timestamp,
    /// What went wrong last.
    pub error: Option<String>,
    /// When it was put here.
    pub created_at: Timestamp,
    /// When it was carried out.
    pub done_at: Option<Timestamp>,
}

/// Where a side effect stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// `pending`
    Pending,
    /// `done`
    Done,
    /// `dead`
    Dead,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}

/// Puts a side effect into the transaction that causes it; it is carried out after the commit.
///
/// # Errors
/// When the database refuses it.
pub async fn put(
    tx: &impl ConnectionTrait,
    topic: &str,
    payload: &serde_json::Value,
    now: Timestamp,
) -> Result<OutboxId, DbErr> {
    let id = OutboxId::fresh();
    let row = ActiveModel {
        id: Set(id),
        topic: Set(topic.to_owned()),
        payload: Set(payload.to_string()),
        status: Set(Status::Pending),
        attempts: Set(0),
        next_try_at: Set(now),
        error: Set(None),
        created_at: Set(now),
        done_at: Set(None),
    };
    Entity::insert(row).exec_without_returning(tx).await?;
    Ok(id)
}
