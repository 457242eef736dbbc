//! Groups as operators see them.

pub(crate) mod add;
pub(crate) mod change;
pub(crate) mod list;

/// Where the list is.
pub(super) const LIST: &str = "/console/operator/groups";
