//! One use of a code by a tenant.

use crate::{CodeId, GrantId, MemberId, RedemptionId, Scoped, SubscriptionId, TenantId, Timestamp};
use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "redemption")]
pub struct Model {
    /// Which use.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RedemptionId,
    /// Of which code.
    pub code_id: CodeId,
    /// By which tenant.
    pub tenant_id: TenantId,
    /// By which member.
    pub member_id: MemberId,
    /// The credits it gave.
    pub grant_id: Option<GrantId>,
    /// The plan it gave.
    pub subscription_id: Option<SubscriptionId>,
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
