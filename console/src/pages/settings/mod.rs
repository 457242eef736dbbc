//! The reader's own settings: name, language, colours, password, the tenants they belong to, and the browsers that are
//! signed in.

mod browser;
pub(crate) mod password;
pub(crate) mod profile;
pub(crate) mod sessions;
pub(crate) mod tenants;
