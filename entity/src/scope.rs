//! Finders that cannot forget the tenant: every query of a tenant's table starts from [`Scoped::of`]; the
//! bare `find`, `update_many` and `delete_many` are banned elsewhere.
#![expect(
    clippy::disallowed_methods,
    reason = "the finders that the ban points to are built on the bare ones"
)]

use crate::TenantId;
use sea_orm::{ColumnTrait, DeleteMany, EntityTrait, QueryFilter, Select, UpdateMany};

/// A table whose rows belong to a tenant.
pub trait Scoped: EntityTrait {
    /// The column that says whose a row is.
    fn tenant_column() -> Self::Column;

    /// The tenant's own rows.
    fn of(tenant: TenantId) -> Select<Self> {
        Self::find().filter(Self::tenant_column().eq(tenant))
    }

    /// Changes the tenant's own rows.
    fn of_change(tenant: TenantId) -> UpdateMany<Self> {
        Self::update_many().filter(Self::tenant_column().eq(tenant))
    }

    /// Removes the tenant's own rows.
    fn of_remove(tenant: TenantId) -> DeleteMany<Self> {
        Self::delete_many().filter(Self::tenant_column().eq(tenant))
    }

    /// Rows of all tenants: for operators' pages, jobs, and look-ups by a secret's digest.
    fn across_tenants() -> Select<Self> {
        Self::find()
    }

    /// Changes rows of all tenants: for operators' actions and jobs.
    fn across_tenants_change() -> UpdateMany<Self> {
        Self::update_many()
    }

    /// Removes rows of all tenants: for jobs.
    fn across_tenants_remove() -> DeleteMany<Self> {
        Self::delete_many()
    }
}

/// A table of the installation, or one whose rows are reached through their parent's id.
pub trait Platform: EntityTrait {
    /// All rows.
    fn every() -> Select<Self> {
        Self::find()
    }

    /// Changes rows.
    fn change() -> UpdateMany<Self> {
        Self::update_many()
    }

    /// Removes rows.
    fn remove() -> DeleteMany<Self> {
        Self::delete_many()
    }
}
