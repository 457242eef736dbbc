//! Channels: the upstream accounts. A secret arrives here sealed; nothing in this crate can open it.

mod add;
mod change;
mod serve;
mod switch;

pub use add::{AddChannel, AddChannelError, SealedSecret, add};
pub use change::{ChangeChannel, ChangeChannelError, change};
pub use serve::{MODELS_MAX, ServeError, Served, serve};
pub use switch::{SwitchError, disable, enable};
