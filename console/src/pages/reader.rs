//! The row of the person who reads, where a page needs more than their right says.

use crate::frame::SignedIn;
use entity::{Database, Platform, person};
use sea_orm::{ColumnTrait, DbErr, QueryFilter};

/// The reader's own row.
pub(super) async fn row(db: &Database, member: &SignedIn) -> Result<Option<person::Model>, DbErr> {
    person::Entity::every()
        .filter(person::Column::Id.eq(member.person()))
        .one(db.read())
        .await
}

/// Where mail reaches the reader.
pub(super) async fn email(db: &Database, member: &SignedIn) -> Result<Option<String>, DbErr> {
    Ok(row(db, member).await?.map(|person| person.email))
}
