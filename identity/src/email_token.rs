//! Links sent by mail: they prove a mailbox or set a new password, once, within their time. The link's secret
//! is made when the mail is sent and kept as a digest only.

use crate::{
    email::EmailAddress,
    password::{Busy, Hasher, Password, PasswordFault},
    person as people, session,
    token::TokenSecret,
    trail,
};
use entity::{
    Actor, Database, EmailTokenId, PersonId, Platform, Timestamp, Tx, audit_trail,
    email_token::{ActiveModel, Column, Entity, Model, Purpose},
    outbox, person,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait,
    QueryFilter, Set,
};
use serde_json::json;
use std::time::Duration;

/// Outbox topic of the mail that proves a mailbox; its payload names the person.
pub const VERIFY_TOPIC: &str = "mail.verify";
/// Outbox topic of the mail that sets a new password; its payload names the person.
pub const RECOVER_TOPIC: &str = "mail.recover";

const VERIFY_TTL: Duration = Duration::from_hours(24);
const RECOVER_TTL: Duration = Duration::from_hours(1);
/// Mails of one purpose to one person.
const MAX_PER_HOUR: u64 = 3;
const HOUR: Duration = Duration::from_hours(1);

/// Why a mailed link does nothing.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is no such link.
    #[error("unknown link")]
    Unknown,
    /// It did its work already.
    #[error("the link was used already")]
    Used,
    /// Its time is over, or the mailbox it was sent to is no longer the account's: ask for a new one.
    #[error("the link is too old")]
    Expired,
    /// The database failed.
    #[error("database")]
    Store(#[from] DbErr),
}

