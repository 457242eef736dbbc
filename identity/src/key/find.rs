//! From a key's digest to whose it is, for the gate.

use crate::right::may_pay;

use super::{
    digest::{KeyDigest, Keys},
    inspect::WellFormed,
};
use entity::{
    Database, Scoped,
    key::{self, Column, Entity},
    member, tenant,
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter};
use subtle::ConstantTimeEq;

/// Who calls with a key. Whether key, member and tenant may call now, the caller of this decides: each row says
/// its own status, and a hold reads them again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerRow {
    /// The key.
    pub key: key::Model,
    /// Who holds it.
    pub member: member::Model,
    /// Whose credits it spends.
    pub tenant: tenant::Model,
}

impl CallerRow {
    /// Whether the key may tell what the tenant has, as its holder may see the statement.
    pub const fn may_see_wallet(&self) -> bool {
        may_pay(self.member.role)
    }
}

/// Who calls with this key, under whichever pepper it was made.
///
/// # Errors
/// When the database fails.
pub async fn find(
    db: &Database,
    keys: &Keys,
    text: &WellFormed,
) -> Result<Option<CallerRow>, DbErr> {
    for digest in keys.digests(text) {
        let caller = find_by_digest(db, &digest).await?;
        if caller.is_some() {
            return Ok(caller);
        }
    }
    Ok(None)
}

/// Who calls with the key of this digest. Revoked and disabled keys are found too, so that their callers can
/// be told.
///
/// # Errors
/// When the database fails.
pub async fn find_by_digest(db: &Database, digest: &KeyDigest) -> Result<Option<CallerRow>, DbErr> {
    // One statement and no limit in it: a digest is there once, and SQLite prepares a statement anew whenever a limit is bound.
    let found = Entity::across_tenants()
        .filter(Column::Digest.eq(digest.bytes().as_slice()))
        .find_also(Entity, member::Entity)
        .find_also(Entity, tenant::Entity)
        .all(db.read())
        .await?;
    let is_this = |key: &key::Model| {
        key.scheme == digest.scheme()
            && key.pepper_version == i64::from(digest.pepper_version())
            && bool::from(key.digest.ct_eq(digest.bytes()))
    };
    let Some((key, member, tenant)) = found.into_iter().find(|(key, ..)| is_this(key)) else {
        return Ok(None);
    };
    match (member, tenant) {
        (Some(member), Some(tenant)) if member.tenant_id == key.tenant_id => Ok(Some(CallerRow {
            key,
            member,
            tenant,
        })),
        _ => Err(DbErr::RecordNotFound(format!(
            "key.member_id or key.tenant_id of {}",
            key.id
        ))),
    }
}
