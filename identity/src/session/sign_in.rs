//! Signing in: the one way to a session.

use super::{Lifetime, password_check};
use crate::{
    email::EmailAddress,
    password::{Attempt, Busy, Hasher},
    right::SignedIn,
    token::SessionToken,
    trail,
};
use entity::{
    Database, Platform, Scoped, SessionId, Timestamp, Tx, audit_trail, member, person,
    session::{ActiveModel, Column, Entity},
    tenant,
};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, Set};
use serde_json::json;
use std::net::IpAddr;

/// Sessions of one person; the one longest unseen ends for a new one.
const MAX_SESSIONS: u64 = 20;
const MAX_USER_AGENT_CHARS: usize = 200;

/// What signing in takes.
#[derive(Debug)]
pub struct SignIn {
    /// Who.
    pub email: EmailAddress,
    /// What they typed.
    pub password: Attempt,
    /// Where from, for their list of sessions.
    pub address: Option<IpAddr>,
    /// With what, for their list of sessions.
    pub user_agent: Option<String>,
    /// The session this browser had before, which ends.
    pub replaces: Option<SessionToken>,
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Wrong address or password, or too many tries; which of them, a stranger is not told.
    #[error("wrong mail address or password, or too many tries")]
    Refused,
    /// The password is right, the mailbox not yet proved: offer to send the link again.
    #[error("the mail address is not proved yet")]
    Unverified,
    /// The password is right, and an operator banned the account wherever it is a member.
    #[error("the account is banned")]
    Banned,
    /// Come back in a moment.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The database failed.
    #[error("database")]
    Store(#[from] DbErr),
}

/// Signs somebody in, in the tenant they joined first, under a secret that never was before.
///
/// # Errors
/// As the variants say.
#[tracing::instrument(name = "identity.sign_in", skip_all)]
pub async fn sign_in(
    db: &Database,
    hasher: &Hasher,
    order: SignIn,
    now: Timestamp,
) -> Result<(SessionToken, SignedIn), SignInError> {
    let attempt = password_check::Attempted {
        email: order.email,
        password: order.password,
    };
    let person = password_check::check_password::<SignInError>(db, hasher, attempt, now)
        .await?
        .ok_or(SignInError::Refused)?;
    if person.status == person::Status::Banned {
        return Err(SignInError::Banned);
    }
    if person.email_verified_at.is_none() {
        return Err(SignInError::Unverified);
    }
    let browser = Browser {
        address: order.address.map(|address| address.to_string()),
        user_agent: order
            .user_agent
            .map(|text| text.chars().take(MAX_USER_AGENT_CHARS).collect()),
        replaces: order.replaces.map(|token| token.digest()),
    };
    db.write(move |tx| Box::pin(async move { open_in(tx, person, browser, now).await }))
        .await
}

/// What a session says about its browser.
struct Browser {
    address: Option<String>,
    user_agent: Option<String>,
    replaces: Option<Vec<u8>>,
}

async fn open_in(
    tx: &Tx,
    person: person::Model,
    browser: Browser,
    now: Timestamp,
) -> Result<(SessionToken, SignedIn), SignInError> {
    let (member, tenant) = home_of(tx, &person).await?.ok_or(SignInError::Banned)?;
    if let Some(digest) = browser.replaces {
        Entity::remove()
            .filter(Column::Digest.eq(digest))
            .exec(tx)
            .await?;
    }
    make_room_in(tx, &person, now).await?;
    let token = SessionToken::fresh();
    let right = SignedIn::new(SessionId::fresh(), person, &member, tenant);
    let row = ActiveModel {
        id: Set(right.session),
        digest: Set(token.digest()),
        person_id: Set(right.person),
        member_id: Set(right.member),
        address: Set(browser.address.clone()),
        user_agent: Set(browser.user_agent),
        created_at: Set(now),
        seen_at: Set(now),
        expires_at: Set(now.plus(Lifetime::of(right.platform_role).absolute)),
    };
    Entity::insert(row).exec_without_returning(tx).await?;
    let line = audit_trail::Entry {
        tenant: Some(right.tenant),
        detail: Some(json!({ "address": browser.address })),
        ..trail::line(right.actor(), "session.sign_in", ("session", right.session))
    };
    audit_trail::append(tx, line, now).await?;
    Ok((token, right))
}

/// The membership that pages show first: the oldest that is neither banned nor left, in an open tenant.
async fn home_of(
    tx: &Tx,
    person: &person::Model,
) -> Result<Option<(member::Model, tenant::Model)>, DbErr> {
    let memberships = member::Entity::across_tenants()
        .filter(member::Column::PersonId.eq(person.id))
        .filter(member::Column::Status.eq(member::Status::Active))
        .order_by(member::Column::Id, Order::Asc)
        .all(tx)
        .await?;
    for membership in memberships {
        let open = tenant::Entity::every()
            .filter(tenant::Column::Id.eq(membership.tenant_id))
            .filter(tenant::Column::Status.ne(tenant::Status::Closed))
            .one(tx)
            .await?;
        if let Some(tenant) = open {
            return Ok(Some((membership, tenant)));
        }
    }
    Ok(None)
}

/// Ends what is over, and of the rest the longest unseen beyond what a person may have.
async fn make_room_in(tx: &Tx, person: &person::Model, now: Timestamp) -> Result<(), DbErr> {
    Entity::remove()
        .filter(Column::PersonId.eq(person.id))
        .filter(Column::ExpiresAt.lte(now))
        .exec(tx)
        .await?;
    let surplus = Entity::every()
        .filter(Column::PersonId.eq(person.id))
        .order_by(Column::SeenAt, Order::Desc)
        .order_by(Column::Id, Order::Desc)
        .offset(MAX_SESSIONS - 1)
        .limit(MAX_SESSIONS)
        .all(tx)
        .await?;
    for session in surplus {
        Entity::remove()
            .filter(Column::Id.eq(session.id))
            .exec(tx)
            .await?;
    }
    Ok(())
}