/// Why no new password was set.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The link does nothing.
    #[error(transparent)]
    Link(#[from] TokenError),
    /// The password is not taken; the link stays good.
    #[error("password: {0}")]
    Password(#[from] PasswordFault),
    /// Come back in a moment; the link stays good.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The database failed.
    #[error("database")]
    Store(#[from] DbErr),
}

/// Makes the secret of a link to `person`'s mailbox, valid a day to prove it and an hour to set a password.
/// Called by the sender of the mail, so that no secret waits in the outbox.
///
/// # Errors
/// When the database fails or there is no such person.
pub async fn mint_in(
    tx: &Tx,
    person: PersonId,
    purpose: Purpose,
    now: Timestamp,
) -> Result<TokenSecret, DbErr> {
    let owner = person::Entity::every()
        .filter(person::Column::Id.eq(person))
        .one(tx)
        .await?
        .ok_or_else(|| DbErr::RecordNotFound(format!("person {person}")))?;
    let secret = TokenSecret::fresh();
    let ttl = match purpose {
        Purpose::Verify => VERIFY_TTL,
        Purpose::Recover => RECOVER_TTL,
    };
    let row = ActiveModel {
        id: Set(EmailTokenId::fresh()),
        person_id: Set(person),
        purpose: Set(purpose),
        digest: Set(secret.digest()),
        email: Set(owner.email),
        created_at: Set(now),
        expires_at: Set(now.plus(ttl)),
        used_at: Set(None),
    };
    Entity::insert(row).exec_without_returning(tx).await?;
    Ok(secret)
}

/// Proves a mailbox by the link that was sent to it. A second click on a link that did so is no fault.
///
/// # Errors
/// As [`TokenError`] says.
pub async fn verify_email(
    db: &Database,
    secret: &TokenSecret,
    now: Timestamp,
) -> Result<PersonId, TokenError> {
    let digest = secret.digest();
    db.write(move |tx| {
        Box::pin(async move {
            let (token, owner) = match usable(tx, &digest, Purpose::Verify, now).await {
                Err(TokenError::Used) => return proved_before(tx, &digest).await,
                other => other?,
            };
            use_up_in(tx, &token, now).await?;
            prove_mailbox_in(tx, &owner, now).await?;
            let line = trail::line(Actor::System, "person.verify", ("person", owner.id));
            audit_trail::append(tx, line, now).await?;
            Ok(owner.id)
        })
    })
    .await
}

/// Sends the link that proves a mailbox once more. Does nothing, and says as little, where there is nobody to
/// send it to or enough was sent.
///
/// # Errors
/// When the database fails.
pub async fn resend_verification(
    db: &Database,
    email: &EmailAddress,
    now: Timestamp,
) -> Result<(), DbErr> {
    request(db, email, Purpose::Verify, now).await
}

/// Sends the link that sets a new password. Does nothing, and says as little, where there is nobody to send it
/// to or enough was sent.
///
/// # Errors
/// When the database fails.
pub async fn start_recovery(
    db: &Database,
    email: &EmailAddress,
    now: Timestamp,
) -> Result<(), DbErr> {
    request(db, email, Purpose::Recover, now).await
}

/// Whether a link to a new password is good, for the page that asks for it.
///
/// # Errors
/// As [`TokenError`] says.
pub async fn check_recovery(
    db: &Database,
    secret: &TokenSecret,
    now: Timestamp,
) -> Result<(), TokenError> {
    usable(db.read(), &secret.digest(), Purpose::Recover, now).await?;
    Ok(())
}

/// Sets a new password by the link that was sent, proves the mailbox by the way, and ends every session.
///
/// # Errors
/// As the variants say.
#[tracing::instrument(name = "identity.recover", skip_all)]
pub async fn recover(
    db: &Database,
    hasher: &Hasher,
    secret: &TokenSecret,
    password: Password,
    now: Timestamp,
) -> Result<PersonId, RecoverError> {
    let digest = secret.digest();
    let (_, owner) = usable(db.read(), &digest, Purpose::Recover, now).await?;
    let email = EmailAddress::parse(&owner.email).map_err(|_| TokenError::Expired)?;
    password.differs_from(&email, &owner.display_name)?;
    let hash = hasher.hash(password).await?;
    db.write(move |tx| {
        Box::pin(async move {
            let (token, owner) = usable(tx, &digest, Purpose::Recover, now).await?;
            use_up_in(tx, &token, now).await?;
            people::forget_failures_in(tx, owner.id, Some(hash)).await?;
            prove_mailbox_in(tx, &owner, now).await?;
            session::end_all_in(tx, owner.id).await?;
            let line = trail::line(Actor::System, "person.recover", ("person", owner.id));
            audit_trail::append(tx, line, now).await?;
            Ok(owner.id)
        })
    })
    .await
}

async fn request(
    db: &Database,
    email: &EmailAddress,
    purpose: Purpose,
    now: Timestamp,
) -> Result<(), DbErr> {
    let email = email.clone();
    db.write(move |tx| {
        Box::pin(async move {
            let Some(owner) = people::of_email(tx, &email).await? else {
                return Ok(());
            };
            if purpose == Purpose::Verify && owner.email_verified_at.is_some() {
                return Ok(());
            }
            send_in(tx, &owner, purpose, now).await
        })
    })
    .await
}

/// Puts the mail into the outbox, unless enough were sent or one still waits there.
pub(crate) async fn send_in(
    tx: &Tx,
    owner: &person::Model,
    purpose: Purpose,
    now: Timestamp,
) -> Result<(), DbErr> {
    if owner.status != person::Status::Active {
        return Ok(());
    }
    let topic = match purpose {
        Purpose::Verify => VERIFY_TOPIC,
        Purpose::Recover => RECOVER_TOPIC,
    };
    let payload = json!({ "person": owner.id });
    let sent = Entity::every()
        .filter(Column::PersonId.eq(owner.id))
        .filter(Column::Purpose.eq(purpose))
        .filter(Column::CreatedAt.gt(now.minus(HOUR)))
        .count(tx)
        .await?;
    let waiting = outbox::Entity::every()
        .filter(outbox::Column::Status.eq(outbox::Status::Pending))
        .filter(outbox::Column::Topic.eq(topic))
        .filter(outbox::Column::Payload.eq(payload.to_string()))
        .count(tx)
        .await?;
    if sent < MAX_PER_HOUR && waiting == 0 {
        outbox::put(tx, topic, &payload, now).await?;
    }
    Ok(())
}

/// The link and its owner, if it may be used now.
async fn usable(
    db: &impl ConnectionTrait,
    digest: &[u8],
    purpose: Purpose,
    now: Timestamp,
) -> Result<(Model, person::Model), TokenError> {
    let (token, owner) = find(db, digest).await?.ok_or(TokenError::Unknown)?;
    if token.purpose != purpose || owner.status != person::Status::Active {
        return Err(TokenError::Unknown);
    }
    if token.used_at.is_some() {
        return Err(TokenError::Used);
    }
    if token.expires_at <= now || token.email != owner.email {
        return Err(TokenError::Expired);
    }
    Ok((token, owner))
}

async fn proved_before(tx: &Tx, digest: &[u8]) -> Result<PersonId, TokenError> {
    match find(tx, digest).await? {
        Some((token, owner)) if owner.email_verified_at.is_some() && token.email == owner.email => {
            Ok(owner.id)
        }
        _ => Err(TokenError::Used),
    }
}

async fn find(
    db: &impl ConnectionTrait,
    digest: &[u8],
) -> Result<Option<(Model, person::Model)>, DbErr> {
    let Some(token) = Entity::every()
        .filter(Column::Digest.eq(digest))
        .one(db)
        .await?
    else {
        return Ok(None);
    };
    let owner = person::Entity::every()
        .filter(person::Column::Id.eq(token.person_id))
        .one(db)
        .await?;
    Ok(owner.map(|owner| (token, owner)))
}

/// Claims the link: of two who use it at once, one does. Every other open link of its purpose ends with it.
async fn use_up_in(tx: &Tx, token: &Model, now: Timestamp) -> Result<(), TokenError> {
    let claimed = Entity::change()
        .col_expr(Column::UsedAt, now.micros().into())
        .filter(Column::Id.eq(token.id))
        .filter(Column::UsedAt.is_null())
        .exec(tx)
        .await?;
    if claimed.rows_affected != 1 {
        return Err(TokenError::Used);
    }
    Entity::change()
        .col_expr(Column::UsedAt, now.micros().into())
        .filter(Column::PersonId.eq(token.person_id))
        .filter(Column::Purpose.eq(token.purpose))
        .filter(Column::UsedAt.is_null())
        .exec(tx)
        .await?;
    Ok(())
}

async fn prove_mailbox_in(tx: &Tx, owner: &person::Model, now: Timestamp) -> Result<(), DbErr> {
    if owner.email_verified_at.is_some() {
        return Ok(());
    }
    person::ActiveModel {
        id: Set(owner.id),
        email_verified_at: Set(Some(now)),
        ..Default::default()
    }
    .update(tx)
    .await?;
    Ok(())
}
