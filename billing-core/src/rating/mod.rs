//! What a call costs: tokens times prices times a multiplier, in 128-bit integers, rounded up once.
//!
//! Nothing is free by omission. A class without a price of its own takes a stated one: cache reads and writes that of
//! fresh input, the long cache that of the short one; sound, pictures and reasoning are then counted with the input or
//! output they are a part of; a hosted search costs [`WEB_SEARCH_FALLBACK`] or [`FILE_SEARCH_FALLBACK`]. Past a prompt
//! length, what the longer price leaves out costs its fallback there or what it costs else, whichever is more. An
//! explicit price of zero is a price.

mod charge;
mod class;
mod price;
#[cfg(test)]
mod tests;
mod tokens;

pub use charge::{Item, Upper, affordable_output, bound_ceil, charge_ceil, expected_ceil, itemise};
pub use class::{Class, Classes, FILE_SEARCH_FALLBACK, WEB_SEARCH_FALLBACK};
pub use price::{LongContext, Price, Tiers};
pub use tokens::{MAX_TOKENS, Tokens};

/// The multiplier that changes nothing.
pub const PPM_ONE: i64 = 1_000_000;

/// Why a call cannot be priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RatingError {
    /// More tokens of one class than any model can move: the upstream's count is not to be trusted.
    #[error("more than {MAX_TOKENS} tokens of one class")]
    AbsurdTokens,
    /// A price or multiplier below zero.
    #[error("a price or multiplier is negative")]
    NegativePrice,
    /// The tiers of the price version do not read as [`Tiers`].
    #[error("price_version.tiers does not parse")]
    MalformedTiers,
    /// The further classes of the price version do not read as [`Classes`].
    #[error("price_version.classes does not parse")]
    MalformedClasses,
    /// The charge passes what a wallet can hold.
    #[error("the charge is out of range")]
    OutOfRange,
}
