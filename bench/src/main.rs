//! Benchmarks: how fast the product is beside what its database alone can do, measured in the same run on the same
//! machine, for only their ratio says something.
//!
//! `cargo run --release -p bench -- ledger` measures `SQLite`, and with `TEST_DATABASE_URL` set that `PostgreSQL` too.

mod ledger;
mod table;

#[path = "../../tests/it/support"]
#[expect(dead_code, reason = "the tests use more of it")]
mod support {
    pub mod books;
    pub mod database;
}

use clap::Parser;

/// Measures Tollgate.
#[derive(Parser)]
enum Command {
    /// Holds and settlements a second, beside raw SQL that writes the same rows.
    Ledger(ledger::Options),
}

#[tokio::main]
async fn main() {
    match Command::parse() {
        Command::Ledger(options) => ledger::run(&options).await,
    }
}
