//! A further key of an upstream account. The first stands in the channel's own row; all are drawn in turn.

use crate::{ChannelId, ChannelKeyId, Platform, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "channel_key")]
pub struct Model {
    /// Which key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ChannelKeyId,
    /// Of which channel.
    pub channel_id: ChannelId,
    /// The sealed secret; bound to the channel and the base URL's host.
    pub secret: Vec<u8>,
    /// Last four characters of the secret.
    pub hint: String,
    /// Whether it is drawn.
    pub status: Status,
    /// What the upstream said when it refused it.
    pub status_reason: Option<String>,
    /// When it was added.
    pub created_at: Timestamp,
}

/// Whether a key is drawn.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// `active`
    Active,
    /// `refused`
    Refused,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
