//! Credits that come in, lapse and are put right, each a balanced transaction with a business key of its own.
//!
//! The key is claimed first (insert, do nothing on conflict), the balance changes second, under the wallet's
//! lock; a replay returns the first outcome. What calls hold and spend is decided in [`crate::admission`] and
//! carried out by [`crate::lane`].

mod adjust;
mod balance;
mod expire;
mod grant;
mod refund_call;
mod roll;
mod statement;
mod take;
mod wallet;
mod write_off;

pub use adjust::{AdjustError, Adjusted, Adjustment, Change, adjust, adjust_in};
pub use balance::{Balance, BalanceAt, balance, balance_at};
pub use expire::{Expired, expire_due};
pub use grant::{Cost, GrantError, GrantOrder, Granted, give, grant, grant_in};
pub use refund_call::{
    CallRefund, CallRefundError, CallRefunded, given_back, refund_call, refund_call_in,
};
pub use statement::{
    Leg, Line, Paid, Period, Posting, STATEMENT_MAX, posting, statement, statement_of,
};
pub use wallet::{Limits, LimitsError, set_limits, set_status, wallet_of};
pub use write_off::{WriteOff, WriteOffError, WrittenOff, write_off, write_off_in};

pub(crate) use expire::lapse_in;
pub(crate) use roll::{Roll, roll_in};
pub(crate) use take::{From, Taking, take_in, there};
pub(crate) use wallet::open_in;
