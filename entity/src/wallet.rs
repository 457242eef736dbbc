//! A tenant's credits. The row is the lock under which everything about them is decided.

use crate::{Credits, Scoped, TenantId, Timestamp, WalletId};
use sea_orm::{ConnectionTrait, QueryOrder, QuerySelect, entity::prelude::*, sea_query::LockType};
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "wallet")]
pub struct Model {
    /// Which wallet.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WalletId,
    /// Whose.
    #[sea_orm(unique)]
    pub tenant_id: TenantId,
    /// What is there: the sum of its lots.
    pub posted: Credits,
    /// How much of it open holds reserve.
    pub held: Credits,
    /// What is owed beyond it.
    pub debt: Credits,
    /// How much of the credit line open holds reserve.
    pub debt_held: Credits,
    /// How many calls run.
    pub open_holds: i64,
    /// How far holds may go beyond `posted`.
    pub credit_line: Credits,
    /// How many calls may run at once; none leaves it to the plan.
    pub max_open_holds: Option<i64>,
    /// Whether it may be spent.
    pub status: Status,
    /// Moves with every change.
    pub seq: i64,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it last moved.
    pub updated_at: Timestamp,
}

/// Whether a wallet may be spent.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// `active`
    Active,
    /// `frozen`
    Frozen,
    /// `closed`
    Closed,
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

/// The wallets of tenants under their locks. Whatever decides who may spend takes a wallet's lock before it changes its
/// own row, so that no hold that read the old state is written after it. They are locked in the order of their tenants.
///
/// # Errors
/// When the database does not answer.
pub async fn lock(
    tx: &impl ConnectionTrait,
    tenants: impl IntoIterator<Item = TenantId>,
) -> Result<Vec<Model>, DbErr> {
    Entity::across_tenants()
        .filter(Column::TenantId.is_in(tenants))
        .order_by_asc(Column::TenantId)
        .lock(LockType::NoKeyUpdate)
        .all(tx)
        .await
}
