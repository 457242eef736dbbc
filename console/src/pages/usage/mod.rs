//! Finished calls: the list with its filters, and one call with how its cost came about.

pub(crate) mod bill;
pub(crate) mod call;
pub(crate) mod export;
pub(crate) mod list;
pub(super) mod rows;
