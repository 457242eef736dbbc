//! How a channel was last found: whether its upstream answered, and which models it listed.

use crate::{ChannelId, Platform, Timestamp};
use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "channel_check")]
pub struct Model {
    /// Which channel.
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel_id: ChannelId,
    /// When it was last looked at.
    pub checked_at: Timestamp,
    /// How long it took to answer.
    pub took_ms: i64,
    /// How many looks in a row failed; zero where the last one did not.
    pub failures: i64,
    /// What went wrong last.
    pub fault: Option<String>,
    /// JSON list of the models it listed last.
    pub listed: Option<String>,
    /// When it listed them.
    pub listed_at: Option<Timestamp>,
    /// JSON list of the models that an operator does not want to hear of.
    pub ignored: String,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
