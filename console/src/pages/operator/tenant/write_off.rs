//! Gives up a tenant's debt, whole or in part.

use crate::{
    Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::operator::{once::Once, portion::Entered},
    words::{format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::ledger::{self, WriteOff, WriteOffError};
use entity::{TenantId, tenant};

#[derive(Template)]
#[template(path = "page/operator/write_off.html")]
struct WriteOffPage {
    page: Page,
    name: String,
    back: String,
    debt: format::Amount,
    form: Entered,
    faults: Faults,
}

/// The form.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<TenantId>,
) -> Answer {
    let tenant = super::found(&console, path.into_inner()).await?;

    reply::page(&view(page, &console, &tenant, Entered::fresh(), Faults::none()).await?)
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
    let portion = match form.read()? {
        Ok(portion) => portion,
        Err(faults) => return reply::refused(&view(page, &console, &tenant, form, faults).await?),
    };

    let order = WriteOff {
        tenant: tenant.id,
        amount: portion.amount,
        once: portion.once,
        actor: operator.0.actor(),
        reason: portion.reason.as_str().to_owned(),
    };
    let outcome = ledger::write_off(&console.db, order, console.clock.now()).await;

    let faults = match outcome {
        Ok(done) => {
            let said = phrase("op-write-off-done").with("amount", format::credits(done.amount));
            return Ok(reply::see_other(super::address(tenant.id)).flash(Tone::Good, said));
        }
        Err(WriteOffError::TooMuch { debt }) => Faults::of(
            "amount",
            phrase("op-write-off-too-much").with("debt", format::credits(debt)),
        ),
        Err(WriteOffError::OutOfRange) => Faults::of("amount", phrase("op-fault-range")),
        Err(WriteOffError::NoReason) => Faults::of("reason", phrase("op-fault-required")),
        Err(WriteOffError::KeyInUse) => return Err(Once::fault()),
        Err(WriteOffError::Store(error)) => return Err(Error::Store(error)),
    };
    reply::refused(&view(page, &console, &tenant, form, faults).await?)
}

async fn view(
    page: Page,
    console: &State,
    tenant: &tenant::Model,
    form: Entered,
    faults: Faults,
) -> Result<WriteOffPage, Error> {
    let balance = ledger::balance(&console.db, tenant.id, console.clock.now()).await?;
    Ok(WriteOffPage {
        page,
        name: tenant.name.clone(),
        back: super::address(tenant.id),
        debt: format::amount(balance.debt),
        form,
        faults,
    })
}
