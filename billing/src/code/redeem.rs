//! One use of a code by a tenant: claimed, counted and granted in one transaction.

use std::time::Duration;

use entity::code_batch::{Kind, Status};
use entity::{
    Actor, CodeId, Credits, Database, GrantId, MemberId, Platform, RedemptionId, Scoped,
    SubscriptionId, TenantId, Timestamp, Tx, code, code_batch, grant, member, person, redemption,
    subscription as subscription_table, tenant,
};
use sea_orm::sea_query::{Expr, ExprTrait, LockType, OnConflict};
use sea_orm::{
    ColumnTrait, Condition, DbErr, EntityTrait, JoinType, PaginatorTrait, QueryFilter, QuerySelect,
    Set,
};

use super::form::{CodeKeys, RedemptionCode};
use crate::ledger::{self, GrantError, GrantOrder};
use crate::subscription::{self, Subscribe, SubscribeError};

/// A member asks for what a code gives.
#[derive(Clone, Debug)]
pub struct Redeem {
    /// Whose wallet gets it.
    pub tenant: TenantId,
    /// Who asks.
    pub member: MemberId,
    /// The code, as parsed from what was typed.
    pub code: RedemptionCode,
}

/// What a use gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// Credits.
    Credits {
        /// The lot they became.
        grant: GrantId,
        /// How many.
        amount: Credits,
        /// Until when they may be spent.
        expires_at: Option<Timestamp>,
    },
    /// A plan.
    Plan {
        /// The tenant's copy of it; an older one where the code made that last longer.
        subscription: SubscriptionId,
        /// Until when the tenant has it.
        ends_at: Option<Timestamp>,
    },
}

/// Why a code gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    /// No such code. The text is the same whatever was tried.
    #[error("this code is not known")]
    Unknown,
    /// The code does not work yet.
    #[error("this code works from {starts_at} on")]
    NotYet {
        /// From when.
        starts_at: Timestamp,
    },
    /// The code's time has passed.
    #[error("this code was valid until {ended_at}")]
    Ended {
        /// Until when.
        ended_at: Timestamp,
    },
    /// An operator switched the code off.
    #[error("this code was switched off")]
    Disabled,
    /// As many as may have used it.
    #[error("this code has been used up")]
    UsedUp,
    /// This tenant has used it.
    #[error("this code was already redeemed here")]
    AlreadyRedeemed,
    /// This person or tenant has redeemed as many codes of the batch as one may.
    #[error("{most} codes of this batch were redeemed already, and no more may be")]
    EnoughRedeemed {
        /// How many one may.
        most: i64,
    },
    /// The wallet does not take the credits.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The plan could not be given.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// The database failed; nothing was used.
    #[error("the code was not redeemed: {0}")]
    Store(#[from] DbErr),
}

/// Uses a code once for a tenant. However many ask at the same time, a code gives exactly as often as it may.
#[tracing::instrument(name = "code.redeem", skip_all, fields(tenant.id = %order.tenant))]
pub async fn redeem(
    db: &Database,
    keys: &CodeKeys,
    order: Redeem,
    now: Timestamp,
) -> Result<Redeemed, RedeemError> {
    let digest = keys.digest(&order.code);
    db.write(move |tx| Box::pin(async move { redeem_in(tx, digest, &order, now).await }))
        .await
}

async fn redeem_in(
    tx: &Tx,
    digest: Vec<u8>,
    order: &Redeem,
    now: Timestamp,
) -> Result<Redeemed, RedeemError> {
    let code = code::Entity::every()
        .filter(code::Column::Digest.eq(digest))
        .one(tx)
        .await?
        .ok_or(RedeemError::Unknown)?;
    let batch = working_batch(tx, &code, now).await?;
    if let Some(most) = batch.most_per_member {
        admit_member(tx, &batch, order, most).await?;
    }
    let redemption = claim(tx, code.id, order, now).await?;
    count(tx, code.id).await?;
    let redeemed = match batch.kind {
        Kind::Credits | Kind::Promo => give_credits(tx, &code, &batch, order, now).await?,
        Kind::Plan => give_plan(tx, &code, &batch, order, now).await?,
    };
    record(tx, order.tenant, redemption, &redeemed).await?;
    Ok(redeemed)
}

/// The batch, under a shared lock where the database has one, so that switching it off waits for us or we for it.
async fn working_batch(
    tx: &Tx,
    code: &code::Model,
    now: Timestamp,
) -> Result<code_batch::Model, RedeemError> {
    let batch = code_batch::Entity::every()
        .filter(code_batch::Column::Id.eq(code.batch_id))
        .lock_shared()
        .one(tx)
        .await?
        .ok_or(RedeemError::Unknown)?;
    if batch.status == Status::Disabled || code.status == code::Status::Disabled {
        return Err(RedeemError::Disabled);
    }
    if let Some(starts_at) = batch.starts_at.filter(|starts_at| now < *starts_at) {
        return Err(RedeemError::NotYet { starts_at });
    }
    if let Some(ended_at) = batch.ends_at.filter(|ended_at| *ended_at <= now) {
        return Err(RedeemError::Ended { ended_at });
    }
    Ok(batch)
}

