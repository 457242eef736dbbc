//! Buying credits: packs, orders, the provider behind a port, and the inbox of what it tells us.
//!
//! An order row comes first, then the provider's session under a key made of it. What the provider says now is read
//! from the provider, never believed from an event, and the order converges to it; credits come once, in the same
//! transaction as the order's last step.

pub mod inbox;
mod money;
pub mod order;
pub mod packs;
mod port;
pub mod signature;
pub mod stripe;

pub use money::{CreditPack, Money, PackFault};
pub use port::{Checkout, PaymentProvider, PaymentState, ProviderFault, SessionState, SessionView};
