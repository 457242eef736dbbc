//! What the gateway adds to a call: beside the upstream asked directly, and beside nginx as a plain proxy, in the same
//! run. Every program is a process of its own, so that its processor time and memory are its own; on a machine of two
//! cores or more the measured one has the first to itself.

mod load;
mod nginx;
mod paced;
mod process;
mod target;
mod tollgate;
mod upstream;
mod wire;

use std::time::Duration;

use serde::Serialize;

use crate::table::{Printer, Row, median, millis};
use load::Saturation;
use paced::{Paced, Streamed};
use process::Process;
use target::Target;

pub use tollgate::Settings as TollgateSettings;

/// What to measure.
#[derive(Clone, clap::Args)]
pub struct Options {
    /// One JSON object a row, for programs.
    #[arg(long)]
    json: bool,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Measurements of each, in turns with the others; the median counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Calls a second at which latency is measured.
    #[arg(long, default_value_t = 500)]
    rate: u64,
    /// Calls under way at saturation.
    #[arg(long, default_value_t = 64)]
    callers: usize,
    /// Streams that are open at once while memory is measured.
    #[arg(long, default_value_t = 1_000)]
    open_streams: usize,
    /// The PostgreSQL to measure beside SQLite.
    #[arg(long, env = "TEST_DATABASE_URL")]
    postgres: Option<String>,
}

impl Options {
    fn lasts(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// One way to the upstream.
#[derive(Serialize)]
struct Line {
    target: &'static str,
    calls_per_second: u64,
    percent_of_nginx: u64,
    cpu_millis_per_1000: u64,
    database_cpu_millis_per_1000: u64,
    added_p50_micros: i64,
    added_p99_micros: i64,
    first_byte_added_p50_micros: i64,
    first_byte_added_p99_micros: i64,
    gap_p99_micros: u64,
    events_per_second: u64,
    cpu_millis_per_1000_events: u64,
    peak_kib: u64,
    open_stream_kib: u64,
    failed: u64,
}

impl Row for Line {
    const TITLES: &'static [&'static str] = &[
        "way",
        "calls/s",
        "of nginx",
        "CPU ms / 1,000",
        "database CPU",
        "added p50 ms",
        "added p99 ms",
        "first byte p50",
        "first byte p99",
        "gap p99 ms",
        "events/s",
        "CPU ms / 1,000 events",
        "peak MiB",
        "KiB an open stream",
        "failed",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.target.to_owned(),
            self.calls_per_second.to_string(),
            format!("{} %", self.percent_of_nginx),
            self.cpu_millis_per_1000.to_string(),
            self.database_cpu_millis_per_1000.to_string(),
            signed(self.added_p50_micros),
            signed(self.added_p99_micros),
            signed(self.first_byte_added_p50_micros),
            signed(self.first_byte_added_p99_micros),
            millis(self.gap_p99_micros),
            self.events_per_second.to_string(),
            self.cpu_millis_per_1000_events.to_string(),
            (self.peak_kib / 1_024).to_string(),
            self.open_stream_kib.to_string(),
            self.failed.to_string(),
        ]
    }
}

fn signed(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    format!("{sign}{}", millis(micros.unsigned_abs()))
}

/// What the measurements of one target found.
#[derive(Default)]
struct Found {
    saturation: Vec<Saturation>,
    paced: Vec<Paced>,
    streamed: Vec<Streamed>,
    bursts: Vec<Saturation>,
}

