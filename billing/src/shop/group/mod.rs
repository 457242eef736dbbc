//! Groups: the shelves that keys choose from.

mod add;
mod change;
mod default;

pub use add::{AddGroup, AddGroupError, add};
pub use change::{ChangeGroup, ChangeGroupError, change};
pub use default::{ensure_default, ensure_default_in};
