//! The plans on offer: made by operators, each change a new version that nobody can alter afterwards.

use entity::plan::Status;
use entity::plan_version::Period;
use entity::{
    Actor, Credits, Database, PersonId, PlanId, PlanVersionId, Platform, Timestamp, Tx,
    audit_trail, plan, plan_version,
};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};

use super::{Plan, PlanDocument, PlanFault};

/// Longest short name.
const NAME_MAX: usize = 40;
/// Longest title and description, in characters.
const TITLE_MAX: usize = 80;
const DESCRIPTION_MAX: usize = 2_000;
/// Largest document, in bytes.
const DOCUMENT_MAX: usize = 65_536;
/// Most plans and most versions of one plan that are listed.
const LIST_MAX: u64 = 200;

/// A plan to put on offer, without its first version.
#[derive(Clone, Debug)]
pub struct NewPlan {
    /// Made by the caller, so that a retry does not make a second one.
    pub id: PlanId,
    /// Short and unique: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// What members read.
    pub title: String,
    /// What members read under it.
    pub description: String,
    /// What it gives.
    pub terms: Terms,
    /// The operator who asks.
    pub operator: PersonId,
}

/// What a version of a plan costs and gives.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What a period costs, in the currency's smallest unit.
    pub price_minor: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// How long a period is.
    pub period: Period,
    /// Credits for each period; zero for rules alone.
    pub allowance: Credits,
    /// The rules.
    pub document: PlanDocument,
}

/// Why a plan or version was not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The short name is empty, too long or holds other characters.
    #[error("a name is 1 to {NAME_MAX} lower-case letters, digits, `-` or `_`")]
    Name,
    /// The short name belongs to another plan.
    #[error("another plan has this name")]
    NameTaken,
    /// The title or the description is empty or too long.
    #[error("a title has 1 to {TITLE_MAX} characters, a description at most {DESCRIPTION_MAX}")]
    Title,
    /// A negative price, or a currency that is none.
    #[error("a price is not negative and its currency has three letters")]
    Price,
    /// Less than nothing, or more than a wallet holds.
    #[error("an allowance is not negative and within what a wallet holds")]
    Allowance,
    /// The rules contradict each other or do not read.
    #[error(transparent)]
    Rules(#[from] PlanFault),
    /// The rules are longer than anybody reads.
    #[error("the rules are longer than {DOCUMENT_MAX} bytes")]
    TooLong,
    /// There is no such plan.
    #[error("the plan does not exist")]
    NoSuchPlan,
    /// Another operator published at the same moment.
    #[error("another version was published at the same time")]
    Raced,
    /// The database failed.
    #[error("the plan was not stored: {0}")]
    Store(#[from] DbErr),
}

/// Puts a plan on offer, with its first version.
#[tracing::instrument(name = "plan.create", skip_all, fields(plan.id = %order.id))]
pub async fn create(
    db: &Database,
    order: NewPlan,
    now: Timestamp,
) -> Result<plan_version::Model, SaveError> {
    check_words(&order)?;
    check_terms(&order.terms)?;
    db.write(move |tx| {
        Box::pin(async move {
            let taken = plan::Entity::every()
                .filter(plan::Column::Name.eq(order.name.as_str()))
                .one(tx)
                .await?;
            if taken.is_some() {
                return Err(SaveError::NameTaken);
            }
            let row = plan::ActiveModel {
                id: Set(order.id),
                name: Set(order.name),
                title: Set(order.title.trim().to_owned()),
                description: Set(order.description.trim().to_owned()),
                status: Set(Status::Active),
                created_at: Set(now),
                legacy_ref: Set(None),
            };
            plan::Entity::insert(row).exec_without_returning(tx).await?;
            let version = insert_version(tx, order.id, 1, order.terms, now).await?;
            record(tx, "plan.create", &version, order.operator, now).await?;
            Ok(version)
        })
    })
    .await
}

/// Publishes the next version of a plan. Running subscriptions keep theirs.
#[tracing::instrument(name = "plan.publish_version", skip_all, fields(plan.id = %plan))]
pub async fn publish_version(
    db: &Database,
    plan: PlanId,
    terms: Terms,
    operator: PersonId,
    now: Timestamp,
) -> Result<plan_version::Model, SaveError> {
    check_terms(&terms)?;
    db.write(move |tx| {
        Box::pin(async move {
            // Held until the commit, so that two operators publish one after the other.
            let row = plan::Entity::every()
                .filter(plan::Column::Id.eq(plan))
                .lock_exclusive()
                .one(tx)
                .await?
                .ok_or(SaveError::NoSuchPlan)?;
            let last = latest_version(tx, row.id)
                .await?
                .map_or(0, |version| version.version);
            let next = last.checked_add(1).ok_or(SaveError::Raced)?;
            let version = insert_version(tx, row.id, next, terms, now).await?;
            record(tx, "plan.publish_version", &version, operator, now).await?;
            Ok(version)
        })
    })
    .await
}

/// Offers, hides or retires a plan. Running subscriptions are not touched.
pub async fn set_status(
    db: &Database,
    plan: PlanId,
    status: Status,
    operator: PersonId,
    now: Timestamp,
) -> Result<(), SaveError> {
    db.write(move |tx| {
        Box::pin(async move {
            let changed = plan::Entity::change()
                .col_expr(plan::Column::Status, Expr::value(status))
                .filter(plan::Column::Id.eq(plan))
                .exec(tx)
                .await?;
            if changed.rows_affected != 1 {
                return Err(SaveError::NoSuchPlan);
            }
            let entry = audit_trail::Entry {
                actor: Actor::Operator(operator),
                action: "plan.set_status",
                subject: ("plan", plan.to_string()),
                tenant: None,
                reason: None,
                detail: Some(serde_json::json!({ "status": status })),
            };
            audit_trail::append(tx, entry, now).await?;
            Ok(())
        })
    })
    .await
}

fn check_words(order: &NewPlan) -> Result<(), SaveError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if !(1..=NAME_MAX).contains(&order.name.len()) || !order.name.bytes().all(allowed) {
        return Err(SaveError::Name);
    }
    let title = order.title.trim().chars().count();
    if !(1..=TITLE_MAX).contains(&title) || order.description.chars().count() > DESCRIPTION_MAX {
        return Err(SaveError::Title);
    }
    Ok(())
}

