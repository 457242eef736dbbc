//! Gives credits of one call back, whole or in part.

use crate::{
    Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::operator::field,
    words::{format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::ledger::{self, CallRefund, CallRefundError};
use entity::{Credits, HoldId, usage};
use serde::Deserialize;

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

/// The form as sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Entered {
    /// Empty is all that is left.
    amount: String,
    reason: String,
    /// Made with the form, so that sending it twice books once.
    once: String,
}

/// The form.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<HoldId>,
) -> Answer {
    let call = super::found(&console, path.into_inner()).await?;
    let form = Entered {
        once: entity::AuditId::fresh().to_string(),
        ..Entered::default()
    };

    reply::page(&view(page, &console, &call, form, Faults::none()).await?)
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
    if form.once.trim().is_empty() {
        return Err(Error::Malformed("once".to_owned()));
    }
    let mut faults = Faults::none();
    let amount = faults.take("amount", field::optional(&form.amount, field::some_credits));
    let reason = faults.take("reason", field::reason(&form.reason));
    let (Some(amount), Some(reason)) = (amount, reason) else {
        return reply::refused(&view(page, &console, &call, form, faults).await?);
    };

    let refund = CallRefund {
        tenant: call.tenant_id,
        call: call.id,
        amount,
        once: form.once.clone(),
        actor: operator.0.actor(),
        reason: reason.as_str().to_owned(),
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
        Err(CallRefundError::KeyInUse) => return Err(Error::Malformed("once".to_owned())),
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
