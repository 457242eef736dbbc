//! What a call costs the ledger: one durable hold and one durable settlement, through the lanes, beside raw SQL of
//! the same rows in batches of 64 on the same database in the same run.

mod calls;
pub mod crowd;
mod floor;
mod place;
mod shape;

use crate::{
    support::books::Books,
    table::{Printer, Row, median, millis},
};
use billing::lane::LaneSettings;
use serde::Serialize;
use shape::Shape;
use std::time::Duration;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// One JSON object a row, for programs.
    #[arg(long)]
    json: bool,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Measurements of each, in turns with the floor; the median counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Callers that hold and settle at once, each waiting for its answers.
    #[arg(long, default_value_t = 128)]
    callers: usize,
    /// The PostgreSQL to measure beside SQLite.
    #[arg(long, env = "TEST_DATABASE_URL")]
    postgres: Option<String>,
    /// Only rows whose database and shape contain this, such as `hot`, `SQLite` or `SQLite 1 hot`.
    #[arg(long, default_value = "")]
    only: String,
    /// Also where the time of a call goes, in a table of its own after the first.
    #[arg(long = "where")]
    place: bool,
}

/// One shape of load on one database.
#[derive(Serialize)]
struct Line {
    database: &'static str,
    shape: &'static str,
    callers: usize,
    calls_per_second: u64,
    hold_p50_micros: u64,
    hold_p99_micros: u64,
    settle_p50_micros: u64,
    settle_p99_micros: u64,
    floor_calls_per_second: u64,
    percent_of_floor: u64,
    micros_per_call: u64,
    floor_micros_per_call: u64,
}

impl Row for Line {
    const TITLES: &'static [&'static str] = &[
        "database",
        "wallets",
        "callers",
        "calls/s",
        "hold p50 ms",
        "hold p99 ms",
        "settle p50 ms",
        "settle p99 ms",
        "floor calls/s",
        "of floor",
        "us a call",
        "floor us a call",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.database.to_owned(),
            self.shape.to_owned(),
            self.callers.to_string(),
            self.calls_per_second.to_string(),
            millis(self.hold_p50_micros),
            millis(self.hold_p99_micros),
            millis(self.settle_p50_micros),
            millis(self.settle_p99_micros),
            self.floor_calls_per_second.to_string(),
            format!("{} %", self.percent_of_floor),
            self.micros_per_call.to_string(),
            self.floor_micros_per_call.to_string(),
        ]
    }
}

/// Measures every shape on every database and prints a row each. Audits the books after each.
pub async fn run(options: &Options) {
    let databases = [
        ("SQLite", None),
        ("PostgreSQL", options.postgres.as_deref()),
    ];
    let printer = Printer::start::<Line>(options.json);
    let mut places = Vec::new();
    for (database, server) in databases {
        if server.is_none() && database != "SQLite" {
            eprintln!("PostgreSQL is left out: set TEST_DATABASE_URL or --postgres to measure it");
            continue;
        }
        let wanted = |shape: &&Shape| format!("{database} {}", shape.name).contains(&options.only);
        for shape in shape::ALL.iter().filter(wanted) {
            let (line, place) = measure(database, server, shape, options).await;
            printer.print(&line);
            places.push(place);
        }
    }
    if options.place {
        let printer = Printer::start::<place::Line>(options.json);
        for place in &places {
            printer.print(place);
        }
    }
}

async fn measure(
    database: &'static str,
    server: Option<&str>,
    shape: &Shape,
    options: &Options,
) -> (Line, place::Line) {
    let books = std::sync::Arc::new(Books::open_on(server).await);
    let payers = shape.payers(&books).await;
    let took = Duration::from_secs(options.seconds);
    let mut ours: Vec<calls::Figures> = Vec::new();
    let mut floors = Vec::new();
    for _ in 0..options.runs.max(1) {
        floors.push(floor::measure(&books, shape, &payers, took).await);
        ours.push(calls::measure(&books, shape, &payers, options.callers, took).await);
    }
    let of = |figure: fn(&calls::Figures) -> u64| median(ours.iter().map(figure).collect());
    let (calls_per_second, floor) = (of(|run| run.calls_per_second), median(floors));
    let line = Line {
        database,
        shape: shape.name,
        callers: options.callers,
        calls_per_second,
        hold_p50_micros: of(|run| run.hold_p50),
        hold_p99_micros: of(|run| run.hold_p99),
        settle_p50_micros: of(|run| run.settle_p50),
        settle_p99_micros: of(|run| run.settle_p99),
        floor_calls_per_second: floor,
        percent_of_floor: calls_per_second * 100 / floor.max(1),
        micros_per_call: 1_000_000 / calls_per_second.max(1),
        floor_micros_per_call: 1_000_000 / floor.max(1),
    };
    let middle = ours
        .iter()
        .find(|run| run.calls_per_second == calls_per_second)
        .expect("the median is one of them");
    let lanes = u32::try_from(LaneSettings::of(&books.db).lanes).expect("a few");
    let place = place::Line::of(database, shape.name, middle.spent, middle.lasted, lanes);
    let books = std::sync::Arc::into_inner(books).expect("every caller has ended");
    books.close().await;
    (line, place)
}
