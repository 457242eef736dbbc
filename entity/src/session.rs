//! One signed-in browser. The cookie's secret is held as a digest only.

use crate::{MemberId, PersonId, Platform, SessionId, Timestamp};
use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "session")]
pub struct Model {
    /// Which session.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SessionId,
    /// SHA-256 of the cookie's secret.
    #[sea_orm(unique)]
    pub digest: Vec<u8>,
    /// Who signed in.
    pub person_id: PersonId,
    /// The membership their pages show.
    pub member_id: MemberId,
    /// Where they signed in from.
    pub address: Option<String>,
    /// With which browser, cut.
    pub user_agent: Option<String>,
    /// When they signed in.
    pub created_at: Timestamp,
    /// When a page was last shown, coarse.
    pub seen_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
