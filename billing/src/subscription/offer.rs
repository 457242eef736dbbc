//! Plans that members may take by themselves, and what they cost out of a wallet.

use super::subscribe::version_of;
use crate::ledger;
use crate::plan::{self, Offered, Plan, proration};
use entity::{
    Credits, Database, PlanVersionId, Platform, TenantId, Timestamp, Tx, plan as plan_row,
    plan_version,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, QueryFilter};

/// Nano-credits in the hundredth of a dollar, for a credit is a dollar of list price.
const NANOS_A_CENT: i64 = 10_000_000;

/// A plan that a member may take, with what it costs out of the wallet.
#[derive(Clone, Debug)]
pub struct ForSale {
    /// The plan with its newest version.
    pub offered: Offered,
    /// What a period costs.
    pub price: Credits,
}

/// What a period of a version costs in credits: a credit is a US dollar of list price. `None` where the price is in
/// another currency, so that only codes and operators give the plan.
pub fn price_in_credits(version: &plan_version::Model) -> Option<Credits> {
    if version.price_minor == 0 {
        return Some(Credits::ZERO);
    }
    let nanos = version.price_minor.checked_mul(NANOS_A_CENT)?;
    let price = Credits::from_nanos(nanos);
    (version.currency == "usd" && price <= Credits::MAX).then_some(price)
}

/// The plans on offer that have a price which a wallet can pay, the cheapest first. What costs nothing is given, not
/// taken: otherwise everybody could help themselves to what an operator gives to some.
///
/// # Errors
/// When the database does not answer.
pub async fn for_sale(db: &Database) -> Result<Vec<ForSale>, DbErr> {
    let mut found: Vec<ForSale> = plan::list(db)
        .await?
        .into_iter()
        .filter(|offered| offered.plan.status == plan_row::Status::Active)
        .filter_map(|offered| {
            let price = price_in_credits(&offered.version).filter(|price| price.is_positive())?;
            Some(ForSale { offered, price })
        })
        .collect();
    found.sort_by_key(|sale| (sale.price, sale.offered.plan.id));
    Ok(found)
}

/// How many credits the wallet has that may pay for a plan.
///
/// # Errors
/// When the database does not answer.
pub async fn payable(db: &Database, tenant: TenantId, now: Timestamp) -> Result<Credits, DbErr> {
    ledger::there(db.read(), tenant, ledger::From::Own, now).await
}

/// Whether the version is the newest of a plan on offer, and what it costs.
pub(super) async fn for_sale_in(
    tx: &Tx,
    version: PlanVersionId,
) -> Result<Option<(plan_version::Model, Credits)>, DbErr> {
    let Some(version) = version_of(tx, version).await? else {
        return Ok(None);
    };
    let row = plan_row::Entity::every()
        .filter(plan_row::Column::Id.eq(version.plan_id))
        .filter(plan_row::Column::Status.eq(plan_row::Status::Active))
        .one(tx)
        .await?;
    let newer = plan_version::Entity::every()
        .filter(plan_version::Column::PlanId.eq(version.plan_id))
        .filter(plan_version::Column::Version.gt(version.version))
        .one(tx)
        .await?;
    let price = price_in_credits(&version).filter(|price| price.is_positive());
    Ok(match (row, newer, price) {
        (Some(_), None, Some(price)) => Some((version, price)),
        _ => None,
    })
}

/// What a version asks and gives; `None` where its price is not in credits.
pub(super) fn terms_of(version: &plan_version::Model) -> Option<proration::Offer> {
    Some(proration::Offer {
        price: price_in_credits(version)?,
        allowance: version.allowance,
    })
}

/// The rules of a version.
pub(super) fn rules_of(version: &plan_version::Model) -> Result<Plan, DbErr> {
    Plan::from_json(&version.document).map_err(|fault| {
        let id = version.id;
        DbErr::Custom(format!(
            "inconsistent: plan_version.document of {id}: {fault}"
        ))
    })
}

/// The plan of a version.
pub(super) async fn plan_of(
    tx: &impl ConnectionTrait,
    version: &plan_version::Model,
) -> Result<Option<plan_row::Model>, DbErr> {
    plan_row::Entity::every()
        .filter(plan_row::Column::Id.eq(version.plan_id))
        .one(tx)
        .await
}
