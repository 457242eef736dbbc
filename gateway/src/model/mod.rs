//! The models that a key may use, in the shapes that clients read.

mod list;
mod shape;

pub(crate) use list::{list, show};
