//! One upstream account: whose it is, where it is reached, and the sealed secret.

use crate::{ChannelId, Platform, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "channel")]
pub struct Model {
    /// Which channel.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ChannelId,
    /// What operators call it.
    #[sea_orm(unique)]
    pub name: String,
    /// Which protocols it speaks.
    pub kind: Kind,
    /// Where it is reached, without the endpoint; empty for the sandbox.
    pub base_url: String,
    /// The sealed secret; bound to this row and the base URL's host.
    pub secret: Option<Vec<u8>>,
    /// Last four characters of the secret.
    pub secret_hint: Option<String>,
    /// When the secret was set.
    pub secret_set_at: Option<Timestamp>,
    /// Whether calls go there.
    pub status: Status,
    /// Why it is off.
    pub status_reason: Option<String>,
    /// Lower is tried first.
    pub priority: i64,
    /// Share among channels of one priority.
    pub weight: i64,
    /// When it was added.
    pub created_at: Timestamp,
}

/// Which protocols a channel speaks.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `openai`
    Openai,
    /// `anthropic`
    Anthropic,
    /// `openai_compatible`
    OpenaiCompatible,
    /// `sandbox`
    Sandbox,
}

/// Whether calls go to a channel.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// `active`
    Active,
    /// `disabled`
    Disabled,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
