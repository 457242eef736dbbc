//! How an installation is set up: one typed value, read once from the environment, an optional TOML file and
//! the command line. All faults are reported together, each with the way to mend it.
//!
//! [`VARIABLES`] is the one table: `.env.example` is printed from it, and a name outside it is a fault.

mod assemble;
mod fault;
mod generated;
mod reader;
mod secret;
mod settings;
mod table;
#[cfg(test)]
mod tests;

pub use fault::{Fault, Faults};
pub use secret::{Key, Secret};
pub use settings::{
    Config, Database, Keys, Log, LogFormat, Mail, Overrides, Smtp, SmtpTls, Stripe,
};
pub use table::{VARIABLES, Variable, example};
