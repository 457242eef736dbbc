//! What operators see and do: tenants, prices, channels, codes, plans, orders. Every handler takes [`Operator`], so none
//! of them runs for anybody else; every change is an operation of `identity` or `billing`, which writes the audit trail.
//!
//! [`Operator`]: crate::frame::Operator

pub(crate) mod audit;
pub(crate) mod badge;
pub(crate) mod call;
pub(crate) mod channel;
pub(crate) mod code;
mod confirm;
pub(crate) mod doubts;
pub(super) mod field;
pub(crate) mod group;
mod limits;
mod listing;
pub(crate) mod member;
pub(crate) mod model;
mod once;
pub(crate) mod order;
pub(crate) mod overview;
pub(crate) mod plan;
mod portion;
pub(crate) mod reasoned;
pub(crate) mod tenant;
