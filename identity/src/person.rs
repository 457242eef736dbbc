//! People: how an account comes to be, and how its owner changes the password.

use crate::{
    email::EmailAddress,
    email_token,
    name::{self, NameFault},
    password::{Attempt, Busy, Hasher, Password, PasswordFault, PasswordHash},
    right::SignedIn,
    session, trail,
};
use entity::{
    Actor, Database, MemberId, PersonId, Platform, TenantId, Timestamp, Tx, audit_trail,
    email_token::Purpose, member, person, tenant,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter, Set, sea_query::OnConflict,
};

/// What a stranger gives to get an account.
#[derive(Debug)]
pub struct SignUp {
    /// Where mail reaches them.
    pub email: EmailAddress,
    /// The password they will sign in with.
    pub password: Password,
    /// What pages call them.
    pub display_name: DisplayName,
    /// Language of their pages and mail.
    pub locale: Locale,
}

/// An account as it was just made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedUp {
    /// Who.
    pub person: PersonId,
    /// As which member of their tenant.
    pub member: MemberId,
    /// Their tenant.
    pub tenant: TenantId,
}

/// Why there is no new account.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    /// The address has an account. Its owner was sent a mail; the page says to the stranger what it says to
    /// everybody: look into your mailbox.
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

/// What pages call somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(String);

const MAX_NAME_CHARS: usize = 80;

impl DisplayName {
    /// Reads a name of 1 to 80 characters; spaces around it are cut.
    ///
    /// # Errors
    /// When it is empty, too long or unprintable.
    pub fn parse(text: &str) -> Result<Self, NameFault> {
        name::parse(text, MAX_NAME_CHARS).map(Self)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Languages that pages and mail are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Locale {
    /// English.
    #[default]
    English,
    /// Simplified Chinese.
    SimplifiedChinese,
}

impl Locale {
    /// The language of a BCP 47 tag; English where we have no better.
    pub fn from_tag(tag: &str) -> Self {
        let language = tag.split(['-', '_']).next().unwrap_or_default();
        if language.eq_ignore_ascii_case("zh") {
            Self::SimplifiedChinese
        } else {
            Self::English
        }
    }

    /// Its BCP 47 tag, as rows keep it.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::SimplifiedChinese => "zh-CN",
        }
    }
}

/// Makes an account: the person, a tenant of their own, their membership as its owner, and the mail that
/// proves the mailbox. They sign in once they followed its link.
///
/// # Errors
/// As the variants say. An address in use costs the same time and mails its owner instead.
#[tracing::instrument(name = "identity.sign_up", skip_all)]
pub async fn sign_up(
    db: &Database,
    hasher: &Hasher,
    order: SignUp,
    now: Timestamp,
) -> Result<SignedUp, SignUpError> {
    order
        .password
        .differs_from(&order.email, order.display_name.as_str())?;
    let account = NewAccount {
        email: order.email,
        email_verified_at: None,
        display_name: order.display_name,
        locale: order.locale,
        password: hasher.hash(order.password).await?,
        platform_role: person::PlatformRole::None,
    };
    let made = db
        .write(move |tx| Box::pin(async move { sign_up_in(tx, account, now).await }))
        .await?;
    made.ok_or(SignUpError::EmailInUse)
}

/// Nothing where the address has an account.
async fn sign_up_in(
    tx: &Tx,
    account: NewAccount,
    now: Timestamp,
) -> Result<Option<SignedUp>, SignUpError> {
    let email = account.email.clone();
    let name = account.display_name.as_str().to_owned();
    let Some(person) = insert_in(tx, account, now).await? else {
        if let Some(owner) = of_email(tx, &email).await? {
            let purpose = match owner.email_verified_at {
                Some(_) => Purpose::Recover,
                None => Purpose::Verify,
            };
            email_token::send_in(tx, &owner, purpose, now).await?;
        }
        return Ok(None);
    };
    let tenant = open_tenant_in(tx, name, tenant::Kind::Personal, now).await?;
    let member = join_in(tx, person.id, tenant, member::Role::Owner, now).await?;
    email_token::send_in(tx, &person, Purpose::Verify, now).await?;
    let line = audit_trail::Entry {
        tenant: Some(tenant),
        ..trail::line(
            Actor::Member(member),
            "person.sign_up",
            ("person", person.id),
        )
    };
    audit_trail::append(tx, line, now).await?;
    Ok(Some(SignedUp {
        person: person.id,
        member,
        tenant,
    }))
}

