//! The limits of a key that is there already, how far each window is used, and what pays for its calls.

use super::{hint, pay};
use crate::{
    Error,
    frame::{Answer, Faults, Page, Protected, SignedIn, State, Tone, reply},
    pages::limit::{self, Fields},
    words::{Phrase, format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::{
    cap::{self, CapError, SetCaps, Whose},
    plan::Quantity,
    subscription::WindowStand,
};
use entity::{KeyId, key::Model};
use identity::key::{self, KeyChangeError};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/keys/limits.html")]
struct LimitsPage {
    page: Page,
    name: String,
    hint: String,
    stands: Vec<Stand>,
    pay_orders: Vec<pay::Choice>,
    limits: Fields,
    faults: Faults,
}

/// How far one window is used.
struct Stand {
    window: Phrase,
    used: String,
    most: String,
    resets_at: format::Moment,
}

/// What the form sends.
#[derive(Default, Deserialize)]
pub(crate) struct Form {
    #[serde(default)]
    pay_order: String,
    #[serde(flatten)]
    limits: Fields,
}

/// The form.
pub(crate) async fn show(
    console: State,
    page: Page,
    member: SignedIn,
    path: web::Path<String>,
) -> Answer {
    let found = found(&console, &member, &path).await?;
    let caps = cap::list(&console.db, found.tenant_id, Whose::Key(found.id)).await?;
    let form = Form {
        pay_order: pay::word(found.pay_order).to_owned(),
        limits: Fields::of(caps).0,
    };

    reply::page(&view(&console, page, &found, form, Faults::none()).await?)
}

/// Sets them; they bind at the next call.
pub(crate) async fn submit(
    console: State,
    page: Page,
    member: SignedIn,
    path: web::Path<String>,
    Protected(form): Protected<Form>,
) -> Answer {
    let found = found(&console, &member, &path).await?;
    let (db, now, whose) = (&console.db, console.clock.now(), Whose::Key(found.id));
    let mut faults = Faults::none();
    let Some(limits) = form.limits.read(&mut faults) else {
        return reply::refused(&view(&console, page, &found, form, faults).await?);
    };
    let (_, others) = Fields::of(cap::list(db, found.tenant_id, whose).await?);

    let order = SetCaps {
        tenant: found.tenant_id,
        whose,
        limits: limits.into_iter().chain(others).collect(),
        actor: member.actor(),
        reason: None,
    };
    match cap::set(db, order, now).await {
        Ok(()) => {}
        Err(CapError::OutOfRange | CapError::TooMany) => {
            let faults = Faults::of("spend", phrase("op-fault-range"));
            return reply::refused(&view(&console, page, &found, form, faults).await?);
        }
        Err(CapError::NoSuchBearer) => return Err(Error::NotFound),
        Err(CapError::Store(fault)) => return Err(Error::Store(fault)),
    }
    if let Some(order) = pay::parse(&form.pay_order) {
        match key::pay_by(db, &member, found.id, order, now).await {
            Ok(()) | Err(KeyChangeError::Revoked) => {}
            Err(KeyChangeError::NotFound) => return Err(Error::NotFound),
            Err(KeyChangeError::Store(fault)) => return Err(Error::Store(fault)),
        }
    }
    Ok(reply::see_other("/console/keys").flash(Tone::Good, phrase("keys-limits-done")))
}

async fn found(console: &State, member: &SignedIn, id: &str) -> Result<Model, Error> {
    let id: KeyId = id.parse().map_err(|_| Error::NotFound)?;
    let found = key::show(&console.db, member, id).await?;
    found.ok_or(Error::NotFound)
}

async fn view(
    console: &State,
    page: Page,
    found: &Model,
    form: Form,
    faults: Faults,
) -> Result<LimitsPage, Error> {
    let (db, now) = (&console.db, console.clock.now());
    let stands = cap::stands(db, found.tenant_id, Whose::Key(found.id), now).await?;
    let stands = stands.into_iter().filter_map(|(_, stand)| stand);
    Ok(LimitsPage {
        page,
        name: found.name.clone(),
        hint: hint(found),
        stands: stands.map(|stand| Stand::of(&stand)).collect(),
        pay_orders: pay::choices(&form.pay_order),
        limits: form.limits,
        faults,
    })
}

impl Stand {
    fn of(stand: &WindowStand) -> Self {
        let amount = |quantity| match quantity {
            Quantity::Credits(credits) => format::credits(credits),
            Quantity::Requests(calls) => format::count(calls),
        };
        Self {
            window: limit::label(stand.window),
            used: amount(stand.used),
            most: amount(stand.limit),
            resets_at: format::moment(stand.resets_at),
        }
    }
}
