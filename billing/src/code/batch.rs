//! Codes made together: what they give, to how many, and when.

use entity::code_batch::{Kind, Status};
use entity::{
    Actor, CodeBatchId, CodeId, Credits, Database, PersonId, PlanVersionId, Platform, Timestamp,
    Tx, audit_trail, code, code_batch, plan_version,
};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};

use super::form::{CodeKeys, RedemptionCode};

/// Most codes in a batch.
pub const SIZE_MAX: u32 = 10_000;
/// Most uses of one code.
const USES_MAX: u32 = 1_000_000;
/// Longest validity of given credits, in days: ten years.
const VALID_DAYS_MAX: u32 = 3_650;
/// Most periods of a plan that a code gives.
const PERIODS_MAX: u32 = 120;
/// Longest name of a batch, in characters.
const NAME_MAX: usize = 80;
/// Codes written in one transaction, so that other writers get their turn.
const SLICE: usize = 200;
/// Most batches on one page.
const PAGE_MAX: u64 = 200;

/// What one use of a code gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// Credits, bought or given elsewhere.
    Credits {
        /// How many; above zero.
        amount: Credits,
        /// Days until they expire; never where there is none.
        valid_days: Option<u32>,
    },
    /// Credits that cost their owner nothing; these always expire.
    Promotion {
        /// How many; above zero.
        amount: Credits,
        /// Days until they expire.
        valid_days: u32,
    },
    /// A plan.
    Plan {
        /// Which version of it.
        version: PlanVersionId,
        /// For how many of its periods.
        periods: u32,
    },
}

/// A batch to make.
#[derive(Clone, Debug)]
pub struct NewBatch {
    /// Made by the caller, so that a retry does not make a second one.
    pub id: CodeBatchId,
    /// What operators call it.
    pub name: String,
    /// What each use gives.
    pub gives: Gives,
    /// How many codes.
    pub size: u32,
    /// How many tenants may use each code; each may once.
    pub max_uses: u32,
    /// How many codes of the batch one person, and one tenant, may redeem; none leaves it open.
    pub most_per_member: Option<u32>,
    /// From when the codes work.
    pub starts_at: Option<Timestamp>,
    /// Until when.
    pub ends_at: Option<Timestamp>,
    /// The operator who asks.
    pub operator: PersonId,
}

/// A batch with its codes in plain text, for the one export there is.
#[derive(Debug)]
pub struct Made {
    /// The batch as stored.
    pub batch: code_batch::Model,
    /// Its codes; nobody can read them again.
    pub codes: Vec<RedemptionCode>,
}

/// Why no batch was made.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The name is empty or too long.
    #[error("a batch needs a name of at most {NAME_MAX} characters")]
    Name,
    /// Too many codes, or none.
    #[error("a batch has between 1 and {SIZE_MAX} codes")]
    Size,
    /// Too many uses, or none.
    #[error("a code has between 1 and {USES_MAX} uses")]
    Uses,
    /// Too many for one member, or none.
    #[error("a member redeems between 1 and {SIZE_MAX} codes of a batch")]
    PerMember,
    /// Nothing, less than nothing, or more than a wallet holds.
    #[error("the credits must be above zero and within what a wallet holds")]
    Amount,
    /// No day, or too many.
    #[error("credits are valid for between 1 and {VALID_DAYS_MAX} days")]
    ValidDays,
    /// No period, or too many.
    #[error("a plan is given for between 1 and {PERIODS_MAX} periods")]
    Periods,
    /// The end comes before the start, or has passed.
    #[error("the end must come after the start and after now")]
    Dates,
    /// There is no such version of a plan.
    #[error("the plan version does not exist")]
    NoSuchPlan,
    /// The machine gave no randomness.
    #[error("no randomness: {0}")]
    Random(getrandom::Error),
    /// The database failed. Codes of a batch that broke off are unknown to everybody, so they cannot be used.
    #[error("the batch was not stored: {0}")]
    Store(#[from] DbErr),
}