/// Refuses who has redeemed as many codes of the batch as one may, whichever of their tenants it was in. The lock on the
/// tenant and on the person lets two of their redemptions through one after the other.
async fn admit_member(
    tx: &Tx,
    batch: &code_batch::Model,
    order: &Redeem,
    most: i64,
) -> Result<(), RedeemError> {
    tenant::Entity::every()
        .filter(tenant::Column::Id.eq(order.tenant))
        .lock(LockType::NoKeyUpdate)
        .one(tx)
        .await?;
    let member = member::Entity::of(order.tenant)
        .filter(member::Column::Id.eq(order.member))
        .one(tx)
        .await?;
    let mut selves = vec![order.member];
    if let Some(member) = member {
        person::Entity::every()
            .filter(person::Column::Id.eq(member.person_id))
            .lock(LockType::NoKeyUpdate)
            .one(tx)
            .await?;
        let same = member::Entity::across_tenants()
            .filter(member::Column::PersonId.eq(member.person_id))
            .all(tx)
            .await?;
        selves.extend(same.into_iter().map(|member| member.id));
    }
    let theirs = Condition::any()
        .add(redemption::Column::TenantId.eq(order.tenant))
        .add(redemption::Column::MemberId.is_in(selves));
    let redeemed = redemption::Entity::across_tenants()
        .join(
            JoinType::InnerJoin,
            redemption::Entity::belongs_to(code::Entity)
                .from(redemption::Column::CodeId)
                .to(code::Column::Id)
                .into(),
        )
        .filter(code::Column::BatchId.eq(batch.id))
        .filter(theirs)
        .count(tx)
        .await?;
    if i64::try_from(redeemed).is_ok_and(|redeemed| redeemed < most) {
        Ok(())
    } else {
        Err(RedeemError::EnoughRedeemed { most })
    }
}

async fn claim(
    tx: &Tx,
    code: CodeId,
    order: &Redeem,
    now: Timestamp,
) -> Result<RedemptionId, RedeemError> {
    let id = RedemptionId::fresh();
    let row = redemption::ActiveModel {
        id: Set(id),
        code_id: Set(code),
        tenant_id: Set(order.tenant),
        member_id: Set(order.member),
        grant_id: Set(None),
        subscription_id: Set(None),
        created_at: Set(now),
    };
    let once = OnConflict::columns([redemption::Column::CodeId, redemption::Column::TenantId])
        .do_nothing()
        .to_owned();
    let inserted = redemption::Entity::insert(row)
        .on_conflict(once)
        .exec_without_returning(tx)
        .await?;
    if inserted == 1 {
        Ok(id)
    } else {
        Err(RedeemError::AlreadyRedeemed)
    }
}

async fn count(tx: &Tx, code: CodeId) -> Result<(), RedeemError> {
    let counted = code::Entity::change()
        .col_expr(
            code::Column::UsedCount,
            Expr::col(code::Column::UsedCount).add(1),
        )
        .filter(code::Column::Id.eq(code))
        .filter(code::Column::Status.eq(code::Status::Active))
        .filter(Expr::col(code::Column::UsedCount).lt(Expr::col(code::Column::MaxUses)))
        .exec(tx)
        .await?;
    if counted.rows_affected == 1 {
        Ok(())
    } else {
        Err(RedeemError::UsedUp)
    }
}

async fn give_credits(
    tx: &Tx,
    code: &code::Model,
    batch: &code_batch::Model,
    order: &Redeem,
    now: Timestamp,
) -> Result<Redeemed, RedeemError> {
    let amount = batch
        .credits
        .ok_or_else(|| inconsistent(batch, "credits"))?;
    let expires_at = match batch.credits_valid_days {
        None => None,
        Some(days) => {
            let days =
                u64::try_from(days).map_err(|_| inconsistent(batch, "credits_valid_days"))?;
            Some(now.plus(Duration::from_hours(days.saturating_mul(24))))
        }
    };
    let source = if batch.kind == Kind::Promo {
        grant::Source::Promo
    } else {
        grant::Source::Code
    };
    let key = format!("redeem:{}:{}", code.id, order.tenant);
    let actor = Actor::Member(order.member);
    let lot = GrantOrder {
        expires_at,
        code: Some(code.id),
        ..GrantOrder::new(order.tenant, source, amount, key, actor, now)
    };
    let granted = ledger::grant_in(tx, lot, now).await?;
    Ok(Redeemed::Credits {
        grant: granted.grant,
        amount,
        expires_at,
    })
}

async fn give_plan(
    tx: &Tx,
    code: &code::Model,
    batch: &code_batch::Model,
    order: &Redeem,
    now: Timestamp,
) -> Result<Redeemed, RedeemError> {
    let version = batch
        .plan_version_id
        .ok_or_else(|| inconsistent(batch, "plan_version_id"))?;
    let periods =
        u32::try_from(batch.periods.unwrap_or(1)).map_err(|_| inconsistent(batch, "periods"))?;
    let subscribed = subscription::subscribe_in(
        tx,
        Subscribe {
            id: SubscriptionId::fresh(),
            tenant: order.tenant,
            version,
            source: subscription_table::Source::Code,
            periods: Some(periods),
            code: Some(code.id),
            actor: Actor::Member(order.member),
        },
        now,
    )
    .await?;
    Ok(Redeemed::Plan {
        subscription: subscribed.id,
        ends_at: subscribed.ends_at,
    })
}

async fn record(
    tx: &Tx,
    tenant: TenantId,
    redemption: RedemptionId,
    redeemed: &Redeemed,
) -> Result<(), DbErr> {
    let (grant, subscription) = match redeemed {
        Redeemed::Credits { grant, .. } => (Some(*grant), None),
        Redeemed::Plan { subscription, .. } => (None, Some(*subscription)),
    };
    redemption::Entity::of_change(tenant)
        .col_expr(redemption::Column::GrantId, Expr::value(grant))
        .col_expr(
            redemption::Column::SubscriptionId,
            Expr::value(subscription),
        )
        .filter(redemption::Column::Id.eq(redemption))
        .exec(tx)
        .await?;
    Ok(())
}

fn inconsistent(batch: &code_batch::Model, column: &str) -> DbErr {
    DbErr::Custom(format!(
        "code_batch.{column} of {} does not fit its kind",
        batch.id
    ))
}
