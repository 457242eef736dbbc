//! Plans as operators see them.

pub(crate) mod add;
pub(crate) mod list;
pub(crate) mod publish;
mod terms;

/// Where the list is.
pub(super) const LIST: &str = "/console/operator/plans";
