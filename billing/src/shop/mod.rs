//! The shop: what is sold, at which price, from which shelf and over which channel. Operators change it here; each
//! change writes the audit trail in its own transaction.
//!
//! Start with [`price_table`] and [`import`] (where prices come from), then the module named after the noun.

pub mod channel;
pub mod group;
pub mod import;
pub mod model;
pub mod price_table;
pub mod tenant;
