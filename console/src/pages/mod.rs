//! The pages, one folder or file a noun: the template's struct above the handler that fills it.

pub(crate) mod account;
pub(crate) mod buy;
mod clause;
pub(crate) mod docs;
pub(crate) mod error_page;
pub(crate) mod home;
pub(crate) mod key;
mod limit;
pub(crate) mod operator;
pub(crate) mod overview;
pub(crate) mod plan;
pub(crate) mod preferences;
mod reader;
pub(crate) mod redeem;
pub(crate) mod rejections;
pub(crate) mod settings;
pub(crate) mod statement;
pub(crate) mod usage;
