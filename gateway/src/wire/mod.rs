//! What goes over the wire, as pure functions: paths, credentials, bodies, streams, usage. No state, no clock.

pub(crate) mod client;
pub(crate) mod credential;
pub(crate) mod encoding;
pub(crate) mod gather;
pub(crate) mod path;
pub(crate) mod reading;
pub(crate) mod size;
pub(crate) mod sse;
pub(crate) mod tap;
pub(crate) mod text;
pub(crate) mod usage;
pub(crate) mod vector;
