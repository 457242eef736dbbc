//! The pure core of billing: what calls cost, what plans say, and what a hold, a settlement, an extension or an expiry
//! does to a wallet. It has no I/O, no clock, no randomness in its decisions and no floats, so that all of it can be
//! tried in memory, a million times over.
//!
//! Start with [`rating`] (what a call costs), [`plan`] (what a tenant's plans say), [`cap`] (limits beside plans) and
//! [`admission`] (what happens to a wallet).
#![cfg_attr(
    not(test),
    deny(
        clippy::float_arithmetic,
        clippy::as_conversions,
        clippy::arithmetic_side_effects
    )
)]

pub mod admission;
pub mod cap;
pub mod expectation;
pub mod plan;
pub mod rating;
