//! Plans as operators see them.

pub(crate) mod add;
mod clauses;
pub(crate) mod list;
pub(crate) mod publish;
pub(crate) mod status;
mod terms;
pub(crate) mod try_out;

use crate::Error;
use entity::{Database, PlanId, Platform, group, plan};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder};

/// Where the list is.
pub(super) const LIST: &str = "/console/operator/plans";

/// The plan that an address names.
async fn found(db: &Database, id: PlanId) -> Result<plan::Model, Error> {
    plan::Entity::every()
        .filter(plan::Column::Id.eq(id))
        .one(db.read())
        .await?
        .ok_or(Error::NotFound)
}

/// Every group, by id and title.
async fn groups(db: &Database) -> Result<Vec<(String, String)>, DbErr> {
    let rows = group::Entity::every()
        .order_by_asc(group::Column::Title)
        .all(db.read())
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id.to_string(), row.title))
        .collect())
}