/// Makes a batch and returns its codes in plain text, once.
#[tracing::instrument(name = "code.create_batch", skip_all, fields(batch.id = %order.id, batch.size = order.size))]
pub async fn create_batch(
    db: &Database,
    keys: &CodeKeys,
    order: NewBatch,
    now: Timestamp,
) -> Result<Made, BatchError> {
    check(&order, now)?;
    let size = usize::try_from(order.size).map_err(|_| BatchError::Size)?;
    let mut codes = Vec::with_capacity(size);
    for _ in 0..size {
        codes.push(RedemptionCode::fresh().map_err(BatchError::Random)?);
    }
    let batch = store_batch(db, order, now).await?;
    for slice in codes.chunks(SLICE) {
        let rows: Vec<code::ActiveModel> =
            slice.iter().map(|code| row(&batch, keys, code)).collect();
        db.write(move |tx| {
            Box::pin(async move {
                code::Entity::insert_many(rows)
                    .exec_without_returning(tx)
                    .await?;
                Ok::<_, DbErr>(())
            })
        })
        .await?;
    }
    Ok(Made { batch, codes })
}

fn check(order: &NewBatch, now: Timestamp) -> Result<(), BatchError> {
    let name = order.name.trim();
    if name.is_empty() || name.chars().count() > NAME_MAX {
        return Err(BatchError::Name);
    }
    if !(1..=SIZE_MAX).contains(&order.size) {
        return Err(BatchError::Size);
    }
    if !(1..=USES_MAX).contains(&order.max_uses) {
        return Err(BatchError::Uses);
    }
    let per_member = |most: u32| (1..=SIZE_MAX).contains(&most);
    if !order.most_per_member.is_none_or(per_member) {
        return Err(BatchError::PerMember);
    }
    let (amount, valid_days) = match order.gives {
        Gives::Credits { amount, valid_days } => (Some(amount), valid_days),
        Gives::Promotion { amount, valid_days } => (Some(amount), Some(valid_days)),
        Gives::Plan { .. } => (None, None),
    };
    if amount.is_some_and(|amount| !amount.is_positive() || amount > Credits::MAX) {
        return Err(BatchError::Amount);
    }
    if valid_days.is_some_and(|days| !(1..=VALID_DAYS_MAX).contains(&days)) {
        return Err(BatchError::ValidDays);
    }
    if let Gives::Plan { periods, .. } = order.gives
        && !(1..=PERIODS_MAX).contains(&periods)
    {
        return Err(BatchError::Periods);
    }
    let starts_at = order.starts_at.unwrap_or(now).max(now);
    if order.ends_at.is_some_and(|ends_at| ends_at <= starts_at) {
        return Err(BatchError::Dates);
    }
    Ok(())
}

async fn store_batch(
    db: &Database,
    order: NewBatch,
    now: Timestamp,
) -> Result<code_batch::Model, BatchError> {
    db.write(move |tx| {
        Box::pin(async move {
            if let Gives::Plan { version, .. } = order.gives
                && !exists(tx, version).await?
            {
                return Err(BatchError::NoSuchPlan);
            }
            let batch = batch_row(&order, now).insert(tx).await?;
            let entry = audit_trail::Entry {
                actor: Actor::Operator(order.operator),
                action: "code_batch.create",
                subject: ("code_batch", batch.id.to_string()),
                tenant: None,
                reason: None,
                detail: Some(serde_json::json!({ "name": batch.name, "size": batch.size, "kind": batch.kind })),
            };
            audit_trail::append(tx, entry, now).await?;
            Ok(batch)
        })
    })
    .await
}

async fn exists(tx: &Tx, version: PlanVersionId) -> Result<bool, DbErr> {
    let found = plan_version::Entity::every()
        .filter(plan_version::Column::Id.eq(version))
        .one(tx)
        .await?;
    Ok(found.is_some())
}

