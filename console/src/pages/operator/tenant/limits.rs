//! A tenant's credit line, and limits on all of its calls.

use crate::{
    Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::{
        limit::Fields,
        operator::limits::{Entered, LimitsPage},
    },
    words::phrase,
};
use actix_web::web;
use billing::{
    cap::{self, Limit, Whose},
    ledger::{self, Limits, LimitsError},
    plan::Quantity,
};
use entity::{TenantId, tenant};

/// The form.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<TenantId>,
) -> Answer {
    let tenant = super::found(&console, path.into_inner()).await?;
    let db = &console.db;
    let (fields, _) = Fields::of(cap::list(db, tenant.id, Whose::Tenant).await?);
    let mut form = Entered::filled(fields);
    if let Some(wallet) = ledger::wallet_of(db, tenant.id).await? {
        if !wallet.credit_line.is_zero() {
            form.line = wallet.credit_line.to_string();
        }
        if let Some(most) = wallet.max_open_holds {
            form.open_holds = most.to_string();
        }
        let monthly = cap::list(db, tenant.id, Whose::CreditLine(wallet.id)).await?;
        for cap in monthly {
            if let Limit::Quota {
                most: Quantity::Credits(most),
                ..
            } = cap.limit
            {
                form.monthly = most.to_string();
            }
        }
    }

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
    let wish = match form.read() {
        Ok(wish) => wish,
        Err(faults) => return reply::refused(&view(page, &tenant, form, faults)),
    };
    let (db, now) = (&console.db, console.clock.now());
    let (_, others) = Fields::of(cap::list(db, tenant.id, Whose::Tenant).await?);

    let limits = Limits {
        credit_line: wish.line,
        credit_line_monthly: wish.monthly,
        max_open_holds: wish.open_holds,
        own: wish.limits.into_iter().chain(others).collect(),
    };
    let reason = wish.reason.as_str().to_owned();
    let outcome = ledger::set_limits(db, tenant.id, limits, operator.0.actor(), reason, now).await;

    match outcome {
        Ok(()) => {
            Ok(reply::see_other(super::address(tenant.id))
                .flash(Tone::Good, phrase("op-limits-done")))
        }
        Err(LimitsError::OutOfRange) => {
            let faults = Faults::of("spend", phrase("op-fault-range"));
            reply::refused(&view(page, &tenant, form, faults))
        }
        Err(LimitsError::Store(error)) => Err(Error::Store(error)),
    }
}

fn view(page: Page, tenant: &tenant::Model, form: Entered, faults: Faults) -> LimitsPage {
    LimitsPage {
        page,
        title: phrase("op-limits-title").with("name", tenant.name.as_str()),
        back: super::address(tenant.id),
        has_line: true,
        limits: form.limits.clone(),
        form,
        faults,
    }
}
