//! Members as operators act on them: added to a tenant, banned from it, let in again.

use crate::{
    email::EmailAddress, person as people, reason::Reason, right::Operator, session, trail,
};
use entity::{
    Database, MemberId, Platform, Scoped, TenantId, Timestamp, Tx, audit_trail,
    member::{Column, Entity, Model, Role, Status},
    person, tenant, wallet,
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QuerySelect, sea_query::Expr};
use serde_json::json;

/// Why a membership stays what it was.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// There is no such member, tenant or person.
    #[error("not found")]
    NotFound,
    /// Operators do not ban operators, themselves included: take the role away first.
    #[error("the member runs the installation")]
    IsOperator,
    /// They are banned already.
    #[error("the member is banned already")]
    AlreadyBanned,
    /// They are not banned.
    #[error("the member is not banned")]
    NotBanned,
    /// They are in the tenant already.
    #[error("the person is a member already")]
    AlreadyMember,
    /// The database failed.
    #[error("database")]
    Store(#[from] DbErr),
}

/// Whom to add where.
#[derive(Clone, Debug)]
pub struct AddMember {
    /// To which tenant.
    pub tenant: TenantId,
    /// Whom, by the address of their account.
    pub email: EmailAddress,
    /// As what.
    pub role: Role,
}

/// Adds a person with an account to a tenant; one who left comes back.
///
/// # Errors
/// As [`MemberError`] says.
pub async fn add(
    db: &Database,
    right: &Operator,
    order: AddMember,
    reason: Reason,
    now: Timestamp,
) -> Result<MemberId, MemberError> {
    let right = *right;
    db.write(move |tx| {
        Box::pin(async move {
            let member = add_in(tx, &order, now).await?;
            let line = audit_trail::Entry {
                tenant: Some(order.tenant),
                reason: Some(reason.as_str().to_owned()),
                detail: Some(json!({ "role": order.role })),
                ..trail::line(right.actor(), "member.add", ("member", member))
            };
            audit_trail::append(tx, line, now).await?;
            Ok(member)
        })
    })
    .await
}

async fn add_in(tx: &Tx, order: &AddMember, now: Timestamp) -> Result<MemberId, MemberError> {
    let person = people::of_email(tx, &order.email).await?;
    let person = person
        .filter(|person| person.status == person::Status::Active)
        .ok_or(MemberError::NotFound)?;
    tenant::Entity::every()
        .filter(tenant::Column::Id.eq(order.tenant))
        .filter(tenant::Column::Status.ne(tenant::Status::Closed))
        .lock_exclusive()
        .one(tx)
        .await?
        .ok_or(MemberError::NotFound)?;
    let present = Entity::of(order.tenant)
        .filter(Column::PersonId.eq(person.id))
        .one(tx)
        .await?;
    match present {
        None => Ok(people::join_in(tx, person.id, order.tenant, order.role, now).await?),
        Some(member) if member.status == Status::Left => {
            Entity::of_change(order.tenant)
                .col_expr(Column::Status, Expr::value(Status::Active))
                .col_expr(Column::Role, Expr::value(order.role))
                .filter(Column::Id.eq(member.id))
                .exec(tx)
                .await?;
            Ok(member.id)
        }
        Some(_) => Err(MemberError::AlreadyMember),
    }
}

/// Bans a member: their pages end at once, and once it is done no call of theirs begins. The rest of the tenant goes on.
///
/// # Errors
/// As [`MemberError`] says.
#[tracing::instrument(name = "identity.member.ban", skip_all, fields(member.id = %member))]
pub async fn ban(
    db: &Database,
    right: &Operator,
    member: MemberId,
    reason: Reason,
    now: Timestamp,
) -> Result<(), MemberError> {
    let right = *right;
    db.write(move |tx| {
        Box::pin(async move {
            let row = find(tx, member).await?;
            let runs_it = person::Entity::every()
                .filter(person::Column::Id.eq(row.person_id))
                .filter(person::Column::PlatformRole.eq(person::PlatformRole::Operator))
                .one(tx)
                .await?;
            if runs_it.is_some() {
                return Err(MemberError::IsOperator);
            }
            wallet::lock(tx, [row.tenant_id]).await?;
            let why = Some(reason.as_str().to_owned());
            if !move_in(tx, &row, (Status::Active, Status::Banned), why).await? {
                return Err(MemberError::AlreadyBanned);
            }
            session::end_of_member_in(tx, member).await?;
            note(tx, right, "member.ban", &row, reason, now).await
        })
    })
    .await
}

/// Lets a banned member in again.
///
/// # Errors
/// As [`MemberError`] says.
#[tracing::instrument(name = "identity.member.unban", skip_all, fields(member.id = %member))]
pub async fn unban(
    db: &Database,
    right: &Operator,
    member: MemberId,
    reason: Reason,
    now: Timestamp,
) -> Result<(), MemberError> {
    let right = *right;
    db.write(move |tx| {
        Box::pin(async move {
            let row = find(tx, member).await?;
            if !move_in(tx, &row, (Status::Banned, Status::Active), None).await? {
                return Err(MemberError::NotBanned);
            }
            note(tx, right, "member.unban", &row, reason, now).await
        })
    })
    .await
}

async fn find(tx: &Tx, member: MemberId) -> Result<Model, MemberError> {
    Entity::across_tenants()
        .filter(Column::Id.eq(member))
        .filter(Column::Status.ne(Status::Left))
        .one(tx)
        .await?
        .ok_or(MemberError::NotFound)
}

/// Moves a member from one status to another; whether they stood where the move starts.
async fn move_in(
    tx: &Tx,
    row: &Model,
    (from, to): (Status, Status),
    reason: Option<String>,
) -> Result<bool, DbErr> {
    let moved = Entity::of_change(row.tenant_id)
        .col_expr(Column::Status, Expr::value(to))
        .col_expr(Column::StatusReason, Expr::value(reason))
        .filter(Column::Id.eq(row.id))
        .filter(Column::Status.eq(from))
        .exec(tx)
        .await?;
    Ok(moved.rows_affected == 1)
}

async fn note(
    tx: &Tx,
    right: Operator,
    action: &'static str,
    row: &Model,
    reason: Reason,
    now: Timestamp,
) -> Result<(), MemberError> {
    let line = audit_trail::Entry {
        tenant: Some(row.tenant_id),
        reason: Some(reason.as_str().to_owned()),
        ..trail::line(right.actor(), action, ("member", row.id))
    };
    Ok(audit_trail::append(tx, line, now).await?)
}
