//! `tollgate demo`: a working installation in a fresh data folder, with something on every shelf.

mod check;
mod stage;

pub use check::{CheckError, check};
pub use stage::{Stage, StageError, furnish};
