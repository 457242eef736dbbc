//! The HTTP server: what every request passes, and the routes that belong to no other crate.

mod flight;
mod health;
pub mod routes;
mod visit;
mod webhook;

pub use flight::Flight;
pub use health::Health;
pub(crate) use visit::visit;
pub(crate) use webhook::Webhook;
