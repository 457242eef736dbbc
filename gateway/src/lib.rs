//! One request for a model: who calls, may they, hold, route, forward, count, settle.
//!
//! Owns the model endpoints, their protocols on the wire and between each other, the choice of channels, the relay that
//! outlives its connection, and the built-in sandbox upstream. It refuses to know pages, sessions, plans' rules and how credits are
//! kept: `identity` says who calls, `billing` holds and settles, `outbound` is the way out.
//!
//! Start at [`routes::configure`], then `call::answer`, which is the life of a call from top to bottom.

mod balance;
mod call;
mod caller;
mod catalog;
mod doctor;
mod error;
mod evidence;
pub mod fuzz;
mod gateway;
mod model;
mod refused;
mod reply;
pub mod routes;
mod sandbox;
mod stray;
mod translate;
mod wire;

pub use doctor::{Case, Check, Finding, Misfit, ModelFit, State, diagnose};
pub use error::Code;
pub use gateway::{Config, Gateway};
pub use sandbox::MODELS as SANDBOX_MODELS;
