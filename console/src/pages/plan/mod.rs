//! Plans as members see them: what they have, what is on offer, changing and stopping.

pub(crate) mod cancel;
pub(crate) mod change;
pub(crate) mod list;

use crate::{
    Error,
    frame::{SignedIn, State},
    words::{Phrase, phrase},
};
use entity::{Scoped, SubscriptionId, plan_version::Period, subscription};
use sea_orm::{ColumnTrait, QueryFilter};

/// Where the list is.
const LIST: &str = "/console/plans";

/// The subscription that an address names, if it is the reader's tenant's.
async fn found(console: &State, member: &SignedIn, id: &str) -> Result<subscription::Model, Error> {
    let id: SubscriptionId = id.parse().map_err(|_| Error::NotFound)?;
    subscription::Entity::of(member.tenant())
        .filter(subscription::Column::Id.eq(id))
        .one(console.db.read())
        .await?
        .ok_or(Error::NotFound)
}

/// What a price is for.
const fn each(period: Period) -> Phrase {
    match period {
        Period::Day => phrase("plans-each-day"),
        Period::Week => phrase("plans-each-week"),
        Period::Month => phrase("plans-each-month"),
        Period::Year => phrase("plans-each-year"),
    }
}
