//! Which call an `Idempotency-Key` of an API key stands for: the same request, sent again, is told of that call and makes
//! none of its own.

use crate::{HoldId, KeyId, Scoped, TenantId, Timestamp};
use sea_orm::entity::prelude::*;

/// One row. There is one of a `key_id` and `digest` at most; that is the claim.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "call_claim")]
pub struct Model {
    /// The call that has the claim now. Its hold and its usage, which bear the same id, say what became of it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: HoldId,
    /// Whose.
    pub tenant_id: TenantId,
    /// Which API key's.
    pub key_id: KeyId,
    /// SHA-256 of the header's text, made with the API key's id.
    pub digest: Vec<u8>,
    /// SHA-256 of what was asked: endpoint and body.
    pub request: Vec<u8>,
    /// When the call claimed it.
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
