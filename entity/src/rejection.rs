//! A refused call of a known key, kept so that its owner can see why and how to mend it.

use crate::{KeyId, MemberId, Protocol, RejectionId, Scoped, TenantId, Timestamp};
use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rejection")]
pub struct Model {
    /// Which refusal.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RejectionId,
    /// Whose.
    pub tenant_id: TenantId,
    /// Which member's.
    pub member_id: MemberId,
    /// Which key's.
    pub key_id: KeyId,
    /// The stable code.
    pub code: String,
    /// The HTTP status.
    pub http_status: i64,
    /// What the caller was told.
    pub message: String,
    /// In which protocol.
    pub protocol: Option<Protocol>,
    /// By which client.
    pub client_kind: String,
    /// The model asked for.
    pub model_name: Option<String>,
    /// How many equal calls in a row this row stands for.
    pub calls: i64,
    /// When.
    pub created_at: Timestamp,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Scoped for Entity {
    fn tenant_column() -> Column {
        Column::TenantId
    }
}
