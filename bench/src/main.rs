//! Benchmarks: how fast the product is beside what its database alone can do, measured in the same run on the same
//! machine, for only their ratio says something.
//!
//! `cargo run --release -p bench -- ledger` measures the ledger, `-- gateway` whole calls; on `SQLite`, and with
//! `TEST_DATABASE_URL` set on that `PostgreSQL` too. `-- audit --rows 10000000` writes a book of so many calls on each and
//! times the audit of it.

mod audit;
mod gateway;
mod ledger;
mod table;

#[path = "../../tests/it/support"]
#[expect(dead_code, reason = "the tests use more of it")]
mod support {
    pub mod books;
    pub mod database;
}

use clap::Parser;

/// The program's own, for what is measured is the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Tollgate.
#[derive(Parser)]
enum Command {
    /// Holds and settlements a second, beside raw SQL that writes the same rows.
    Ledger(ledger::Options),
    /// Seconds that an audit of many calls takes.
    Audit(audit::Options),
    /// Calls through the gateway, beside the upstream asked directly and through nginx.
    Gateway(gateway::Options),
    /// The scripted upstream of the gateway's benchmark.
    #[command(hide = true)]
    Upstream,
    /// Tollgate in the gateway's benchmark.
    #[command(hide = true)]
    Tollgate(gateway::TollgateSettings),
    /// What memory it takes when far more calls ask for credits at once than may wait.
    Crowd(ledger::crowd::Options),
}

#[tokio::main]
async fn main() {
    match Command::parse() {
        Command::Ledger(options) => ledger::run(&options).await,
        Command::Audit(options) => audit::run(&options).await,
        Command::Gateway(options) => gateway::run(&options).await,
        Command::Upstream => gateway::be_upstream().await,
        Command::Tollgate(settings) => gateway::be_tollgate(&settings).await,
        Command::Crowd(options) => ledger::crowd::run(&options).await,
    }
}
