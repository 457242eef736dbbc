//! Models and their prices as operators see them.

pub(crate) mod block;
pub(crate) mod import;
pub(crate) mod list;
pub(crate) mod price;
mod price_form;
pub(crate) mod unblock;

use crate::{Console, Error};
use entity::{ModelId, Platform, model};
use sea_orm::{ColumnTrait, QueryFilter};

/// Where the list is.
pub(super) const LIST: &str = "/console/operator/models";

/// The model that an address names.
pub(super) async fn found(console: &Console, id: ModelId) -> Result<model::Model, Error> {
    model::Entity::every()
        .filter(model::Column::Id.eq(id))
        .one(console.db.read())
        .await?
        .ok_or(Error::NotFound)
}
