//! Events the payment provider sent, stored as they came, each once.

use crate::{Platform, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payment_inbox")]
pub struct Model {
    /// Which provider.
    #[sea_orm(primary_key, auto_increment = false)]
    pub provider: String,
    /// The provider's id of the event.
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: String,
    /// What it says happened.
    pub kind: String,
    /// To which object.
    pub object_id: Option<String>,
    /// Whether it is about real money.
    pub livemode: bool,
    /// The bytes as received.
    pub body: Vec<u8>,
    /// Where it stands.
    pub status: Status,
    /// How often it was tried.
    pub attempts: i64,
    /// When to try next.
    pub next_try_at: Timestamp,
    /// What went wrong last.
    pub error: Option<String>,
    /// When it came.
    pub received_at: Timestamp,
    /// When it was worked off.
    pub done_at: Option<Timestamp>,
}

/// Where an event stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// `received`
    Received,
    /// `done`
    Done,
    /// `ignored`
    Ignored,
    /// `retry`
    Retry,
    /// `dead`
    Dead,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
