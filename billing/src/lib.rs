//! Everything that must stay true about credits: ledger, rating, plan rules, codes, subscriptions, payments. No HTTP
//! server, no pages, no status codes.
//!
//! Start with [`rating`] (what a call costs), [`lane`] (how a call holds credits and settles), [`admission`] (the pure
//! core behind it), [`ledger`] (how credits come in), [`plan`] (what a tenant's plans say) and [`shop`] (what is
//! sold).
#![cfg_attr(
    not(test),
    deny(
        clippy::float_arithmetic,
        clippy::as_conversions,
        clippy::arithmetic_side_effects
    )
)]

pub use billing_core::{admission, rating};

pub mod audit;
mod bulk;
pub mod cap;
pub mod code;
pub mod expectation;
pub mod lane;
pub mod ledger;
pub mod payment;
pub mod plan;
pub mod shop;
pub mod subscription;
pub mod sweeper;