fn check_terms(terms: &Terms) -> Result<(), SaveError> {
    let is_currency =
        terms.currency.len() == 3 && terms.currency.bytes().all(|b| b.is_ascii_lowercase());
    if terms.price_minor < 0 || !is_currency {
        return Err(SaveError::Price);
    }
    if terms.allowance.is_negative() || terms.allowance > Credits::MAX {
        return Err(SaveError::Allowance);
    }
    if terms.document.to_json().len() > DOCUMENT_MAX {
        return Err(SaveError::TooLong);
    }
    Plan::try_from(&terms.document)?.check_allowance(terms.allowance)?;
    Ok(())
}

async fn insert_version(
    tx: &Tx,
    plan: PlanId,
    number: i64,
    terms: Terms,
    now: Timestamp,
) -> Result<plan_version::Model, DbErr> {
    plan_version::ActiveModel {
        id: Set(PlanVersionId::fresh()),
        plan_id: Set(plan),
        version: Set(number),
        price_minor: Set(terms.price_minor),
        currency: Set(terms.currency),
        period: Set(terms.period),
        allowance: Set(terms.allowance),
        document: Set(terms.document.to_json()),
        created_at: Set(now),
    }
    .insert(tx)
    .await
}

async fn record(
    tx: &Tx,
    action: &'static str,
    version: &plan_version::Model,
    operator: PersonId,
    now: Timestamp,
) -> Result<(), DbErr> {
    let entry = audit_trail::Entry {
        actor: Actor::Operator(operator),
        action,
        subject: ("plan", version.plan_id.to_string()),
        tenant: None,
        reason: None,
        detail: Some(serde_json::json!({ "version": version.version, "plan_version": version.id })),
    };
    audit_trail::append(tx, entry, now).await
}

async fn latest_version(
    tx: &impl sea_orm::ConnectionTrait,
    plan: PlanId,
) -> Result<Option<plan_version::Model>, DbErr> {
    plan_version::Entity::every()
        .filter(plan_version::Column::PlanId.eq(plan))
        .order_by_desc(plan_version::Column::Version)
        .one(tx)
        .await
}

/// A plan with its newest version.
#[derive(Clone, Debug)]
pub struct Offered {
    /// The plan.
    pub plan: plan::Model,
    /// What it gives today.
    pub version: plan_version::Model,
}

/// Every plan with its newest version, the newest first, at most 200.
pub async fn list(db: &Database) -> Result<Vec<Offered>, DbErr> {
    let plans = plan::Entity::every()
        .order_by_desc(plan::Column::Id)
        .limit(LIST_MAX)
        .all(db.read())
        .await?;
    let mut offered = Vec::with_capacity(plans.len());
    for plan in plans {
        if let Some(version) = latest_version(db.read(), plan.id).await? {
            offered.push(Offered { plan, version });
        }
    }
    Ok(offered)
}

/// The versions of a plan, the newest first, at most 200.
pub async fn versions(db: &Database, plan: PlanId) -> Result<Vec<plan_version::Model>, DbErr> {
    plan_version::Entity::every()
        .filter(plan_version::Column::PlanId.eq(plan))
        .order_by_desc(plan_version::Column::Version)
        .limit(LIST_MAX)
        .all(db.read())
        .await
}
