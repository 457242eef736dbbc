//! A call whose upstream reported usage that cannot be, kept for an operator to look at.

use crate::{ChannelId, Credits, HoldId, ModelId, Scoped, TenantId, Timestamp};
use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_doubt")]
pub struct Model {
    /// Which call.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: HoldId,
    /// Whose.
    pub tenant_id: TenantId,
    /// Which upstream reported it.
    pub channel_id: ChannelId,
    /// Of which model.
    pub model_id: ModelId,
    /// What cannot be about it.
    pub reason: String,
    /// What was charged instead.
    pub charged: Credits,
    /// When.
    pub created_at: Timestamp,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Scoped for Entity {
    fn tenant_column() -> Column {
        Column::TenantId
    }
}
