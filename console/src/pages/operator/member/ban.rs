//! Bans a member, after a question.

use super::Named;
use crate::{
    Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::operator::{
        confirm::{Confirm, Reason},
        field, tenant,
    },
    words::phrase,
};
use actix_web::web;
use entity::MemberId;
use identity::member::{MemberError, ban};

/// The question.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<MemberId>,
) -> Answer {
    let named = super::found(&console, path.into_inner()).await?;

    question(page, &named).ask()
}

/// The answer yes, with a reason.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    path: web::Path<MemberId>,
    form: Protected<Reason>,
) -> Answer {
    let named = super::found(&console, path.into_inner()).await?;
    let Protected(form) = form;
    let reason = match field::reason(&form.reason) {
        Ok(reason) => reason,
        Err(fault) => return question(page, &named).ask_again(form, fault),
    };

    let outcome = ban(
        &console.db,
        &operator.0,
        named.member.id,
        reason,
        console.clock.now(),
    )
    .await;

    let back = reply::see_other(tenant::address(named.member.tenant_id));
    match outcome {
        Ok(()) => Ok(back.flash(
            Tone::Good,
            phrase("op-member-banned-done").with("name", named.name),
        )),
        Err(MemberError::IsOperator) => Ok(back.flash(Tone::Bad, phrase("op-member-is-operator"))),
        Err(MemberError::AlreadyBanned | MemberError::NotBanned | MemberError::AlreadyMember) => {
            Ok(back.flash(Tone::Note, phrase("op-done-nothing")))
        }
        Err(MemberError::NotFound) => Err(Error::NotFound),
        Err(MemberError::Store(error)) => Err(Error::Store(error)),
    }
}

fn question(page: Page, named: &Named) -> Confirm {
    Confirm {
        page,
        title: phrase("op-member-ban-title").with("name", named.name.as_str()),
        text: phrase("op-member-ban-text"),
        button: phrase("op-member-ban"),
        danger: true,
        reason_hint: Some(phrase("op-reason-hint")),
        back: tenant::address(named.member.tenant_id),
        form: Reason::default(),
        faults: Faults::none(),
    }
}
