//! Adds credits to a tenant or takes some away, with a reason that the ledger and the audit trail keep.

use crate::{
    Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::operator::{field, once::Once},
    words::{format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::ledger::{self, AdjustError, Adjustment, Change};
use entity::{Credits, TenantId, Timestamp, tenant};
use identity::Reason;
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/operator/adjust.html")]
struct Adjust {
    page: Page,
    name: String,
    back: String,
    available: format::Amount,
    form: Entered,
    faults: Faults,
}

/// The form as sent.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Entered {
    #[serde(default)]
    direction: String,
    #[serde(default)]
    amount: String,
    #[serde(default)]
    expires: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    once: Once,
}

struct Wish {
    change: Change,
    reason: Reason,
}

impl Entered {
    /// Without a direction, which our own form always sends, nobody knows the sign.
    fn check_direction(&self) -> Result<(), Error> {
        if !matches!(self.direction.as_str(), "add" | "take") {
            return Err(Error::Malformed("direction".to_owned()));
        }
        Ok(())
    }

    fn takes(&self) -> bool {
        self.direction == "take"
    }

    fn read(&self, now: Timestamp) -> Result<Wish, Faults> {
        let mut faults = Faults::none();
        let amount = faults.take("amount", field::some_credits(&self.amount));
        let end = |day: &str| field::end_of_day(day, now);
        let expires_at = faults.take("expires", field::optional(&self.expires, end));
        let reason = faults.take("reason", field::reason(&self.reason));
        match (amount, expires_at, reason) {
            (Some(amount), Some(expires_at), Some(reason)) => Ok(Wish {
                change: if self.takes() {
                    Change::Debit { amount }
                } else {
                    Change::Credit { amount, expires_at }
                },
                reason,
            }),
            _ => Err(faults),
        }
    }
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
        once: Once::fresh(),
        ..Entered::default()
    };

    reply::page(&view(page, &console, &tenant, form, Faults::none()).await?)
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
    form.check_direction()?;
    let once = form.once.sent()?.to_owned();
    let wish = match form.read(console.clock.now()) {
        Ok(wish) => wish,
        Err(faults) => return reply::refused(&view(page, &console, &tenant, form, faults).await?),
    };

    let signed = signed(wish.change);
    let adjustment = Adjustment {
        tenant: tenant.id,
        change: wish.change,
        business_key: format!("adjust:{once}"),
        actor: operator.0.actor(),
        reason: wish.reason.as_str().to_owned(),
    };
    let outcome = ledger::adjust(&console.db, adjustment, console.clock.now()).await;

    let faults = match outcome {
        Ok(_) => {
            let done = phrase("op-adjust-done").with("amount", signed);
            return Ok(reply::see_other(super::address(tenant.id)).flash(Tone::Good, done));
        }
        Err(AdjustError::NotThere { available }) => Faults::of(
            "amount",
            phrase("op-adjust-too-much").with("available", format::credits(available)),
        ),
        Err(AdjustError::OutOfRange) => Faults::of("amount", phrase("op-fault-range")),
        Err(AdjustError::NoReason) => Faults::of("reason", phrase("op-fault-required")),
        Err(AdjustError::KeyInUse) => return Err(Once::fault()),
        Err(AdjustError::Store(error)) => return Err(Error::Store(error)),
    };
    reply::refused(&view(page, &console, &tenant, form, faults).await?)
}

/// The amount with its sign, as pages print it.
fn signed(change: Change) -> String {
    match change {
        Change::Credit { amount, .. } => format!("+{}", format::credits(amount)),
        Change::Debit { amount } => format::credits(amount.checked_neg().unwrap_or(Credits::ZERO)),
    }
}

async fn view(
    page: Page,
    console: &State,
    tenant: &tenant::Model,
    form: Entered,
    faults: Faults,
) -> Result<Adjust, Error> {
    let balance = ledger::balance(&console.db, tenant.id, console.clock.now()).await?;
    Ok(Adjust {
        page,
        name: tenant.name.clone(),
        back: super::address(tenant.id),
        available: format::amount(balance.available),
        form,
        faults,
    })
}
