//! The documentation at `/docs`: prose per language under `templates/docs`, filled with this installation's address
//! and with models it really serves.

mod article;
mod guide;
mod show;

pub(crate) use show::{show, start};
