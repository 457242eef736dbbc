//! Who: tenants and their members, passwords, sessions, mailed links, API keys, and the sealing of secrets at
//! rest. No HTTP, no HTML, no credits: what a person may do is decided here, what it costs is not.
//!
//! Start with [`session::sign_in`] (how a right comes to be), [`right`] (what it allows) and [`key::issue`]
//! (the one moment a key can be read). Every secret is shown once and kept as a digest; every change of who
//! may do what is a line of the audit trail in the same transaction.

mod digits;
mod name;
mod token;
mod trail;

pub mod email;
pub mod email_token;
pub mod key;
pub mod member;
pub mod operator;
pub mod password;
pub mod person;
pub mod reason;
pub mod right;
pub mod ring;
pub mod seal;
pub mod session;
pub mod setup;
pub mod tenant;

pub use email::EmailAddress;
pub use name::NameFault;
pub use reason::Reason;
pub use right::{Operator, SignedIn, Support};
pub use token::{SessionToken, SetupSecret, TokenSecret};