/// Measures every way and prints a row each.
pub async fn run(options: &Options) {
    let printer = Printer::start::<Line>(options.json);
    let alone = process::share_out();
    let upstream = Process::upstream(alone).await;
    let mut targets = target::all(options, &upstream, alone).await;
    // First, while nothing of an earlier load lies about in memory.
    let mut open_kib = Vec::with_capacity(targets.len());
    for target in &targets {
        open_kib.push(paced::open_streams(target, options).await);
        target.forget_peak();
    }
    let mut found: Vec<Found> = targets.iter().map(|_| Found::default()).collect();
    for _ in 0..options.runs.max(1) {
        for (target, found) in targets.iter().zip(&mut found) {
            found.saturation.push(load::saturate(target, options).await);
        }
        for (target, found) in targets.iter().zip(&mut found) {
            found.paced.push(paced::calls(target, options).await);
        }
        for (target, found) in targets.iter().zip(&mut found) {
            found.streamed.push(paced::streams(target, options).await);
        }
        for (target, found) in targets.iter().zip(&mut found) {
            found.bursts.push(load::burst(target, options).await);
        }
    }
    let peaks: Vec<u64> = targets.iter().map(Target::peak_kib).collect();
    let mut lines: Vec<Line> = Vec::new();
    for (place, target) in targets.iter().enumerate() {
        lines.push(line(target, &found, place, peaks[place], open_kib[place]));
    }
    let nginx = lines.iter().find(|line| line.target == nginx::NAME);
    let nginx = nginx.map_or(0, |line| line.calls_per_second);
    for line in &mut lines {
        line.percent_of_nginx = line.calls_per_second * 100 / nginx.max(1);
        printer.print(line);
    }
    for target in &mut targets {
        target.stop().await;
    }
    upstream.stop().await;
}

fn line(target: &Target, all: &[Found], place: usize, peak_kib: u64, open: u64) -> Line {
    let (ours, direct) = (&all[place], &all[0]);
    let saturation =
        |figure: fn(&Saturation) -> u64| median(ours.saturation.iter().map(figure).collect());
    let burst = |figure: fn(&Saturation) -> u64| median(ours.bursts.iter().map(figure).collect());
    let paced = |figure: fn(&Paced) -> u64| {
        added(
            ours.paced.iter().map(figure),
            direct.paced.iter().map(figure),
        )
    };
    let streamed = |figure: fn(&Streamed) -> u64| {
        added(
            ours.streamed.iter().map(figure),
            direct.streamed.iter().map(figure),
        )
    };
    Line {
        target: target.name,
        calls_per_second: saturation(|run| run.per_second),
        percent_of_nginx: 0,
        cpu_millis_per_1000: saturation(|run| run.cpu_millis_per_1000),
        database_cpu_millis_per_1000: saturation(|run| run.database_millis_per_1000),
        added_p50_micros: paced(|run| run.p50),
        added_p99_micros: paced(|run| run.p99),
        first_byte_added_p50_micros: streamed(|run| run.first_p50),
        first_byte_added_p99_micros: streamed(|run| run.first_p99),
        gap_p99_micros: median(ours.streamed.iter().map(|run| run.gap_p99).collect()),
        events_per_second: burst(|run| run.per_second),
        cpu_millis_per_1000_events: burst(|run| run.cpu_millis_per_1000),
        peak_kib,
        open_stream_kib: open,
        failed: ours
            .saturation
            .iter()
            .chain(&ours.bursts)
            .map(|run| run.failed)
            .sum::<u64>()
            + ours.paced.iter().map(|run| run.failed).sum::<u64>(),
    }
}

/// The median of the differences to what the direct way took in the same round.
fn added(ours: impl Iterator<Item = u64>, direct: impl Iterator<Item = u64>) -> i64 {
    let mut all: Vec<i64> = ours
        .zip(direct)
        .map(|(ours, direct)| {
            i64::try_from(ours).unwrap_or(i64::MAX) - i64::try_from(direct).unwrap_or(0)
        })
        .collect();
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or(0)
}

/// Runs as the upstream, until whoever started it is gone.
pub async fn be_upstream() {
    upstream::serve().await;
}

/// Runs as Tollgate, until whoever started it is gone.
pub async fn be_tollgate(settings: &TollgateSettings) {
    tollgate::serve(settings).await;
}
