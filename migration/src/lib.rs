//! The history of the schema. Never imports `entity`: history must not move when the present does.
//!
//! [`up`] brings a database of either kind to the present; [`down`] takes it back to nothing. `ddl` is the one
//! place where the two kinds of database differ.

mod ddl;
mod m20261121_1_create_schema;
mod m20261121_2_create_cap;
mod m20261121_3_price_classes;
mod m20261121_4_plan_depth;
mod m20261121_5_routing_and_policy;
mod m20261121_6_call_links;
mod m20261121_7_stop_when_left;
mod m20261121_8_call_claims;
mod m20261121_9_counted_factor;
mod m20261122_10_strict_translation;
mod run;

pub use run::{down, pending, up};
