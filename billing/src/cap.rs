//! Limits that a tenant, a member, a key or a credit line has of its own, beside those of plans. They bind in the
//! transaction of the hold, but for those of a minute, which every process of the gateway counts by itself.

use crate::{
    bulk,
    subscription::{self, Counter, WindowStand},
};
pub use billing_core::cap::{Cap, LONGEST_HOURS, Limit};
use entity::{
    Actor, Database, KeyId, MemberId, RuleId, Scoped, TenantId, Timestamp, Tx, WalletId,
    audit_trail,
    cap::{Bearer, Column, Entity, Model},
    key, member, wallet,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, QueryFilter, QueryOrder};
use uuid::Uuid;

/// Limits that one bearer may have.
const CAPS_MAX: usize = 16;

/// Whose limits are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// All calls of the tenant.
    Tenant,
    /// A member's.
    Member(MemberId),
    /// A key's.
    Key(KeyId),
    /// What may become debt; a quota of credits only.
    CreditLine(WalletId),
}

/// Limits to set.
#[derive(Clone, Debug)]
pub struct SetCaps {
    /// In which tenant.
    pub tenant: TenantId,
    /// Whose.
    pub whose: Whose,
    /// All of them; what is not in here is lifted.
    pub limits: Vec<Limit>,
    /// Who decides.
    pub actor: Actor,
    /// Why, where an operator does.
    pub reason: Option<String>,
}

/// Why limits are not set. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum CapError {
    /// A limit of nothing or past every balance, a window of no length, or two limits of one kind.
    #[error("a limit is out of range or said twice")]
    OutOfRange,
    /// More limits than are read at every call.
    #[error("more than {CAPS_MAX} limits")]
    TooMany,
    /// The tenant has no such member or key.
    #[error("no such bearer")]
    NoSuchBearer,
    /// The database failed.
    #[error("the store failed")]
    Store(#[from] DbErr),
}

impl Whose {
    fn bearer(self, tenant: TenantId) -> (Bearer, Uuid) {
        match self {
            Self::Tenant => (Bearer::Tenant, tenant.uuid()),
            Self::Member(member) => (Bearer::Member, member.uuid()),
            Self::Key(key) => (Bearer::Key, key.uuid()),
            Self::CreditLine(wallet) => (Bearer::CreditLine, wallet.uuid()),
        }
    }

    async fn is_there(self, tx: &impl ConnectionTrait, tenant: TenantId) -> Result<bool, DbErr> {
        Ok(match self {
            Self::Tenant => true,
            Self::Member(id) => member::Entity::of(tenant)
                .filter(member::Column::Id.eq(id))
                .one(tx)
                .await?
                .is_some(),
            Self::Key(id) => key::Entity::of(tenant)
                .filter(key::Column::Id.eq(id))
                .one(tx)
                .await?
                .is_some(),
            Self::CreditLine(id) => wallet::Entity::of(tenant)
                .filter(wallet::Column::Id.eq(id))
                .one(tx)
                .await?
                .is_some(),
        })
    }
}

/// The limits of one bearer, in the order they were set.
///
/// # Errors
/// When the database does not answer, or a row does not read.
pub async fn list(db: &Database, tenant: TenantId, whose: Whose) -> Result<Vec<Cap>, DbErr> {
    let (_, subject) = whose.bearer(tenant);
    let rows = Entity::of(tenant)
        .filter(Column::SubjectId.eq(subject))
        .order_by_asc(Column::Id)
        .all(db.read())
        .await?;
    rows.iter().map(Cap::of).collect()
}

/// The limits of one bearer in the order they were set, and how far the windows of its quotas are used.
///
/// # Errors
/// When the database does not answer, or a row does not read.
pub async fn stands(
    db: &Database,
    tenant: TenantId,
    whose: Whose,
    now: Timestamp,
) -> Result<Vec<(Limit, Option<WindowStand>)>, DbErr> {
    let caps = list(db, tenant, whose).await?;
    if caps.is_empty() {
        return Ok(Vec::new());
    }
    let zone = subscription::zone(db, tenant).await?;
    let mut found = Vec::with_capacity(caps.len());
    for cap in caps {
        let Limit::Quota { window, most, .. } = cap.limit else {
            found.push((cap.limit, None));
            continue;
        };
        let counter = Counter {
            tenant,
            subject: cap.subject,
            rule: cap.id,
        };
        let (used, resets_at) = counter.read(db, window, most, zone, now).await?;
        let stand = WindowStand {
            name: window.to_string(),
            window,
            limit: most,
            used,
            resets_at,
        };
        found.push((cap.limit, Some(stand)));
    }
    Ok(found)
}

/// Sets all limits of one bearer; they bind at the next hold. One that was there and only changes its amount counts on
/// where it stood.
///
/// # Errors
/// [`CapError`].
pub async fn set(db: &Database, order: SetCaps, now: Timestamp) -> Result<(), CapError> {
    db.write(move |tx| Box::pin(async move { set_in(tx, &order, now).await }))
        .await
}

/// As [`set`], in the transaction of what causes it.
///
/// # Errors
/// [`CapError`]; the caller must then roll back.
pub async fn set_in(tx: &Tx, order: &SetCaps, now: Timestamp) -> Result<(), CapError> {
    if order.limits.len() > CAPS_MAX {
        return Err(CapError::TooMany);
    }
    if !order.limits.iter().all(Limit::is_in_range) {
        return Err(CapError::OutOfRange);
    }
    if !order.whose.is_there(tx, order.tenant).await? {
        return Err(CapError::NoSuchBearer);
    }
    let (bearer, subject_id) = order.whose.bearer(order.tenant);
    let before = Entity::of(order.tenant)
        .filter(Column::SubjectId.eq(subject_id))
        .all(tx)
        .await?;
    let mut rows: Vec<Model> = Vec::with_capacity(order.limits.len());
    for limit in &order.limits {
        let (window, models) = limit.scope();
        let same = |row: &&Model| {
            (row.meter, &row.window, &row.models) == (limit.meter(), &window, &models)
        };
        if rows.iter().any(|row| same(&row)) {
            return Err(CapError::OutOfRange);
        }
        let known = before.iter().find(same);
        rows.push(Model {
            id: known.map_or_else(RuleId::fresh, |row| row.id),
            created_at: known.map_or(now, |row| row.created_at),
            tenant_id: order.tenant,
            bearer,
            subject_id,
            meter: limit.meter(),
            most: limit.most().ok_or(CapError::OutOfRange)?,
            window,
            models,
        });
    }
    Entity::of_remove(order.tenant)
        .filter(Column::SubjectId.eq(subject_id))
        .filter(Column::Id.is_not_in(rows.iter().map(|row| row.id)))
        .exec(tx)
        .await?;
    let limits: Vec<_> = rows
        .iter()
        .map(|row| {
            serde_json::json!({
                "meter": row.meter, "window": row.window, "models": row.models, "most": row.most,
            })
        })
        .collect();
    bulk::replace::<Entity>(tx, rows).await?;
    let entry = audit_trail::Entry {
        actor: order.actor.clone(),
        action: "cap.set",
        subject: (word(bearer), subject_id.to_string()),
        tenant: Some(order.tenant),
        reason: order.reason.clone(),
        detail: Some(serde_json::json!({ "limits": limits })),
    };
    audit_trail::append(tx, entry, now).await?;
    Ok(())
}

fn word(bearer: Bearer) -> &'static str {
    match bearer {
        Bearer::Tenant => "tenant",
        Bearer::Member => "member",
        Bearer::Key => "key",
        Bearer::CreditLine => "wallet",
    }
}
