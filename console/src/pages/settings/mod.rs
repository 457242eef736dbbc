//! The reader's own settings: name, language, colours, and the browsers that are signed in.

mod browser;
pub(crate) mod profile;
pub(crate) mod sessions;
