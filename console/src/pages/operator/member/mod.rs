//! Members as operators see them.

pub(crate) mod ban;
pub(crate) mod unban;

use crate::{Console, Error};
use entity::{MemberId, Platform, Scoped, member, person};
use sea_orm::{ColumnTrait, QueryFilter};

/// A member with the name of their person.
pub(super) struct Named {
    /// The row.
    pub member: member::Model,
    /// What pages call them.
    pub name: String,
}

/// The member that an address names, in whichever tenant.
pub(super) async fn found(console: &Console, id: MemberId) -> Result<Named, Error> {
    let member = member::Entity::across_tenants()
        .filter(member::Column::Id.eq(id))
        .one(console.db.read())
        .await?
        .ok_or(Error::NotFound)?;
    let person = person::Entity::every()
        .filter(person::Column::Id.eq(member.person_id))
        .one(console.db.read())
        .await?
        .ok_or(Error::NotFound)?;
    Ok(Named {
        member,
        name: person.display_name,
    })
}
