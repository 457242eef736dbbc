//! A tenant's wallet: opened by its first grant or hold, locked by everything that changes it.

use crate::{
    cap::{self, CapError, Limit, SetCaps, Whose},
    plan::Window,
};
use entity::{
    Actor, Credits, Database, Scoped, TenantId, Timestamp, WalletId, audit_trail,
    wallet::{self, Status},
};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, Set,
    sea_query::OnConflict,
};

/// The tenant's wallet, if it was opened.
///
/// # Errors
/// When the database does not answer.
pub async fn wallet_of(db: &Database, tenant: TenantId) -> Result<Option<wallet::Model>, DbErr> {
    wallet::Entity::of(tenant).one(db.read()).await
}

/// Opens the wallets of tenants that have none.
pub(crate) async fn open_in(
    tx: &impl ConnectionTrait,
    tenants: impl IntoIterator<Item = TenantId>,
    now: Timestamp,
) -> Result<(), DbErr> {
    let rows = tenants
        .into_iter()
        .map(|tenant_id| fresh(tenant_id, now).into_active_model().reset_all());
    wallet::Entity::insert_many(rows)
        .on_conflict(
            OnConflict::column(wallet::Column::TenantId)
                .do_nothing()
                .to_owned(),
        )
        .exec_without_returning(tx)
        .await?;
    Ok(())
}

/// The tenant's wallet under its lock, opened if need be.
pub(super) async fn locked_in(
    tx: &impl ConnectionTrait,
    tenant: TenantId,
    now: Timestamp,
) -> Result<wallet::Model, DbErr> {
    if let Some(row) = wallet::lock(tx, [tenant]).await?.pop() {
        return Ok(row);
    }
    open_in(tx, [tenant], now).await?;
    let row = wallet::lock(tx, [tenant]).await?.pop();
    row.ok_or_else(|| DbErr::RecordNotFound(format!("wallet of tenant {tenant}")))
}

fn fresh(tenant_id: TenantId, now: Timestamp) -> wallet::Model {
    wallet::Model {
        id: WalletId::fresh(),
        tenant_id,
        posted: Credits::ZERO,
        held: Credits::ZERO,
        debt: Credits::ZERO,
        debt_held: Credits::ZERO,
        open_holds: 0,
        credit_line: Credits::ZERO,
        max_open_holds: None,
        status: Status::Active,
        seq: 0,
        created_at: now,
        updated_at: now,
    }
}

/// How far a wallet may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How far holds may go beyond the credits that are there.
    pub credit_line: Credits,
    /// How much of it a calendar month may use; none leaves it to the line itself.
    pub credit_line_monthly: Option<Credits>,
    /// How many calls may run at once; none leaves it to the plans.
    pub max_open_holds: Option<u32>,
    /// What else binds all calls of the tenant.
    pub own: Vec<Limit>,
}

/// Why limits are not set.
#[derive(Debug, thiserror::Error)]
pub enum LimitsError {
    /// A monthly limit of nothing or past every balance, or a credit line below zero or past every balance, or no call at all: freeze the wallet instead.
    #[error("a limit is out of range")]
    OutOfRange,
    /// The database failed.
    #[error("the store failed")]
    Store(#[from] DbErr),
}

impl From<CapError> for LimitsError {
    fn from(error: CapError) -> Self {
        match error {
            CapError::OutOfRange | CapError::TooMany | CapError::NoSuchBearer => Self::OutOfRange,
            CapError::Store(fault) => Self::Store(fault),
        }
    }
}

/// Sets how far a wallet may go; binds at the next hold, and is in the audit trail.
///
/// # Errors
/// [`LimitsError`].
pub async fn set_limits(
    db: &Database,
    tenant: TenantId,
    limits: Limits,
    actor: Actor,
    reason: String,
    now: Timestamp,
) -> Result<(), LimitsError> {
    let line = limits.credit_line;
    if line.is_negative() || line > Credits::MAX || limits.max_open_holds == Some(0) {
        return Err(LimitsError::OutOfRange);
    }
    db.write(move |tx| {
        Box::pin(async move {
            let row = locked_in(tx, tenant, now).await?;
            let mut change = moved(&row, now);
            change.credit_line = Set(line);
            change.max_open_holds = Set(limits.max_open_holds.map(i64::from));
            change.update(tx).await?;
            let detail = serde_json::json!({
                "credit_line": line, "max_open_holds": limits.max_open_holds,
            });
            let monthly = SetCaps {
                tenant,
                whose: Whose::CreditLine(row.id),
                limits: limits
                    .credit_line_monthly
                    .map(|most| Limit::credits(Window::Month, most))
                    .into_iter()
                    .collect(),
                actor: actor.clone(),
                reason: Some(reason.clone()),
            };
            let own = SetCaps {
                whose: Whose::Tenant,
                limits: limits.own,
                ..monthly.clone()
            };
            trail(tx, "wallet.limit", &row, actor, reason, detail, now).await?;
            cap::set_in(tx, &monthly, now).await?;
            cap::set_in(tx, &own, now).await?;
            Ok(())
        })
    })
    .await
}

/// Freezes, closes or opens a wallet again; binds at the next hold, and is in the audit trail.
///
/// # Errors
/// When the database does not answer.
pub async fn set_status(
    db: &Database,
    tenant: TenantId,
    status: Status,
    actor: Actor,
    reason: String,
    now: Timestamp,
) -> Result<(), DbErr> {
    db.write(move |tx| {
        Box::pin(async move {
            let row = locked_in(tx, tenant, now).await?;
            let mut change = moved(&row, now);
            change.status = Set(status);
            change.update(tx).await?;
            let detail = serde_json::json!({ "from": row.status, "to": status });
            trail(tx, "wallet.status", &row, actor, reason, detail, now).await
        })
    })
    .await
}

/// A change of a locked row: its `seq` moves with it.
fn moved(row: &wallet::Model, now: Timestamp) -> wallet::ActiveModel {
    wallet::ActiveModel {
        seq: Set(row.seq.saturating_add(1)),
        updated_at: Set(now),
        ..row.clone().into_active_model()
    }
}

async fn trail(
    tx: &impl ConnectionTrait,
    action: &'static str,
    row: &wallet::Model,
    actor: Actor,
    reason: String,
    detail: serde_json::Value,
    now: Timestamp,
) -> Result<(), DbErr> {
    let entry = audit_trail::Entry {
        actor,
        action,
        subject: ("wallet", row.id.to_string()),
        tenant: Some(row.tenant_id),
        reason: Some(reason),
        detail: Some(detail),
    };
    audit_trail::append(tx, entry, now).await
}
