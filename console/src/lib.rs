//! People: the pages over identity and billing, their forms and cookies, the docs, and mail.
//!
//! Only edges live here: a page reads what it shows, a form calls one operation of `identity` or `billing`.
//! It never talks to the gateway and holds no rule about credits.
//! Start with [`routes::ROUTES`] (every path and who may see it), then `frame` (what every page shares) and the
//! folder of a page under `pages`.

mod assets;
mod console;
mod error;
mod frame;
mod limits;
pub mod mail;
mod pages;
pub mod probe;
pub mod routes;
mod words;

pub use console::{Config, Console, FormSecret, Parts};
pub use error::Error;
