//! One purchase, from the row we write first to the credits it becomes.
//!
//! The provider's session is the truth about the money and our row is the truth about what was ordered: the order
//! moves towards the former only while both agree on amount, currency, mode and order. Where they do not, it waits for
//! an operator and nothing is credited.

mod apply;
mod follow;
mod list;
mod open;
mod review;

pub use apply::{ApplyError, Hint};
pub use follow::{RefreshError, reconcile, refresh};
pub use list::{find, list, list_all};
pub use open::{OpenError, OpenOrder, open};
pub use review::{CloseError, close_review};

pub(super) use apply::apply_in;
