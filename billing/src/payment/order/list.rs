//! Reading orders.

use entity::order::{Column, Entity, Model};
use entity::{Database, OrderId, Scoped, TenantId};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder, QuerySelect};

/// Most orders on one page.
const PAGE_MAX: u64 = 200;

/// One order of a tenant.
pub async fn find(db: &Database, tenant: TenantId, id: OrderId) -> Result<Option<Model>, DbErr> {
    Entity::of(tenant)
        .filter(Column::Id.eq(id))
        .one(db.read())
        .await
}

/// The tenant's orders, the newest first, at most 200.
pub async fn list(db: &Database, tenant: TenantId) -> Result<Vec<Model>, DbErr> {
    Entity::of(tenant)
        .order_by_desc(Column::Id)
        .limit(PAGE_MAX)
        .all(db.read())
        .await
}

/// All tenants' orders for operators, the newest first, at most 200 before the given one.
pub async fn list_all(db: &Database, before: Option<OrderId>) -> Result<Vec<Model>, DbErr> {
    let mut query = Entity::across_tenants()
        .order_by_desc(Column::Id)
        .limit(PAGE_MAX);
    if let Some(before) = before {
        query = query.filter(Column::Id.lt(before));
    }
    query.all(db.read()).await
}
