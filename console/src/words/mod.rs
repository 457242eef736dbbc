//! Every sentence a person reads: languages, the catalogs, and how credits and times are written.

mod catalog;
pub(crate) mod csv;
pub(crate) mod format;
mod locale;
mod phrase;

pub(crate) use locale::Locale;
pub(crate) use phrase::{Phrase, phrase};
