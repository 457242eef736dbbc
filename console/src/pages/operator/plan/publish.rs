//! One plan: its versions, and the form for the next one.

use super::{
    status,
    terms::{self, Entered, period_word},
};
use crate::{
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::{
        clause,
        operator::badge::{self, Badge},
    },
    words::{Phrase, format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::plan::{PlanDocument, publish_version, versions};
use entity::{PlanId, plan, plan_version};

#[derive(Template)]
#[template(path = "page/operator/plan.html")]
struct Plan {
    page: Page,
    title: String,
    name: String,
    badge: Badge,
    address: String,
    moves: Vec<status::Move>,
    versions: Vec<Version>,
    form: Entered,
    groups: Vec<(String, String)>,
    faults: Faults,
}

struct Version {
    number: i64,
    price: String,
    period: Phrase,
    allowance: String,
    rules: Vec<Phrase>,
    created: format::Moment,
}

/// The page.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<PlanId>,
) -> Answer {
    let plan = super::found(&console.db, path.into_inner()).await?;
    let versions = versions(&console.db, plan.id).await?;
    let form = versions.first().map(Entered::of).unwrap_or_default();

    let groups = super::groups(&console.db).await?;
    reply::page(&view(page, plan, &versions, (form, groups), Faults::none()))
}

/// The next version sent.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    path: web::Path<PlanId>,
    form: Protected<Entered>,
) -> Answer {
    let plan = super::found(&console.db, path.into_inner()).await?;
    let versions = versions(&console.db, plan.id).await?;
    let Protected(form) = form;
    let groups = super::groups(&console.db).await?;
    let before = versions
        .first()
        .and_then(|version| PlanDocument::from_json(&version.document).ok());
    let mut faults = Faults::none();
    let Some(terms) = form.read(before.as_ref(), &mut faults) else {
        return reply::refused(&view(page, plan, &versions, (form, groups), faults));
    };

    let (person, now) = (operator.0.person(), console.clock.now());
    let outcome = publish_version(&console.db, plan.id, terms, person, now).await;

    match outcome {
        Ok(version) => Ok(
            reply::see_other(format!("{}/{}", super::LIST, plan.id)).flash(
                Tone::Good,
                phrase("op-plan-published-done").count("version", version.version),
            ),
        ),
        Err(error) => {
            let faults = terms::fault(error)?;
            reply::refused(&view(page, plan, &versions, (form, groups), faults))
        }
    }
}

fn view(
    page: Page,
    plan: plan::Model,
    versions: &[plan_version::Model],
    (form, groups): (Entered, Vec<(String, String)>),
    faults: Faults,
) -> Plan {
    Plan {
        page,
        address: format!("{}/{}", super::LIST, plan.id),
        moves: status::moves(plan.status),
        badge: badge::plan(plan.status),
        title: plan.title,
        name: plan.name,
        versions: versions.iter().map(Version::of).collect(),
        form,
        groups,
        faults,
    }
}

impl Version {
    fn of(version: &plan_version::Model) -> Self {
        Self {
            number: version.version,
            price: crate::pages::operator::order::money(version.price_minor, &version.currency),
            period: period_word(version.period),
            allowance: format::credits(version.allowance),
            rules: clause::words(&version.document),
            created: format::moment(version.created_at),
        }
    }
}
