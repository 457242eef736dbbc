//! What every page shares: who looks and in which language ([`Visit`]), the frame around the content ([`Page`]),
//! proof that a form is ours ([`Protected`]), rights, answers and headers.

mod cookie;
mod headers;
mod nav;
mod page;
mod protect;
pub(crate) mod reply;
mod rights;
mod visit;

pub(crate) use page::Page;
pub(crate) use protect::{Faults, Protected};
pub(crate) use reply::{Reply, Tone};
pub(crate) use rights::{Operator, SignedIn, Support};
pub(crate) use visit::{Theme, Visit, visit};

use crate::{Console, Error};
use actix_web::web;

/// The console as handlers take it.
pub(crate) type State = web::Data<Console>;

/// What a handler gives back.
pub(crate) type Answer = Result<Reply, Error>;
