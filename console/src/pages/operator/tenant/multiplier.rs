//! What a tenant pays of the list price.

use crate::{
    Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::operator::field,
    words::{format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::shop::tenant::{MultiplierError, set_multiplier};
use entity::{TenantId, tenant};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/operator/multiplier.html")]
struct Multiplier {
    page: Page,
    name: String,
    back: String,
    form: Entered,
    faults: Faults,
}

/// The form as sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Entered {
    multiplier: String,
    reason: String,
}

/// The form.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<TenantId>,
) -> Answer {
    let tenant = super::found(&console, path.into_inner()).await?;
    let form = Entered {
        multiplier: format::factor(tenant.multiplier_ppm),
        ..Entered::default()
    };

    reply::page(&view(page, &tenant, form, Faults::none()))
}

/// The form sent.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    path: web::Path<TenantId>,
    form: Protected<Entered>,
) -> Answer {
    let tenant = super::found(&console, path.into_inner()).await?;
    let Protected(form) = form;
    let mut faults = Faults::none();
    let ppm = faults.take("multiplier", field::factor(&form.multiplier));
    let reason = faults.take("reason", field::reason(&form.reason));
    let (Some(ppm), Some(reason)) = (ppm, reason) else {
        return reply::refused(&view(page, &tenant, form, faults));
    };

    let (actor, now) = (operator.0.actor(), console.clock.now());
    let reason = reason.as_str().to_owned();
    match set_multiplier(&console.db, tenant.id, ppm, actor, reason, now).await {
        Ok(()) => {
            let said = phrase("op-multiplier-done").with("multiplier", format::factor(ppm));
            Ok(reply::see_other(super::address(tenant.id)).flash(Tone::Good, said))
        }
        Err(MultiplierError::OutOfRange) => {
            let faults = Faults::of("multiplier", phrase("op-fault-multiplier"));
            reply::refused(&view(page, &tenant, form, faults))
        }
        Err(MultiplierError::NoTenant) => Err(Error::NotFound),
        Err(MultiplierError::Store(error)) => Err(Error::Store(error)),
    }
}

fn view(page: Page, tenant: &tenant::Model, form: Entered, faults: Faults) -> Multiplier {
    Multiplier {
        page,
        name: tenant.name.clone(),
        back: super::address(tenant.id),
        form,
        faults,
    }
}
