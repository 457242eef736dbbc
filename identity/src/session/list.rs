//! A person's sessions and memberships, and which of the latter their pages show.

use super::Lifetime;
use crate::{right::SignedIn, trail};
use entity::{
    Database, MemberId, Platform, Scoped, SessionId, TenantId, Timestamp, audit_trail, member,
    session::{Column, Entity},
    tenant,
};
use sea_orm::{ColumnTrait, DbErr, Order, QueryFilter, QueryOrder};

/// One of a person's own sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub session: SessionId,
    /// Whether it is the one that asks.
    pub is_this_one: bool,
    /// Where it was opened from.
    pub address: Option<String>,
    /// With which browser.
    pub user_agent: Option<String>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last used, to some minutes.
    pub seen_at: Timestamp,
}

/// The person's live sessions, the last used first.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &Database, right: &SignedIn, now: Timestamp) -> Result<Vec<Listed>, DbErr> {
    let idle = Lifetime::of(right.platform_role).idle;
    let rows = Entity::every()
        .filter(Column::PersonId.eq(right.person))
        .filter(Column::ExpiresAt.gt(now))
        .filter(Column::SeenAt.gt(now.minus(idle)))
        .order_by(Column::SeenAt, Order::Desc)
        .order_by(Column::Id, Order::Desc)
        .all(db.read())
        .await?;
    let listed = rows.into_iter().map(|row| Listed {
        session: row.id,
        is_this_one: row.id == right.session,
        address: row.address,
        user_agent: row.user_agent,
        created_at: row.created_at,
        seen_at: row.seen_at,
    });
    Ok(listed.collect())
}

/// A tenant that a person may look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Which tenant.
    pub tenant: TenantId,
    /// What it calls itself.
    pub name: String,
    /// As which member.
    pub member: MemberId,
    /// In which role.
    pub role: member::Role,
    /// Whether their pages show it now.
    pub is_this_one: bool,
}

/// The person's memberships that are neither banned nor left, the oldest first.
///
/// # Errors
/// When the database fails.
pub async fn memberships(db: &Database, right: &SignedIn) -> Result<Vec<Membership>, DbErr> {
    let members = member::Entity::across_tenants()
        .filter(member::Column::PersonId.eq(right.person))
        .filter(member::Column::Status.eq(member::Status::Active))
        .order_by(member::Column::Id, Order::Asc)
        .all(db.read())
        .await?;
    let ids = members.iter().map(|member| member.tenant_id);
    let tenants = tenant::Entity::every()
        .filter(tenant::Column::Id.is_in(ids))
        .filter(tenant::Column::Status.ne(tenant::Status::Closed))
        .all(db.read())
        .await?;
    let found = members.into_iter().filter_map(|member| {
        let tenant = tenants
            .iter()
            .find(|tenant| tenant.id == member.tenant_id)?;
        Some(Membership {
            tenant: tenant.id,
            name: tenant.name.clone(),
            member: member.id,
            role: member.role,
            is_this_one: member.id == right.member,
        })
    });
    Ok(found.collect())
}

/// Why pages show the tenant they showed.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// The person is no active member there.
    #[error("no such tenant")]
    NotFound,
    /// The database failed.
    #[error("database")]
    Store(#[from] DbErr),
}

/// Makes the session show another of the person's tenants.
///
/// # Errors
/// When they are no active member there.
pub async fn switch(
    db: &Database,
    right: &SignedIn,
    tenant: TenantId,
    now: Timestamp,
) -> Result<(), SwitchError> {
    let right = right.clone();
    db.write(move |tx| {
        Box::pin(async move {
            let member = member::Entity::of(tenant)
                .filter(member::Column::PersonId.eq(right.person))
                .filter(member::Column::Status.eq(member::Status::Active))
                .one(tx)
                .await?
                .ok_or(SwitchError::NotFound)?;
            Entity::change()
                .col_expr(Column::MemberId, member.id.uuid().into())
                .filter(Column::Id.eq(right.session))
                .exec(tx)
                .await?;
            let line = audit_trail::Entry {
                tenant: Some(tenant),
                ..trail::line(right.actor(), "session.switch", ("session", right.session))
            };
            audit_trail::append(tx, line, now).await?;
            Ok(())
        })
    })
    .await
}
