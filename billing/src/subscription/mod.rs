//! A tenant's copy of a plan version: how it starts, how its periods follow each other, how it ends.
//!
//! Periods count from the anchor in UTC, so that a month that started on the 31st comes back to the 31st. Each period
//! grants its allowance once (business key `plan:<subscription>:<start>`) and the allowance lapses with the period.

mod current;
mod end;
mod period;
mod renew;
mod subscribe;
mod windows;

pub use current::{Current, current};
pub use end::{End, EndError, end};
pub use renew::{Renewed, renew_due};
pub use subscribe::{Subscribe, SubscribeError, subscribe, subscribe_in};
pub(crate) use windows::{Counter, zone};
pub use windows::{WindowStand, windows};

use entity::subscription::Status;

/// States in which a subscription's plan counts.
const RUNNING: [Status; 3] = [Status::Active, Status::PastDue, Status::Canceling];
