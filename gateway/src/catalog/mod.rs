//! What is for sale and where it is fetched, as one unchanging picture that calls share.

mod load;
mod name;
mod shelf;
mod watch;

pub(crate) use shelf::{Channel, Group, Model, Price, Snapshot, Upstream, endpoint};
pub(crate) use watch::Catalog;
