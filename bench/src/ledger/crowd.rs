//! A crowd at once: what memory it takes when far more calls ask for credits than may wait.

use super::shape::Shape;
use crate::{
    support::books::Books,
    table::{Printer, Row, millis},
};
use billing::admission::HoldRefusal;
use serde::Serialize;
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How large a crowd.
#[derive(clap::Args)]
pub struct Options {
    /// One JSON object a row, for programs.
    #[arg(long)]
    json: bool,
    /// Calls that ask at once.
    #[arg(long, default_value_t = 100_000)]
    calls: usize,
    /// The PostgreSQL to measure beside SQLite.
    #[arg(long, env = "TEST_DATABASE_URL")]
    postgres: Option<String>,
}

/// One crowd on one database.
#[derive(Serialize)]
pub struct Line {
    database: &'static str,
    asked: usize,
    served: usize,
    told_to_come_back: usize,
    took_micros: u64,
    rss_before_kib: u64,
    rss_peak_kib: u64,
}

impl Row for Line {
    const TITLES: &'static [&'static str] = &[
        "database",
        "calls at once",
        "served",
        "told to come back",
        "took ms",
        "RSS before MiB",
        "RSS peak MiB",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.database.to_owned(),
            self.asked.to_string(),
            self.served.to_string(),
            self.told_to_come_back.to_string(),
            millis(self.took_micros),
            (self.rss_before_kib / 1_024).to_string(),
            (self.rss_peak_kib / 1_024).to_string(),
        ]
    }
}

/// Lets a crowd ask on every database and prints a row each. Audits the books after each.
pub async fn run(options: &Options) {
    let printer = Printer::start::<Line>(options.json);
    printer.print(&measure("SQLite", None, options.calls).await);
    match options.postgres.as_deref() {
        Some(server) => {
            printer.print(&measure("PostgreSQL", Some(server), options.calls).await);
        }
        None => eprintln!("PostgreSQL is left out: set TEST_DATABASE_URL or --postgres"),
    }
}

async fn measure(database: &'static str, server: Option<&str>, asked: usize) -> Line {
    let books = Arc::new(Books::open_on(server).await);
    let payers = Shape::HOT.payers(&books).await;
    let payer = payers[0];
    let rss_before_kib = rss();
    let stop = Arc::new(AtomicBool::new(false));
    let watching = stop.clone();
    let watch = std::thread::spawn(move || {
        let mut peak = 0;
        while !watching.load(Ordering::Relaxed) {
            peak = peak.max(rss());
            std::thread::sleep(Duration::from_millis(2));
        }
        peak
    });
    let begun = Instant::now();
    let calls: Vec<_> = (0..asked)
        .map(|_| {
            let books = books.clone();
            tokio::spawn(async move {
                match books.lanes.hold(books.order(&payer, 1_000)).await {
                    Ok(hold) => {
                        hold.settle(books.settlement(700)).await.expect("settled");
                        true
                    }
                    Err(HoldRefusal::Overloaded) => false,
                    Err(other) => panic!("{other}"),
                }
            })
        })
        .collect();
    let mut served = 0;
    for call in calls {
        served += usize::from(call.await.expect("no call fails"));
    }
    let took = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    let line = Line {
        database,
        asked,
        served,
        told_to_come_back: asked - served,
        took_micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        rss_before_kib,
        rss_peak_kib: watch.join().expect("memory is watched"),
    };
    let books = Arc::into_inner(books).expect("every call has ended");
    books.close().await;
    line
}

/// Resident memory of this process in KiB, as Linux tells it.
fn rss() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
