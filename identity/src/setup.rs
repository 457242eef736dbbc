//! The first operator of a fresh installation: whoever reads the one-time link in the server's first lines.
//! There is no default account.

use crate::{
    operator::{self, CreateOperator},
    password::{Busy, Hasher, PasswordFault},
    person::SignedUp,
    right::Operator,
    token::SetupSecret,
};
use entity::{
    Database, Platform, Timestamp,
    setting::{self, Column, Entity},
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use subtle::ConstantTimeEq;

const LINK_SETTING: &str = "identity.setup_link";
const TTL: Duration = Duration::from_hours(24);

/// What the database keeps of the link.
#[derive(Serialize, Deserialize)]
struct Link {
    digest: String,
    expires_at: Timestamp,
}

/// Why the link makes no operator.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Unknown, replaced by a later start's link, or older than a day: restart the server for a new one.
    #[error("the set-up link is unknown or too old")]
    Unknown,
    /// Somebody runs the installation already: sign in.
    #[error("the installation is set up already")]
    Done,
    /// The address has an account.
    #[error("the mail address has an account")]
    EmailInUse,
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

/// A new link's secret while nobody runs the installation; earlier links end. Nothing once somebody does.
///
/// # Errors
/// When the database fails.
pub async fn open_link(db: &Database, now: Timestamp) -> Result<Option<SetupSecret>, DbErr> {
    if operator::exists(db.read()).await? {
        return Ok(None);
    }
    let secret = SetupSecret::fresh();
    let link = Link {
        digest: hex::encode(secret.digest()),
        expires_at: now.plus(TTL),
    };
    db.write(move |tx| Box::pin(async move { setting::write(tx, LINK_SETTING, &link, now).await }))
        .await?;
    Ok(Some(secret))
}

/// Whether the link may be used, for the page that it opens.
///
/// # Errors
/// [`SetupError::Unknown`], [`SetupError::Done`], or the database's.
pub async fn check(db: &Database, secret: &SetupSecret, now: Timestamp) -> Result<(), SetupError> {
    if operator::exists(db.read()).await? {
        return Err(SetupError::Done);
    }
    let link = setting::read::<Link>(db.read(), LINK_SETTING).await?;
    let is_it = |link: &Link| opens(link, secret, now);
    link.filter(is_it).map(|_| ()).ok_or(SetupError::Unknown)
}

/// Makes the first operator and ends the link. Of two who claim at once, one does.
///
/// # Errors
/// As the variants say.
#[tracing::instrument(name = "identity.setup.claim", skip_all)]
pub async fn claim(
    db: &Database,
    hasher: &Hasher,
    secret: &SetupSecret,
    order: CreateOperator,
    now: Timestamp,
) -> Result<(SignedUp, Operator), SetupError> {
    check(db, secret, now).await?;
    let account = operator::account::<SetupError>(hasher, order, now).await?;
    let digest = hex::encode(secret.digest());
    db.write(move |tx| {
        Box::pin(async move {
            let link = setting::read::<Link>(tx, LINK_SETTING).await?;
            if link.is_none_or(|link| link.digest != digest) {
                return Err(SetupError::Unknown);
            }
            let claimed = Entity::remove()
                .filter(Column::Name.eq(LINK_SETTING))
                .exec(tx)
                .await?;
            if claimed.rows_affected != 1 || operator::exists(tx).await? {
                return Err(SetupError::Done);
            }
            let made = operator::create_in(tx, account, now).await?;
            made.ok_or(SetupError::EmailInUse)
        })
    })
    .await
}

fn opens(link: &Link, secret: &SetupSecret, now: Timestamp) -> bool {
    let digest = hex::encode(secret.digest());
    link.expires_at > now && bool::from(link.digest.as_bytes().ct_eq(digest.as_bytes()))
}
