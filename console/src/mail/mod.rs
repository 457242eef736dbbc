//! Mail: what a letter says, how it is sent, and the outbox worked off.
//!
//! No secret waits in the outbox: a letter's link is made when the letter is sent.

mod deliver;
mod letter;
mod post;

pub use deliver::{Delivered, deliver_due};
pub use post::{Letter, MailFault, Memory, Post, Server, Tls};
