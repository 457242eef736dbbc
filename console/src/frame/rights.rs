//! Rights as values: a handler that takes one of these runs only for who holds it.

use super::Visit;
use crate::{Console, Error};
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};
use identity::{SessionToken, session};
use std::{
    future::{Ready, ready},
    ops::Deref,
    rc::Rc,
};

/// A person in their tenant, by a live session.
#[derive(Clone, Debug)]
pub(crate) struct SignedIn(identity::SignedIn);

impl SignedIn {
    /// Who holds the session behind the cookie's `secret`.
    pub(super) async fn resume(console: &Console, secret: &str) -> Result<Option<Self>, Error> {
        let Some(token) = SessionToken::parse(secret) else {
            return Ok(None);
        };
        let found = session::resume(&console.db, &token, console.clock.now()).await?;
        Ok(found.map(Self))
    }
}

impl Deref for SignedIn {
    type Target = identity::SignedIn;

    fn deref(&self) -> &identity::SignedIn {
        &self.0
    }
}

/// Someone who runs the installation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operator(pub identity::Operator);

impl Deref for Operator {
    type Target = identity::Operator;

    fn deref(&self) -> &identity::Operator {
        &self.0
    }
}

/// Someone who may look at the whole installation, and perhaps change nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Support;

impl FromRequest for SignedIn {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(signed_in(req))
    }
}

impl FromRequest for Operator {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(signed_in(req).and_then(|member| member.operator().map(Self).ok_or(Error::Forbidden)))
    }
}

impl FromRequest for Support {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(
            signed_in(req)
                .and_then(|member| member.support().map(|_| Self).ok_or(Error::Forbidden)),
        )
    }
}

fn signed_in(req: &HttpRequest) -> Result<SignedIn, Error> {
    let visit = of(req)?;
    visit.signed_in.clone().ok_or_else(|| Error::SignInNeeded {
        next: visit.here.clone(),
    })
}

/// The visit that the frame put into the request.
pub(super) fn of(req: &HttpRequest) -> Result<Rc<Visit>, Error> {
    req.extensions()
        .get::<Rc<Visit>>()
        .cloned()
        .ok_or_else(|| Error::Internal("a handler runs outside the frame".into()))
}
