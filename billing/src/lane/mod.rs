//! Lanes carry out what admission decides: one batch at a time, one transaction a batch.
//!
//! While a batch commits, the next one gathers, so the batch grows with the load and nobody waits for a timer. A
//! wallet always goes to the same lane of its process, and a batch locks its wallets in one order before it
//! reads anything, so lanes of several processes never deadlock. The database decides every contest; a lane only
//! saves round trips.

mod apply;
mod ask;
mod beside;
mod guard;
mod known;
mod load;
mod meter;
mod notes;
mod queue;
mod wait;

pub use guard::Hold;
pub use meter::Spent;
pub use queue::{LaneSettings, Lanes};
