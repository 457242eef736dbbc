//! Gives a tenant a plan, for a number of periods or until it is ended.

use crate::{
    Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::operator::field,
    words::phrase,
};
use actix_web::web;
use askama::Template;
use billing::{
    plan,
    subscription::{self, Subscribe, SubscribeError},
};
use entity::{
    Database, PlanVersionId, SubscriptionId, TenantId, plan::Status, subscription::Source,
};
use sea_orm::DbErr;
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/operator/give_plan.html")]
struct GivePlan {
    page: Page,
    name: String,
    back: String,
    plans: Vec<(String, String)>,
    form: Entered,
    faults: Faults,
}

/// The form as sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Entered {
    version: String,
    periods: String,
    /// Made with the form, so that sending it twice gives one plan.
    once: String,
}

/// The form.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<TenantId>,
) -> Answer {
    let tenant = super::found(&console, path.into_inner()).await?;

    reply::page(&GivePlan {
        page,
        name: tenant.name,
        back: super::address(tenant.id),
        plans: plans(&console.db).await?,
        form: Entered {
            once: SubscriptionId::fresh().to_string(),
            ..Entered::default()
        },
        faults: Faults::none(),
    })
}

/// The form sent.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    path: web::Path<TenantId>,
    Protected(form): Protected<Entered>,
) -> Answer {
    let tenant = super::found(&console, path.into_inner()).await?;
    let Ok(id) = form.once.parse::<SubscriptionId>() else {
        return Err(Error::Malformed("once".to_owned()));
    };
    let mut faults = Faults::none();
    let version = form.version.parse::<PlanVersionId>();
    let version = faults.take("version", version.map_err(|_| phrase("op-fault-required")));
    let number = |text: &str| field::number(text, 1..=1_000);
    let periods = faults.take("periods", field::optional(&form.periods, number));
    let (Some(version), Some(periods)) = (version, periods) else {
        return reply::refused(&GivePlan {
            page,
            name: tenant.name,
            back: super::address(tenant.id),
            plans: plans(&console.db).await?,
            form,
            faults,
        });
    };

    let order = Subscribe {
        id,
        tenant: tenant.id,
        version,
        source: Source::Operator,
        periods: periods.and_then(|periods| u32::try_from(periods).ok()),
        code: None,
        actor: operator.0.actor(),
    };
    let back = reply::see_other(super::address(tenant.id));
    match subscription::subscribe(&console.db, order, console.clock.now()).await {
        Ok(_) => Ok(back.flash(Tone::Good, phrase("op-give-plan-done"))),
        Err(SubscribeError::NoSuchPlan) => Err(Error::NotFound),
        Err(SubscribeError::Store(fault)) => Err(Error::Store(fault)),
        Err(fault) => Err(Error::Internal(fault.to_string())),
    }
}

/// The newest versions of the plans that are not retired.
async fn plans(db: &Database) -> Result<Vec<(String, String)>, DbErr> {
    let offered = plan::list(db).await?;
    Ok(offered
        .into_iter()
        .filter(|offered| offered.plan.status != Status::Retired)
        .map(|offered| (offered.version.id.to_string(), offered.plan.title))
        .collect())
}
