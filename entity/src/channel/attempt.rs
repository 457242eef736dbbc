//! A try at a channel that reached the upstream and brought nothing: it may have cost money all the same. The try that
//! succeeded is the call's usage row.

use crate::{AttemptId, ChannelId, Credits, HoldId, ModelId, Platform, Timestamp};
use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempt")]
pub struct Model {
    /// Which try.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AttemptId,
    /// Of which call.
    pub call_id: HoldId,
    /// At which channel.
    pub channel_id: ChannelId,
    /// For which model.
    pub model_id: ModelId,
    /// The upstream's HTTP status; none where no answer came.
    pub status: Option<i64>,
    /// What went wrong, for operators.
    pub fault: String,
    /// How long it took.
    pub took_ms: i64,
    /// What it cost, where the upstream said what it used.
    pub cost: Option<Credits>,
    /// When it ended.
    pub created_at: Timestamp,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
