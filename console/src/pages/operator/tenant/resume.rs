//! Lets a suspended tenant call again, after a question.

use crate::{
    Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::operator::{
        confirm::{Confirm, Reason},
        field,
    },
    words::phrase,
};
use actix_web::web;
use entity::{TenantId, tenant};
use identity::tenant::{TenantError, resume};

/// The question.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<TenantId>,
) -> Answer {
    let tenant = super::found(&console, path.into_inner()).await?;

    question(page, &tenant).ask()
}

/// The answer yes, with a reason.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    path: web::Path<TenantId>,
    form: Protected<Reason>,
) -> Answer {
    let tenant = super::found(&console, path.into_inner()).await?;
    let Protected(form) = form;
    let reason = match field::reason(&form.reason) {
        Ok(reason) => reason,
        Err(fault) => return question(page, &tenant).ask_again(form, fault),
    };

    let outcome = resume(
        &console.db,
        &operator.0,
        tenant.id,
        reason,
        console.clock.now(),
    )
    .await;

    let back = reply::see_other(super::address(tenant.id));
    match outcome {
        Ok(()) => Ok(back.flash(
            Tone::Good,
            phrase("op-tenant-resumed-done").with("name", tenant.name),
        )),
        Err(TenantError::AlreadySuspended | TenantError::NotSuspended) => {
            Ok(back.flash(Tone::Note, phrase("op-done-nothing")))
        }
        Err(TenantError::NotFound) => Err(Error::NotFound),
        Err(TenantError::Store(error)) => Err(Error::Store(error)),
    }
}

fn question(page: Page, tenant: &tenant::Model) -> Confirm {
    Confirm {
        page,
        title: phrase("op-tenant-resume-title").with("name", tenant.name.as_str()),
        text: phrase("op-tenant-resume-text"),
        button: phrase("op-tenant-resume"),
        danger: false,
        reason_hint: Some(phrase("op-reason-hint")),
        back: super::address(tenant.id),
        form: Reason::default(),
        faults: Faults::none(),
    }
}
