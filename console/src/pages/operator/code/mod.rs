//! Redemption codes as operators see them: batches, and the one look at their codes.

pub(crate) mod disable;
pub(crate) mod list;
pub(crate) mod make;

/// Where the list is.
pub(super) const LIST: &str = "/console/operator/codes";
