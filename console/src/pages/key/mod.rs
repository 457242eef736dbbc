//! Keys: the list, making one (its text is shown once, on the answer to the form), switching off and on, revoking.

pub(crate) mod change;
mod connect;
pub(crate) mod issue;
pub(crate) mod limits;
pub(crate) mod list;
pub(in crate::pages) mod pay;
pub(crate) mod revoke;

use entity::key::Model;

/// A key as its holder recognises it: `sk-tg-…a1B2`.
fn hint(key: &Model) -> String {
    format!("{}…{}", key.prefix, key.last4)
}
