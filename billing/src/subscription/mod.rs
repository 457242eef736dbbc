//! A tenant's copy of a plan version: how it starts, how its periods follow each other, how it ends.
//!
//! Periods count from the anchor in UTC, so that a month that started on the 31st comes back to the 31st. Each period
//! grants its allowance once (business key `plan:<subscription>:<start>`) and the allowance lapses with the period.
//!
//! What a member chose is paid for out of the wallet, period by period (`pay:<subscription>:<start>`); what a code or an
//! operator gave is not. A step up in the middle of a period is prorated ([`crate::plan::proration`]) under
//! `upgrade:<subscription>:<start>:<version>`; what is left at a period's end may roll over
//! (`roll:<subscription>:<start>`); ending at once lets the allowance lapse (`end:<subscription>`).

mod change;
mod current;
mod end;
mod offer;
mod period;
mod renew;
mod subscribe;
mod windows;

pub use change::{Change, ChangeError, Quote, Upgraded, change_at_end, quote, upgrade};
pub use current::{Current, current, shown};
pub use end::{End, EndError, Stop, end, resume, stop_for};
pub use offer::{ForSale, for_sale, payable, price_in_credits};
pub use renew::{Renewed, renew_due};
pub use subscribe::{Subscribe, SubscribeError, subscribe, subscribe_in};
pub(crate) use windows::{Counter, zone};
pub use windows::{WindowStand, windows};

use entity::subscription::Status;

/// States in which a subscription's plan counts.
pub(crate) const RUNNING: [Status; 3] = [Status::Active, Status::PastDue, Status::Canceling];
