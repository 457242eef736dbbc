//! From a cookie to a right, at every page.

use super::Lifetime;
use crate::{right::SignedIn, token::SessionToken};
use entity::{
    Database, Platform, Scoped, Timestamp, member, person,
    session::{Column, Entity, Model},
    tenant,
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter};
use std::time::Duration;

/// How stale a session's last-seen time may be, so that most pages cost no write.
const SEEN_STEP: Duration = Duration::from_mins(5);

/// The right behind a session's secret: nothing when it ended, was idle too long, or its member was banned or
/// left since.
///
/// # Errors
/// When the database fails.
pub async fn resume(
    db: &Database,
    token: &SessionToken,
    now: Timestamp,
) -> Result<Option<SignedIn>, DbErr> {
    let session = Entity::every()
        .filter(Column::Digest.eq(token.digest()))
        .one(db.read())
        .await?;
    let Some(session) = session.filter(|session| session.expires_at > now) else {
        return Ok(None);
    };
    let Some((person, member, tenant)) = holder(db, &session).await? else {
        return Ok(None);
    };
    let lifetime = Lifetime::of(person.platform_role);
    if now.since(session.seen_at) >= lifetime.idle
        || now.since(session.created_at) >= lifetime.absolute
    {
        return Ok(None);
    }
    if now.since(session.seen_at) >= SEEN_STEP {
        see(db, &session, now).await?;
    }
    Ok(Some(SignedIn::new(session.id, person, &member, tenant)))
}

/// The person, member and tenant of a session, while they may use it.
async fn holder(
    db: &Database,
    session: &Model,
) -> Result<Option<(person::Model, member::Model, tenant::Model)>, DbErr> {
    let person = person::Entity::every()
        .filter(person::Column::Id.eq(session.person_id))
        .filter(person::Column::Status.eq(person::Status::Active))
        .one(db.read())
        .await?;
    let member = member::Entity::across_tenants()
        .filter(member::Column::Id.eq(session.member_id))
        .filter(member::Column::PersonId.eq(session.person_id))
        .filter(member::Column::Status.eq(member::Status::Active))
        .one(db.read())
        .await?;
    let (Some(person), Some(member)) = (person, member) else {
        return Ok(None);
    };
    let tenant = tenant::Entity::every()
        .filter(tenant::Column::Id.eq(member.tenant_id))
        .filter(tenant::Column::Status.ne(tenant::Status::Closed))
        .one(db.read())
        .await?;
    Ok(tenant.map(|tenant| (person, member, tenant)))
}

async fn see(db: &Database, session: &Model, now: Timestamp) -> Result<(), DbErr> {
    let id = session.id;
    db.write(move |tx| {
        Box::pin(async move {
            Entity::change()
                .col_expr(Column::SeenAt, now.micros().into())
                .filter(Column::Id.eq(id))
                .filter(Column::SeenAt.lt(now))
                .exec(tx)
                .await?;
            Ok(())
        })
    })
    .await
}
