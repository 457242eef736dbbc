//! Channels as operators see them. A secret goes in and never comes out.

pub(crate) mod add;
pub(crate) mod change;
pub(super) mod difference;
pub(crate) mod disable;
pub(crate) mod enable;
pub(crate) mod ignore;
pub(crate) mod keys;
pub(crate) mod list;
pub(crate) mod models;
pub(crate) mod options;
mod preset;
mod secret;
pub(crate) mod test;
pub(crate) mod upstream;

use crate::{Console, Error};
use entity::{ChannelId, Platform, channel};
use sea_orm::{ColumnTrait, QueryFilter};

/// Where the list is.
pub(super) const LIST: &str = "/console/operator/channels";

/// The channel that an address names.
pub(super) async fn found(console: &Console, id: ChannelId) -> Result<channel::Model, Error> {
    channel::Entity::every()
        .filter(channel::Column::Id.eq(id))
        .one(console.db.read())
        .await?
        .ok_or(Error::NotFound)
}

/// Where a channel's page is.
fn address(id: ChannelId) -> String {
    format!("{LIST}/{id}")
}
