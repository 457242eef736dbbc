//! The ground every crate shares: tables and the values in them, tenant-scoped finders, the one way to
//! write, and what time it is. No operations, no HTTP.
//!
//! Start with [`Database`] (how rows are read and written), [`Credits`] and [`Timestamp`], then a table's own module.

mod clock;
mod credits;
mod database;
mod id;
mod protocol;
mod scope;
mod timestamp;

pub mod audit_trail;
pub mod cap;
pub mod channel;
pub mod channel_model;
pub mod code;
pub mod code_batch;
pub mod email_token;
pub mod grant;
pub mod group;
pub mod group_channel;
pub mod hold;
pub mod hold_allocation;
pub mod hold_window;
pub mod key;
pub mod lease;
pub mod ledger_entry;
pub mod ledger_transaction;
pub mod member;
pub mod model;
pub mod order;
pub mod outbox;
pub mod payment_inbox;
pub mod person;
pub mod plan;
pub mod plan_version;
pub mod price_version;
pub mod quota_counter;
pub mod redemption;
pub mod rejection;
pub mod retention;
pub mod session;
pub mod setting;
pub mod subscription;
pub mod tenant;
pub mod usage;
pub mod usage_allocation;
pub mod usage_window;
pub mod wallet;

pub use audit_trail::Actor;
pub use clock::Clock;
pub use credits::{Credits, CreditsError};
pub use database::{Database, Settings, Tx, WriteFuture};
pub use id::*;
pub use protocol::Protocol;
pub use scope::{Platform, Scoped};
pub use timestamp::Timestamp;
