//! Limits on the calls of one member.

use super::Named;
use crate::{
    Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::{
        limit::Fields,
        operator::{
            limits::{Entered, LimitsPage},
            tenant,
        },
    },
    words::phrase,
};
use actix_web::web;
use billing::cap::{self, CapError, SetCaps, Whose};
use entity::MemberId;

/// The form.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<MemberId>,
) -> Answer {
    let named = super::found(&console, path.into_inner()).await?;
    let whose = Whose::Member(named.member.id);
    let (fields, _) = Fields::of(cap::list(&console.db, named.member.tenant_id, whose).await?);

    reply::page(&view(page, &named, Entered::filled(fields), Faults::none()))
}

/// The form sent.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    path: web::Path<MemberId>,
    form: Protected<Entered>,
) -> Answer {
    let named = super::found(&console, path.into_inner()).await?;
    let Protected(form) = form;
    let wish = match form.read() {
        Ok(wish) => wish,
        Err(faults) => return reply::refused(&view(page, &named, form, faults)),
    };
    let (tenant, whose) = (named.member.tenant_id, Whose::Member(named.member.id));
    let (_, others) = Fields::of(cap::list(&console.db, tenant, whose).await?);

    let order = SetCaps {
        tenant,
        whose,
        limits: wish.limits.into_iter().chain(others).collect(),
        actor: operator.0.actor(),
        reason: Some(wish.reason.as_str().to_owned()),
    };
    let outcome = cap::set(&console.db, order, console.clock.now()).await;

    match outcome {
        Ok(()) => {
            Ok(reply::see_other(tenant::address(tenant))
                .flash(Tone::Good, phrase("op-limits-done")))
        }
        Err(CapError::OutOfRange | CapError::TooMany) => {
            let faults = Faults::of("spend", phrase("op-fault-range"));
            reply::refused(&view(page, &named, form, faults))
        }
        Err(CapError::NoSuchBearer) => Err(Error::NotFound),
        Err(CapError::Store(error)) => Err(Error::Store(error)),
    }
}

fn view(page: Page, named: &Named, form: Entered, faults: Faults) -> LimitsPage {
    LimitsPage {
        page,
        title: phrase("op-limits-title").with("name", named.name.as_str()),
        back: tenant::address(named.member.tenant_id),
        has_line: false,
        limits: form.limits.clone(),
        form,
        faults,
    }
}
