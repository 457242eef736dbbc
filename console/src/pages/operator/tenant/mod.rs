//! Tenants as operators see them.

pub(crate) mod add_member;
pub(crate) mod adjust;
pub(crate) mod end_plan;
pub(crate) mod give_plan;
pub(crate) mod grant;
pub(crate) mod limits;
pub(crate) mod list;
pub(crate) mod multiplier;
pub(crate) mod resume;
pub(crate) mod show;
pub(crate) mod statement;
pub(crate) mod suspend;
pub(crate) mod write_off;

use crate::{Console, Error, pages::operator::reasoned::Outcome};
use entity::{Platform, TenantId, tenant};
use identity::tenant::TenantError;
use sea_orm::{ColumnTrait, QueryFilter};

/// The tenant that an address names.
pub(super) async fn found(console: &Console, id: TenantId) -> Result<tenant::Model, Error> {
    tenant::Entity::every()
        .filter(tenant::Column::Id.eq(id))
        .one(console.db.read())
        .await?
        .ok_or(Error::NotFound)
}

/// Where a tenant's page is.
pub(super) fn address(id: TenantId) -> String {
    format!("/console/operator/tenants/{id}")
}

fn outcome(result: Result<(), TenantError>) -> Result<Outcome, Error> {
    match result {
        Ok(()) => Ok(Outcome::Done),
        Err(TenantError::AlreadySuspended | TenantError::NotSuspended) => Ok(Outcome::NothingToDo),
        Err(TenantError::NotFound) => Err(Error::NotFound),
        Err(TenantError::Store(cause)) => Err(Error::Store(cause)),
    }
}
