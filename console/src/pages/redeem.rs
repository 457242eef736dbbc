//! Redeeming a code for credits or a plan.

use crate::{
    Error,
    frame::{Answer, Faults, Page, Protected, SignedIn, State, Tone, reply},
    words::{Phrase, format, phrase},
};
use askama::Template;
use billing::code::{self, CodeFault, Redeem, RedeemError, Redeemed, RedemptionCode};
use entity::{
    Database, Platform, Scoped, TenantId, grant, plan, plan_version, redemption, subscription,
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder, QuerySelect};
use serde::Deserialize;

/// Past redemptions shown.
const SHOWN: u64 = 20;

#[derive(Template)]
#[template(path = "page/redeem.html")]
struct RedeemPage {
    page: Page,
    code: String,
    faults: Faults,
    redeemed: Vec<Row>,
}

struct Row {
    time: format::Moment,
    what: String,
    credits: Option<format::Amount>,
}

/// What the form sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    code: String,
}

/// The form, and what was redeemed before.
pub(crate) async fn show(console: State, page: Page, member: SignedIn) -> Answer {
    let redeemed = rows(&console.db, member.tenant(), &page).await?;

    reply::page(&RedeemPage {
        page,
        code: String::new(),
        faults: Faults::none(),
        redeemed,
    })
}

/// Redeems.
pub(crate) async fn submit(
    console: State,
    page: Page,
    member: SignedIn,
    Protected(form): Protected<Form>,
) -> Answer {
    console
        .limits
        .redeem(page.address(), member.person().uuid())?;

    match redeem(&console, &member, &form.code).await? {
        Ok(done) => Ok(reply::see_other("/console").flash(Tone::Good, done)),
        Err(fault) => {
            let redeemed = rows(&console.db, member.tenant(), &page).await?;
            reply::refused(&RedeemPage {
                page,
                code: form.code,
                faults: Faults::of("code", fault),
                redeemed,
            })
        }
    }
}

/// What was given, or what is wrong with the code.
async fn redeem(
    console: &State,
    member: &SignedIn,
    text: &str,
) -> Result<Result<Phrase, Phrase>, Error> {
    let code = match RedemptionCode::parse(text) {
        Ok(code) => code,
        Err(CodeFault::Empty) => return Ok(Err(phrase("code-empty"))),
        Err(CodeFault::Form) => return Ok(Err(phrase("code-form"))),
        Err(CodeFault::Mistyped) => return Ok(Err(phrase("code-mistyped"))),
    };
    let order = Redeem {
        tenant: member.tenant(),
        member: member.member(),
        code,
    };
    match code::redeem(&console.db, &console.code_keys, order, console.clock.now()).await {
        Ok(Redeemed::Credits { amount, .. }) => {
            let amount = format::credits(amount);
            Ok(Ok(phrase("redeem-credits-done").with("credits", amount)))
        }
        Ok(Redeemed::Plan { .. }) => Ok(Ok(phrase("redeem-plan-done"))),
        Err(error) => refusal(error).map(Err),
    }
}

fn refusal(error: RedeemError) -> Result<Phrase, Error> {
    match error {
        RedeemError::Unknown => Ok(phrase("code-unknown")),
        RedeemError::NotYet { starts_at } => {
            Ok(phrase("code-not-yet").with("date", format::day(starts_at)))
        }
        RedeemError::Ended { ended_at } => {
            Ok(phrase("code-ended").with("date", format::day(ended_at)))
        }
        RedeemError::Disabled => Ok(phrase("code-disabled")),
        RedeemError::UsedUp => Ok(phrase("code-used-up")),
        RedeemError::EnoughRedeemed { most } => Ok(phrase("code-enough").count("count", most)),
        RedeemError::AlreadyRedeemed => Ok(phrase("code-redeemed-here")),
        RedeemError::Grant(cause) => Err(Error::Internal(cause.to_string())),
        RedeemError::Subscribe(cause) => Err(Error::Internal(cause.to_string())),
        RedeemError::Store(cause) => Err(Error::Store(cause)),
    }
}

async fn rows(db: &Database, tenant: TenantId, page: &Page) -> Result<Vec<Row>, DbErr> {
    let redemptions = redemption::Entity::of(tenant)
        .order_by_desc(redemption::Column::Id)
        .limit(SHOWN)
        .all(db.read())
        .await?;
    let grants = grant::Entity::of(tenant)
        .filter(grant::Column::Id.is_in(redemptions.iter().filter_map(|row| row.grant_id)))
        .all(db.read())
        .await?;
    let mut rows = Vec::with_capacity(redemptions.len());
    for row in redemptions {
        let granted = grants.iter().find(|grant| Some(grant.id) == row.grant_id);
        let what = match row.subscription_id {
            Some(id) => {
                let title = plan_title(db, tenant, id).await?.unwrap_or_default();
                page.say_with("redeemed-plan", "plan", &title)
            }
            None => page.say("redeemed-credits"),
        };
        rows.push(Row {
            time: format::moment(row.created_at),
            what,
            credits: granted.map(|grant| format::amount(grant.amount)),
        });
    }
    Ok(rows)
}

async fn plan_title(
    db: &Database,
    tenant: TenantId,
    id: entity::SubscriptionId,
) -> Result<Option<String>, DbErr> {
    let Some(subscription) = subscription::Entity::of(tenant)
        .filter(subscription::Column::Id.eq(id))
        .one(db.read())
        .await?
    else {
        return Ok(None);
    };
    let Some(version) = plan_version::Entity::every()
        .filter(plan_version::Column::Id.eq(subscription.plan_version_id))
        .one(db.read())
        .await?
    else {
        return Ok(None);
    };
    let plan = plan::Entity::every()
        .filter(plan::Column::Id.eq(version.plan_id))
        .one(db.read())
        .await?;
    Ok(plan.map(|plan| plan.title))
}
