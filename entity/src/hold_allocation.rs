//! Which lots back a hold.

use crate::{Credits, GrantId, HoldId, Platform};
use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "hold_allocation")]
pub struct Model {
    /// The hold.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hold_id: HoldId,
    /// In the order drawn.
    #[sea_orm(primary_key, auto_increment = false)]
    pub n: i64,
    /// The lot.
    pub grant_id: GrantId,
    /// How much of it.
    pub amount: Credits,
    /// Which drawing of the call's it belongs to, from 1; 0 where that was not noted yet.
    pub draw: i64,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
