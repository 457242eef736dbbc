//! What is for sale and where it is fetched, as one unchanging picture that calls share.

mod load;
mod name;
mod shelf;
mod watch;

pub(crate) use shelf::{
    Channel, Credential, Group, Model, Price, Snapshot, Unfit, Upstream, endpoint,
};
pub(crate) use watch::Catalog;
