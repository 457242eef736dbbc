//! Members as operators see them.

pub(crate) mod ban;
pub(crate) mod limits;
pub(crate) mod unban;

use crate::{Console, Error, pages::operator::reasoned::Outcome};
use entity::{MemberId, Platform, Scoped, member, person};
use identity::member::MemberError;
use sea_orm::{ColumnTrait, QueryFilter};

/// A member with the name of their person.
pub(crate) struct Named {
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

fn outcome(result: Result<(), MemberError>) -> Result<Outcome, Error> {
    match result {
        Ok(()) => Ok(Outcome::Done),
        Err(MemberError::IsOperator) => Ok(Outcome::Refused("op-member-is-operator")),
        Err(MemberError::AlreadyBanned | MemberError::NotBanned | MemberError::AlreadyMember) => {
            Ok(Outcome::NothingToDo)
        }
        Err(MemberError::NotFound) => Err(Error::NotFound),
        Err(MemberError::Store(cause)) => Err(Error::Store(cause)),
    }
}
