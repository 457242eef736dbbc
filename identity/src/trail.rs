//! Lines of the audit trail. Never a secret, never a mail address.

use entity::{Actor, audit_trail::Entry};
use std::fmt;

/// A line with nothing but who, what and to what; the rest is filled in where there is more to say.
pub(crate) fn line<T: fmt::Display>(
    actor: Actor,
    action: &'static str,
    (kind, id): (&'static str, T),
) -> Entry {
    Entry {
        actor,
        action,
        subject: (kind, id.to_string()),
        tenant: None,
        reason: None,
        detail: None,
    }
}
