//! The plans a tenant has and those it may take.

use super::each;
use crate::{
    Error,
    frame::{Answer, Page, Protected, SignedIn, State, Tone, reply},
    pages::clause,
    words::{Phrase, format, phrase},
};
use askama::Template;
use billing::{
    ledger,
    subscription::{self, Current, ForSale, Subscribe, SubscribeError},
};
use entity::{
    Credits, Database, PlanVersionId, Platform, Scoped, SubscriptionId, TenantId, grant, plan,
    plan_version,
    subscription::{Source, Status},
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/plans/list.html")]
struct PlansPage {
    page: Page,
    may_pay: bool,
    available: format::Amount,
    own: Vec<Own>,
    offers: Vec<Offer>,
}

/// A plan the tenant has.
struct Own {
    id: String,
    title: String,
    tone: &'static str,
    status: Phrase,
    /// When the period ends, and what follows.
    note: Phrase,
    next: Option<Phrase>,
    left: format::Amount,
    allowance: String,
    has_allowance: bool,
    rules: Vec<Phrase>,
    state: Status,
}

impl Own {
    fn may_change(&self) -> bool {
        self.state == Status::Active
    }

    fn may_cancel(&self) -> bool {
        matches!(self.state, Status::Active | Status::PastDue)
    }

    fn may_resume(&self) -> bool {
        self.state == Status::Canceling
    }
}

/// A plan the tenant may take.
struct Offer {
    version: String,
    /// For the address of its question on this page.
    anchor: String,
    title: String,
    description: String,
    price: String,
    each: Phrase,
    allowance: String,
    has_allowance: bool,
    rules: Vec<Phrase>,
    had: bool,
    affordable: bool,
}

/// What the form sends.
#[derive(Deserialize)]
pub(crate) struct Form {
    #[serde(default)]
    version: String,
    /// Made with the form, so that sending it twice subscribes once.
    #[serde(default)]
    once: String,
}

/// Shows them.
pub(crate) async fn show(console: State, page: Page, member: SignedIn) -> Answer {
    let (db, tenant, now) = (&console.db, member.tenant(), console.clock.now());
    let shown = subscription::shown(db, tenant).await?;
    let available = subscription::payable(db, tenant, now).await?;
    let mut own = Vec::with_capacity(shown.len());
    for current in &shown {
        own.push(own_of(db, current).await?);
    }
    let offers = subscription::for_sale(db).await?;
    let had = |sale: &ForSale| {
        let plan = sale.offered.plan.id;
        shown.iter().any(|current| current.plan.id == plan)
    };
    let offers = offers
        .iter()
        .map(|sale| Offer::of(sale, had(sale), available));

    reply::page(&PlansPage {
        may_pay: member.may_pay(),
        available: format::amount(available),
        own,
        offers: offers.collect(),
        page,
    })
}

/// Takes one; the wallet pays its first period.
pub(crate) async fn subscribe(
    console: State,
    member: SignedIn,
    Protected(form): Protected<Form>,
) -> Answer {
    let back = reply::see_other(super::LIST);
    if !member.may_pay() {
        return Ok(back.flash(Tone::Bad, phrase("plans-not-yours")));
    }
    let (Ok(version), Ok(id)) = (
        form.version.parse::<PlanVersionId>(),
        form.once.parse::<SubscriptionId>(),
    ) else {
        return Ok(back.flash(Tone::Note, phrase("plans-choose")));
    };

    let order = Subscribe {
        id,
        tenant: member.tenant(),
        version,
        source: Source::Order,
        periods: None,
        code: None,
        actor: member.actor(),
    };
    match subscription::subscribe(&console.db, order, console.clock.now()).await {
        Ok(_) => Ok(back.flash(Tone::Good, phrase("plans-subscribed"))),
        Err(fault) => Ok(back.flash(Tone::Bad, refusal(fault)?)),
    }
}

fn refusal(fault: SubscribeError) -> Result<Phrase, Error> {
    match fault {
        SubscribeError::HasIt => Ok(phrase("plans-has-it")),
        SubscribeError::NotForSale | SubscribeError::NoSuchPlan => Ok(phrase("plans-not-for-sale")),
        SubscribeError::NotThere { needed, available } => Ok(not_there(needed, available)),
        SubscribeError::Periods => Ok(phrase("plans-clock")),
        SubscribeError::Grant(ledger::GrantError::Store(fault)) | SubscribeError::Store(fault) => {
            Err(Error::Store(fault))
        }
        SubscribeError::Grant(fault) => Err(Error::Internal(fault.to_string())),
    }
}

/// What is missing, and how to mend it.
pub(super) fn not_there(needed: Credits, available: Credits) -> Phrase {
    phrase("plans-not-there")
        .with("needed", format::credits(needed))
        .with("available", format::credits(available))
}

async fn own_of(db: &Database, current: &Current) -> Result<Own, DbErr> {
    let Current {
        subscription,
        version,
        plan,
    } = current;
    let day = format::day(subscription.period_end);
    let (tone, status, note) = match subscription.status {
        Status::Active if subscription.renews => {
            ("good", phrase("plans-active"), phrase("plans-renews"))
        }
        Status::Active => ("good", phrase("plans-active"), phrase("plans-ends")),
        Status::PastDue => (
            "bad",
            phrase("plans-past-due"),
            phrase("plans-past-due-note"),
        ),
        Status::Canceling => ("warn", phrase("plans-canceling"), phrase("plans-ends")),
        Status::Pending | Status::Ended => ("", phrase("plans-ended"), phrase("plans-ends")),
    };
    Ok(Own {
        id: subscription.id.to_string(),
        title: plan.title.clone(),
        tone,
        status,
        note: note.with("date", day.as_str()),
        next: match subscription.next_plan_version_id {
            Some(next) => title_of(db, next)
                .await?
                .map(|title| phrase("plans-next").with("plan", title).with("date", day)),
            None => None,
        },
        left: format::amount(left(db, subscription.tenant_id, subscription.id).await?),
        allowance: format::credits(version.allowance),
        has_allowance: version.allowance.is_positive(),
        rules: clause::words(&version.document),
        state: subscription.status,
    })
}

/// What is left of a subscription's allowance.
async fn left(
    db: &Database,
    tenant: TenantId,
    subscription: SubscriptionId,
) -> Result<Credits, DbErr> {
    let lots = grant::Entity::of(tenant)
        .filter(grant::Column::SubscriptionId.eq(subscription))
        .filter(grant::Column::Status.eq(grant::Status::Active))
        .all(db.read())
        .await?;
    Ok(lots
        .into_iter()
        .try_fold(Credits::ZERO, |sum, lot| sum.checked_add(lot.remaining))
        .unwrap_or(Credits::MAX))
}

/// What the plan of a version is called.
pub(super) async fn title_of(
    db: &Database,
    version: PlanVersionId,
) -> Result<Option<String>, DbErr> {
    let version = plan_version::Entity::every()
        .filter(plan_version::Column::Id.eq(version))
        .one(db.read())
        .await?;
    let Some(version) = version else {
        return Ok(None);
    };
    let plan = plan::Entity::every()
        .filter(plan::Column::Id.eq(version.plan_id))
        .one(db.read())
        .await?;
    Ok(plan.map(|plan| plan.title))
}

impl Offer {
    fn of(sale: &ForSale, had: bool, available: Credits) -> Self {
        let (plan, version) = (&sale.offered.plan, &sale.offered.version);
        Self {
            version: version.id.to_string(),
            anchor: format!("take-{}", plan.name),
            title: plan.title.clone(),
            description: plan.description.clone(),
            price: format::credits(sale.price),
            each: each(version.period),
            allowance: format::credits(version.allowance),
            has_allowance: version.allowance.is_positive(),
            rules: clause::words(&version.document),
            had,
            affordable: available >= sale.price,
        }
    }

    /// The name of one sending of the form.
    #[expect(clippy::unused_self, reason = "templates call it on the offer")]
    fn once(&self) -> String {
        SubscriptionId::fresh().to_string()
    }
}
