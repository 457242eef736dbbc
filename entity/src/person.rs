//! Who signs in: one mailbox, one password, any number of memberships.

use crate::{PersonId, Platform, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "person")]
pub struct Model {
    /// Which person.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PersonId,
    /// Where mail goes; lower case.
    #[sea_orm(unique)]
    pub email: String,
    /// When the mailbox was proved.
    pub email_verified_at: Option<Timestamp>,
    /// What pages call them.
    pub display_name: String,
    /// Language of mail and pages: `en` or `zh-CN`.
    pub locale: String,
    /// The hash in its scheme's own text form; none until one is set.
    pub password_hash: Option<String>,
    /// How `password_hash` was made.
    pub password_scheme: Option<PasswordScheme>,
    /// What they may do to the installation.
    pub platform_role: PlatformRole,
    /// Whether they may sign in.
    pub status: Status,
    /// Wrong passwords since the last right one.
    pub failed_sign_ins: i64,
    /// Before this moment a sign-in is refused unheard.
    pub retry_at: Option<Timestamp>,
    /// When they signed up.
    pub created_at: Timestamp,
    /// Their id in the system they were imported from.
    #[sea_orm(unique)]
    pub legacy_ref: Option<String>,
}

/// How a password is hashed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum PasswordScheme {
    /// `argon2id`
    Argon2id,
    /// `bcrypt`
    Bcrypt,
}

/// What a person may do to the installation.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum PlatformRole {
    /// `none`
    None,
    /// `support`
    Support,
    /// `operator`
    Operator,
}

/// Whether a person may sign in.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// `active`
    Active,
    /// `banned`
    Banned,
    /// `deleted`
    Deleted,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
