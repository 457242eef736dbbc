//! Makes a person who has signed up a member of a tenant.

use crate::{
    Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::operator::{badge, field},
    words::{Phrase, phrase},
};
use actix_web::web;
use askama::Template;
use entity::{TenantId, member::Role, tenant};
use identity::{
    EmailAddress,
    member::{AddMember as Order, MemberError, add},
};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/operator/add_member.html")]
struct AddMember {
    page: Page,
    name: String,
    back: String,
    form: Entered,
    faults: Faults,
}

/// The form as sent.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Entered {
    #[serde(default)]
    email: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    reason: String,
}

impl Entered {
    const ROLES: [Role; 4] = [Role::Developer, Role::Billing, Role::Admin, Role::Owner];

    fn role(&self) -> Role {
        Self::ROLES
            .into_iter()
            .find(|role| Self::word(*role) == self.role)
            .unwrap_or(Role::Developer)
    }

    const fn word(role: Role) -> &'static str {
        match role {
            Role::Owner => "owner",
            Role::Admin => "admin",
            Role::Billing => "billing",
            Role::Developer => "developer",
        }
    }

    /// Each role: its word in the form, its name, and whether it is chosen.
    fn roles(&self) -> Vec<(&'static str, Phrase, bool)> {
        Self::ROLES
            .into_iter()
            .map(|role| (Self::word(role), badge::role(role), role == self.role()))
            .collect()
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

    reply::page(&view(page, &tenant, Entered::default(), Faults::none()))
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
    let unknown = |_| phrase("op-member-unknown");
    let email = faults.take("email", EmailAddress::parse(&form.email).map_err(unknown));
    let reason = faults.take("reason", field::reason(&form.reason));
    let (Some(email), Some(reason)) = (email, reason) else {
        return reply::refused(&view(page, &tenant, form, faults));
    };

    let order = Order {
        tenant: tenant.id,
        email,
        role: form.role(),
    };
    let outcome = add(&console.db, &operator.0, order, reason, console.clock.now()).await;

    let fault = match outcome {
        Ok(_) => {
            let done = phrase("op-member-added-done").with("email", form.email.trim());
            return Ok(reply::see_other(super::address(tenant.id)).flash(Tone::Good, done));
        }
        Err(MemberError::AlreadyMember) => phrase("op-member-already"),
        Err(
            MemberError::NotFound
            | MemberError::IsOperator
            | MemberError::AlreadyBanned
            | MemberError::NotBanned,
        ) => phrase("op-member-unknown"),
        Err(MemberError::Store(error)) => return Err(Error::Store(error)),
    };
    reply::refused(&view(page, &tenant, form, Faults::of("email", fault)))
}

fn view(page: Page, tenant: &tenant::Model, form: Entered, faults: Faults) -> AddMember {
    AddMember {
        page,
        name: tenant.name.clone(),
        back: super::address(tenant.id),
        form,
        faults,
    }
}