fn batch_row(order: &NewBatch, now: Timestamp) -> code_batch::ActiveModel {
    let (kind, credits, valid_days, plan, periods) = match order.gives {
        Gives::Credits { amount, valid_days } => {
            (Kind::Credits, Some(amount), valid_days, None, None)
        }
        Gives::Promotion { amount, valid_days } => {
            (Kind::Promo, Some(amount), Some(valid_days), None, None)
        }
        Gives::Plan { version, periods } => (Kind::Plan, None, None, Some(version), Some(periods)),
    };
    code_batch::ActiveModel {
        id: Set(order.id),
        name: Set(order.name.trim().to_owned()),
        kind: Set(kind),
        credits: Set(credits),
        plan_version_id: Set(plan),
        periods: Set(periods.map(i64::from)),
        max_uses: Set(i64::from(order.max_uses)),
        starts_at: Set(order.starts_at),
        ends_at: Set(order.ends_at),
        credits_valid_days: Set(valid_days.map(i64::from)),
        size: Set(i64::from(order.size)),
        status: Set(Status::Active),
        created_by: Set(Some(order.operator)),
        created_at: Set(now),
        most_per_member: Set(order.most_per_member.map(i64::from)),
    }
}

fn row(batch: &code_batch::Model, keys: &CodeKeys, code: &RedemptionCode) -> code::ActiveModel {
    code::ActiveModel {
        id: Set(CodeId::fresh()),
        batch_id: Set(batch.id),
        digest: Set(keys.digest(code)),
        hint: Set(code.hint()),
        max_uses: Set(batch.max_uses),
        used_count: Set(0),
        status: Set(code::Status::Active),
        created_at: Set(batch.created_at),
        legacy_ref: Set(None),
    }
}

/// Why a batch was not switched off.
#[derive(Debug, thiserror::Error)]
pub enum DisableError {
    /// There is none, or it is off already.
    #[error("no batch that works has this id")]
    NotFound,
    /// The database failed.
    #[error("the batch was not changed: {0}")]
    Store(#[from] DbErr),
}

/// Stops every code of a batch, from the next redemption on. What was redeemed stays.
#[tracing::instrument(name = "code.disable_batch", skip_all, fields(batch.id = %batch))]
pub async fn disable_batch(
    db: &Database,
    batch: CodeBatchId,
    operator: PersonId,
    reason: String,
    now: Timestamp,
) -> Result<(), DisableError> {
    db.write(move |tx| {
        Box::pin(async move {
            let changed = code_batch::Entity::change()
                .col_expr(code_batch::Column::Status, Expr::value(Status::Disabled))
                .filter(code_batch::Column::Id.eq(batch))
                .filter(code_batch::Column::Status.eq(Status::Active))
                .exec(tx)
                .await?;
            if changed.rows_affected != 1 {
                return Err(DisableError::NotFound);
            }
            let entry = audit_trail::Entry {
                actor: Actor::Operator(operator),
                action: "code_batch.disable",
                subject: ("code_batch", batch.to_string()),
                tenant: None,
                reason: Some(reason),
                detail: None,
            };
            audit_trail::append(tx, entry, now).await?;
            Ok(())
        })
    })
    .await
}

/// A batch and how far its codes are used.
#[derive(Clone, Debug)]
pub struct BatchUse {
    /// The batch.
    pub batch: code_batch::Model,
    /// Uses of all its codes together.
    pub used: i64,
}

/// The newest batches, at most 200.
pub async fn list_batches(db: &Database) -> Result<Vec<BatchUse>, DbErr> {
    let batches = code_batch::Entity::every()
        .order_by_desc(code_batch::Column::Id)
        .limit(PAGE_MAX)
        .all(db.read())
        .await?;
    let ids: Vec<CodeBatchId> = batches.iter().map(|batch| batch.id).collect();
    let used: Vec<(CodeBatchId, i64)> = code::Entity::every()
        .select_only()
        .column(code::Column::BatchId)
        .column_as(
            sea_orm::sea_query::ExprTrait::cast_as(code::Column::UsedCount.sum(), "bigint"),
            "used",
        )
        .filter(code::Column::BatchId.is_in(ids))
        .group_by(code::Column::BatchId)
        .into_tuple()
        .all(db.read())
        .await?;
    let uses = |id| {
        used.iter()
            .find(|(batch, _)| *batch == id)
            .map_or(0, |(_, sum)| *sum)
    };
    Ok(batches
        .into_iter()
        .map(|batch| BatchUse {
            used: uses(batch.id),
            batch,
        })
        .collect())
}
