//! Redemption codes: made in batches, kept as keyed digests, each giving exactly as often as it may.

mod batch;
mod form;
mod redeem;

pub use batch::{
    BatchError, BatchUse, DisableError, Gives, Made, NewBatch, SIZE_MAX, create_batch,
    disable_batch, list_batches,
};
pub use form::{CodeFault, CodeKeys, KeyTooShort, RedemptionCode};
pub use redeem::{Redeem, RedeemError, Redeemed, redeem};
