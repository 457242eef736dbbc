//! Which models a channel serves, and what the upstream calls them.

use crate::{ChannelId, ModelId, Platform};
use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "channel_model")]
pub struct Model {
    /// The channel.
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel_id: ChannelId,
    /// The model.
    #[sea_orm(primary_key, auto_increment = false)]
    pub model_id: ModelId,
    /// The upstream's name for it.
    pub upstream_name: String,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
