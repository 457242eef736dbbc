//! The keys somebody may see: their own, or everybody's of the tenant for its owners and admins.

use crate::right::{KeyReach, SignedIn};
use entity::{
    Database, KeyId, Scoped,
    key::{Column, Entity, Model},
};
use sea_orm::{ColumnTrait, DbErr, Order, QueryFilter, QueryOrder, QuerySelect, Select};

/// The most a page lists.
const MAX_LISTED: u64 = 500;

/// The keys in reach, newest first, revoked ones included.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &Database, right: &SignedIn) -> Result<Vec<Model>, DbErr> {
    in_reach(right)
        .order_by(Column::Id, Order::Desc)
        .limit(MAX_LISTED)
        .all(db.read())
        .await
}

/// One key in reach; nothing for one of another tenant or, to a developer, of another member.
///
/// # Errors
/// When the database fails.
pub async fn show(db: &Database, right: &SignedIn, key: KeyId) -> Result<Option<Model>, DbErr> {
    in_reach(right)
        .filter(Column::Id.eq(key))
        .one(db.read())
        .await
}

pub(super) fn in_reach(right: &SignedIn) -> Select<Entity> {
    let tenants = Entity::of(right.tenant);
    match right.key_reach() {
        KeyReach::Tenant => tenants,
        KeyReach::Own => tenants.filter(Column::MemberId.eq(right.member)),
    }
}
