//! Gives credits of one call back, whole or in part.

use crate::{
    Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::operator::{once::Once, portion::Entered},
    words::{format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::ledger::{self, CallRefund, CallRefundError};
use entity::{Credits, HoldId, usage};

#[derive(Template)]
#[template(path = "page/operator/call_refund.html")]
struct Refund {
    page: Page,
    back: String,
    charged: format::Amount,
    left: format::Amount,
    form: Entered,
    faults: Faults,
}

/// The form.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<HoldId>,
) -> Answer {
    let call = super::found(&console, path.into_inner()).await?;

    reply::page(&view(page, &console, &call, Entered::fresh(), Faults::none()).await?)
}

/// The form sent.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    path: web::Path<HoldId>,
    form: Protected<Entered>,
) -> Answer {
    let call = super::found(&console, path.into_inner()).await?;
    let Protected(form) = form;
    let portion = match form.read()? {
        Ok(portion) => portion,
        Err(faults) => return reply::refused(&view(page, &console, &call, form, faults).await?),
    };

    let refund = CallRefund {
        tenant: call.tenant_id,
        call: call.id,
        amount: portion.amount,
        once: portion.once,
        actor: operator.0.actor(),
        reason: portion.reason.as_str().to_owned(),
    };
    let outcome = ledger::refund_call(&console.db, refund, console.clock.now()).await;

    let faults = match outcome {
        Ok(done) => {
            let said = phrase("op-refund-done").with("amount", format::credits(done.amount));
            return Ok(reply::see_other(super::address(call.id)).flash(Tone::Good, said));
        }
        Err(CallRefundError::TooMuch { left }) => Faults::of(
            "amount",
            phrase("op-refund-too-much").with("left", format::credits(left)),
        ),
        Err(CallRefundError::OutOfRange) => Faults::of("amount", phrase("op-fault-range")),
        Err(CallRefundError::NoReason) => Faults::of("reason", phrase("op-fault-required")),
        Err(CallRefundError::KeyInUse) => return Err(Once::fault()),
        Err(CallRefundError::NoCall) => return Err(Error::NotFound),
        Err(CallRefundError::Store(error)) => return Err(Error::Store(error)),
    };
    reply::refused(&view(page, &console, &call, form, faults).await?)
}

async fn view(
    page: Page,
    console: &State,
    call: &usage::Model,
    form: Entered,
    faults: Faults,
) -> Result<Refund, Error> {
    let back = ledger::given_back(console.db.read(), call.tenant_id, call.id).await?;
    let left = call.charge.checked_sub(back).unwrap_or(Credits::ZERO);
    Ok(Refund {
        page,
        back: super::address(call.id),
        charged: format::amount(call.charge),
        left: format::amount(left),
        form,
        faults,
    })
}