/// Why a password stays what it was.
#[derive(Debug, thiserror::Error)]
pub enum ChangePasswordError {
    /// The present password is another.
    #[error("the present password is wrong")]
    Wrong,
    /// The new password is not taken.
    #[error("password: {0}")]
    Password(#[from] PasswordFault),
    /// Come back in a moment.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The database failed.
    #[error("database")]
    Store(#[from] DbErr),
}

/// What a password change takes.
#[derive(Debug)]
pub struct ChangePassword {
    /// The password of now.
    pub present: Attempt,
    /// The one to have.
    pub new: Password,
}

/// Sets a new password for somebody who knows the present one, and ends their other sessions. A wrong present
/// password counts as a failed sign-in, so that a borrowed browser is no better place to guess from.
///
/// # Errors
/// As the variants say.
pub async fn change_password(
    db: &Database,
    hasher: &Hasher,
    right: &SignedIn,
    order: ChangePassword,
    now: Timestamp,
) -> Result<(), ChangePasswordError> {
    let person = person::Entity::every()
        .filter(person::Column::Id.eq(right.person))
        .one(db.read())
        .await?
        .ok_or(ChangePasswordError::Wrong)?;
    let email = EmailAddress::parse(&person.email)
        .map_err(|fault| DbErr::Type(format!("person.email of {}: {fault}", person.id)))?;
    order.new.differs_from(&email, &person.display_name)?;
    let attempt = session::Attempted {
        email,
        password: order.present,
    };
    if session::check_password::<ChangePasswordError>(db, hasher, attempt, now)
        .await?
        .is_none()
    {
        return Err(ChangePasswordError::Wrong);
    }
    let hash = hasher.hash(order.new).await?;
    let (right, actor) = (right.clone(), right.actor());
    db.write(move |tx| {
        Box::pin(async move {
            forget_failures_in(tx, right.person, Some(hash)).await?;
            session::end_others_in(tx, right.person, right.session).await?;
            let line = trail::line(actor, "person.change_password", ("person", right.person));
            audit_trail::append(tx, line, now).await?;
            Ok(())
        })
    })
    .await
}

/// What somebody may change about themselves without further proof.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What pages call them.
    pub display_name: DisplayName,
    /// Language of their pages and mail.
    pub locale: Locale,
}

/// Changes the reader's own name and language.
///
/// # Errors
/// When the database fails.
pub async fn change_profile(
    db: &Database,
    right: &SignedIn,
    profile: Profile,
    now: Timestamp,
) -> Result<(), DbErr> {
    let right = right.clone();
    db.write(move |tx| {
        Box::pin(async move {
            person::ActiveModel {
                id: Set(right.person),
                display_name: Set(profile.display_name.0),
                locale: Set(profile.locale.tag().to_owned()),
                ..Default::default()
            }
            .update(tx)
            .await?;
            let line = trail::line(
                right.actor(),
                "person.change_profile",
                ("person", right.person),
            );
            audit_trail::append(tx, line, now).await?;
            Ok(())
        })
    })
    .await
}

/// A person to be inserted.
pub(crate) struct NewAccount {
    pub(crate) email: EmailAddress,
    pub(crate) email_verified_at: Option<Timestamp>,
    pub(crate) display_name: DisplayName,
    pub(crate) locale: Locale,
    pub(crate) password: PasswordHash,
    pub(crate) platform_role: person::PlatformRole,
}

/// Inserts the person, or nothing where the address has one.
pub(crate) async fn insert_in(
    tx: &Tx,
    account: NewAccount,
    now: Timestamp,
) -> Result<Option<person::Model>, DbErr> {
    let row = person::Model {
        id: PersonId::fresh(),
        email: account.email.as_str().to_owned(),
        email_verified_at: account.email_verified_at,
        display_name: account.display_name.0,
        locale: account.locale.tag().to_owned(),
        password_hash: Some(account.password.text),
        password_scheme: Some(account.password.scheme),
        platform_role: account.platform_role,
        status: person::Status::Active,
        failed_sign_ins: 0,
        retry_at: None,
        created_at: now,
        legacy_ref: None,
    };
    let inserted = person::Entity::insert(row.clone().into_active_model().reset_all())
        .on_conflict(
            OnConflict::column(person::Column::Email)
                .do_nothing()
                .to_owned(),
        )
        .exec_without_returning(tx)
        .await?;
    Ok((inserted == 1).then_some(row))
}

/// Opens a tenant with nobody in it yet.
pub(crate) async fn open_tenant_in(
    tx: &Tx,
    name: String,
    kind: tenant::Kind,
    now: Timestamp,
) -> Result<TenantId, DbErr> {
    let id = TenantId::fresh();
    let row = tenant::ActiveModel {
        id: Set(id),
        name: Set(name),
        kind: Set(kind),
        status: Set(tenant::Status::Active),
        status_reason: Set(None),
        time_zone: Set("UTC".to_owned()),
        created_at: Set(now),
        legacy_ref: Set(None),
        multiplier_ppm: Set(tenant::LIST_PPM),
    };
    tenant::Entity::insert(row)
        .exec_without_returning(tx)
        .await?;
    Ok(id)
}

/// Makes a person a member of a tenant they are not in yet.
pub(crate) async fn join_in(
    tx: &Tx,
    person: PersonId,
    tenant: TenantId,
    role: member::Role,
    now: Timestamp,
) -> Result<MemberId, DbErr> {
    let id = MemberId::fresh();
    let row = member::ActiveModel {
        id: Set(id),
        tenant_id: Set(tenant),
        person_id: Set(person),
        role: Set(role),
        status: Set(member::Status::Active),
        status_reason: Set(None),
        created_at: Set(now),
        legacy_ref: Set(None),
    };
    member::Entity::insert(row)
        .exec_without_returning(tx)
        .await?;
    Ok(id)
}

pub(crate) async fn of_email(
    db: &impl ConnectionTrait,
    email: &EmailAddress,
) -> Result<Option<person::Model>, DbErr> {
    person::Entity::every()
        .filter(person::Column::Email.eq(email.as_str()))
        .one(db)
        .await
}

/// Forgets failed sign-ins, and sets a new hash where there is one.
pub(crate) async fn forget_failures_in(
    tx: &Tx,
    person: PersonId,
    anew: Option<PasswordHash>,
) -> Result<(), DbErr> {
    let mut row = person::ActiveModel {
        id: Set(person),
        failed_sign_ins: Set(0),
        retry_at: Set(None),
        ..Default::default()
    };
    if let Some(hash) = anew {
        row.password_hash = Set(Some(hash.text));
        row.password_scheme = Set(Some(hash.scheme));
    }
    row.update(tx).await?;
    Ok(())
}

pub(crate) fn stored_password(person: &person::Model) -> Option<PasswordHash> {
    Some(PasswordHash {
        scheme: person.password_scheme?,
        text: person.password_hash.clone()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let long = "x".repeat(81);
        for (typed, fault) in [
            (" Ada ", None),
            ("阿达", None),
            ("", Some(NameFault::Empty)),
            ("a\nb", Some(NameFault::Unprintable)),
            ("a\u{202e}b", Some(NameFault::Unprintable)),
            ("\u{200b}", Some(NameFault::Unprintable)),
            ("\u{0645}\u{06cc}\u{200c}\u{062e}", None),
            (&long, Some(NameFault::TooLong)),
        ] {
            assert_eq!(DisplayName::parse(typed).err(), fault, "{typed}");
        }
    }

    #[test]
    fn languages_are_told_by_their_tag() {
        for (tag, locale) in [
            ("en", "en"),
            ("zh-CN", "zh-CN"),
            ("ZH_Hans", "zh-CN"),
            ("fr", "en"),
            ("", "en"),
        ] {
            assert_eq!(Locale::from_tag(tag).tag(), locale, "{tag}");
        }
    }
}
