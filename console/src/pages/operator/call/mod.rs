//! One call as operators see it: what it cost whom, and giving it back.

pub(crate) mod refund;
pub(crate) mod show;

use crate::{Console, Error};
use entity::{HoldId, Scoped, usage};
use sea_orm::{ColumnTrait, QueryFilter};

/// Where a call's page is.
pub(super) fn address(id: HoldId) -> String {
    format!("/console/operator/calls/{id}")
}

/// The call that an address names.
async fn found(console: &Console, id: HoldId) -> Result<usage::Model, Error> {
    usage::Entity::across_tenants()
        .filter(usage::Column::Id.eq(id))
        .one(console.db.read())
        .await?
        .ok_or(Error::NotFound)
}
