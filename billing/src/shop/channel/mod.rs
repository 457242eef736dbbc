//! Channels: the upstream accounts. A secret arrives here sealed; nothing in this crate can open it.

mod add;
mod change;
pub mod check;
mod keys;
mod options;
mod refuse_key;
mod serve;
mod switch;

pub use add::{AddChannel, AddChannelError, SealedSecret, add};
pub use change::{ChangeChannel, ChangeChannelError, change};
pub use keys::{KEYS_MAX, KeyError, add_key, remove_key};
pub use options::{OptionsError, set_options};
pub use refuse_key::{KEY_REFUSED_TOPIC, refuse_key};
pub use serve::{MODELS_MAX, ServeError, Served, serve};
pub use switch::{SwitchError, disable, enable};
