//! The pure core of the ledger: what a hold, a settlement, an extension or an expiry does to a wallet.
//!
//! A [`Wallet`] is one wallet's rows in memory, locked by whoever loaded them. Its methods decide and change
//! it, without I/O, clock or floats; [`Wallet::take_changes`] is what to write. A refused operation leaves it
//! as it was. The seam is here: where a lane keeps wallets, and how it writes them, is its own affair.

mod ask;
mod batch;
mod draw;
mod end;
mod grow;
mod hold;
mod lot;
mod memory;
mod payer;
mod share;
#[cfg(test)]
mod tests;
mod wallet;

pub use ask::{
    EndRefusal, ExtendRefusal, Growth, HoldOrder, HoldRefusal, Settled, Settlement, VoidReason,
    Whose,
};
pub use batch::{Answer, Ask, Batch, Ending};
pub use grow::Note;
pub use lot::{Lot, Scope};
pub use memory::Memory;
pub use payer::{Caller, Offer, Subscribed};
pub use wallet::{Allocation, Changes, OpenHold, Wallet};

pub use wallet::{Legs, broken};
