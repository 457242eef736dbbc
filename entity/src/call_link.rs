//! A call that repeats another: its client asked again, unstreamed, after the first had failed in the middle.

use crate::{HoldId, Scoped, TenantId, Timestamp};
use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "call_link")]
pub struct Model {
    /// The call that repeats.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: HoldId,
    /// Whose.
    pub tenant_id: TenantId,
    /// The call that it repeats.
    pub repeats_id: HoldId,
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
