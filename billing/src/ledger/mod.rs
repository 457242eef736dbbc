//! Credits that come in, lapse and are put right, each a balanced transaction with a business key of its own.
//!
//! The key is claimed first (insert, do nothing on conflict), the balance changes second, under the wallet's
//! lock; a replay returns the first outcome. What calls hold and spend is decided in [`crate::admission`] and
//! carried out by [`crate::lane`].

mod adjust;
mod balance;
mod expire;
mod grant;
mod statement;
mod wallet;

pub use adjust::{AdjustError, Adjusted, Adjustment, Change, adjust, adjust_in};
pub use balance::{Balance, balance};
pub use expire::{Expired, expire_due};
pub use grant::{Cost, GrantError, GrantOrder, Granted, grant, grant_in};
pub use statement::{Line, statement};
pub use wallet::{Limits, LimitsError, set_limits, set_status, wallet_of};

pub(crate) use wallet::{lock_in, open_in};
