//! People who run the installation. They share the house tenant, so that they can hold keys as well.

use crate::{
    email::EmailAddress,
    password::{Busy, Hasher, Password, PasswordFault},
    person::{self as people, DisplayName, Locale, NewAccount, SignedUp},
    right::Operator,
    trail,
};
use entity::{
    Actor, Database, Platform, Timestamp, Tx, audit_trail, member,
    person::{Column, Entity, PlatformRole, Status},
    tenant,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, QueryFilter, QuerySelect};

/// What the house tenant is called until its operators rename it.
const HOUSE_NAME: &str = "House";

/// Who shall run the installation.
#[derive(Debug)]
pub struct CreateOperator {
    /// Their mail address; taken as proved, for whoever asks for this holds the installation already.
    pub email: EmailAddress,
    /// The password they will sign in with.
    pub password: Password,
    /// What pages call them.
    pub display_name: DisplayName,
    /// Language of their pages and mail.
    pub locale: Locale,
}

/// Why there is no new operator.
#[derive(Debug, thiserror::Error)]
pub enum CreateOperatorError {
    /// The address has an account.
    #[error("the mail address has an account")]
    EmailInUse,
    /// The password is not taken.
    #[error("password: {0}")]
    Password(#[from] PasswordFault),
    /// Come back in a moment.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The database failed.
    #[error("database")]
    Store(#[from] DbErr),
}

/// Makes an operator, from the command line of the machine that holds the database.
///
/// # Errors
/// As the variants say.
#[tracing::instrument(name = "identity.operator.create", skip_all)]
pub async fn create(
    db: &Database,
    hasher: &Hasher,
    order: CreateOperator,
    now: Timestamp,
) -> Result<(SignedUp, Operator), CreateOperatorError> {
    let account = account::<CreateOperatorError>(hasher, order, now).await?;
    db.write(move |tx| {
        Box::pin(async move {
            let made = create_in(tx, account, now).await?;
            made.ok_or(CreateOperatorError::EmailInUse)
        })
    })
    .await
}

/// Whether anybody runs the installation yet.
///
/// # Errors
/// When the database fails.
pub async fn exists(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let operator = Entity::every()
        .filter(Column::PlatformRole.eq(PlatformRole::Operator))
        .filter(Column::Status.eq(Status::Active))
        .one(db)
        .await?;
    Ok(operator.is_some())
}

/// The row of an operator, with the password checked and hashed.
pub(crate) async fn account<E>(
    hasher: &Hasher,
    order: CreateOperator,
    now: Timestamp,
) -> Result<NewAccount, E>
where
    E: From<PasswordFault> + From<Busy>,
{
    order
        .password
        .differs_from(&order.email, order.display_name.as_str())?;
    Ok(NewAccount {
        email: order.email,
        email_verified_at: Some(now),
        display_name: order.display_name,
        locale: order.locale,
        password: hasher.hash(order.password).await?,
        platform_role: PlatformRole::Operator,
    })
}

/// The operator in the house tenant; nothing where the address has an account.
pub(crate) async fn create_in(
    tx: &Tx,
    account: NewAccount,
    now: Timestamp,
) -> Result<Option<(SignedUp, Operator)>, DbErr> {
    let Some(person) = people::insert_in(tx, account, now).await? else {
        return Ok(None);
    };
    let house = tenant::Entity::every()
        .filter(tenant::Column::Kind.eq(tenant::Kind::House))
        .lock_exclusive()
        .one(tx)
        .await?;
    let (tenant, role) = if let Some(house) = house {
        (house.id, member::Role::Admin)
    } else {
        let name = HOUSE_NAME.to_owned();
        let house = people::open_tenant_in(tx, name, tenant::Kind::House, now).await?;
        (house, member::Role::Owner)
    };
    let member = people::join_in(tx, person.id, tenant, role, now).await?;
    let line = audit_trail::Entry {
        tenant: Some(tenant),
        ..trail::line(Actor::System, "operator.create", ("person", person.id))
    };
    audit_trail::append(tx, line, now).await?;
    let made = SignedUp {
        person: person.id,
        member,
        tenant,
    };
    Ok(Some((made, Operator { person: person.id })))
}
