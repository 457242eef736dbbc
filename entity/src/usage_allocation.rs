//! Which lots paid for a call.

use crate::{Credits, GrantId, HoldId, Platform};
use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_allocation")]
pub struct Model {
    /// The call.
    #[sea_orm(primary_key, auto_increment = false)]
    pub usage_id: HoldId,
    /// In the order drawn.
    #[sea_orm(primary_key, auto_increment = false)]
    pub n: i64,
    /// The lot; none is debt.
    pub grant_id: Option<GrantId>,
    /// How much of it.
    pub amount: Credits,
    /// Which drawing of the call's it belongs to, from 1: the hold, each growth of it, what it ran over. Within one,
    /// lots come in the order of drawing. 0 where that was not noted yet.
    pub draw: i64,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
