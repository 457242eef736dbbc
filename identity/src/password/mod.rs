//! Passwords: which are taken, and how they are hashed and compared.

mod hasher;
mod rule;

pub use hasher::{Busy, Hasher, PasswordHash, Verdict};
pub use rule::{Attempt, Password, PasswordFault};
