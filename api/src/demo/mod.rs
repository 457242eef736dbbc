//! `tollgate demo`: a working installation in a fresh data folder, with something on every shelf.

mod check;
mod endpoint;
mod stage;
mod welcome;

pub use check::{CheckError, check};
pub use stage::{Stage, StageError, furnish};
pub use welcome::welcome;
