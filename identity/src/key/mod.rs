//! API keys: how they are written, what is wrong with one that is not, how they are kept, and who may do what
//! to whose.

mod change;
mod digest;
mod find;
mod form;
mod inspect;
mod issue;
mod list;
mod renew;

pub use change::{KeyChangeError, disable, enable, pay_by, rename, revoke};
pub use digest::{KeyDigest, Keys, PepperRing};
pub use find::{CallerRow, find, find_by_digest};
pub use form::{KeyForm, KeyName, KeySecret, PrefixFault};
pub use inspect::{KeyFault, WellFormed, inspect};
pub use issue::{IssueKey, IssueKeyError, MAX_KEYS, MAX_KEYS_HOURLY, issue};
pub use list::{list, show};
pub use renew::move_to_newest_pepper;
