//! What the gateway adds to a call: beside the upstream asked directly, and beside nginx as a plain proxy, in the same
//! run. Every program is a process of its own, so that its processor time and memory are its own; on a machine of two
//! cores or more the measured one has the first to itself.

mod commit;
mod flat;
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
use commit::Commit;
use load::{Processes, Saturation};
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
    /// Further tenants, each with a wallet of its own, that a row of its own is measured with.
    #[arg(long, default_value_t = 1_000)]
    wallets: usize,
    /// Only the ways whose name has this word in it, beside direct and nginx.
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
    /// Only these measurements.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Measure::ALL)]
    measure: Vec<Measure>,
    /// The PostgreSQL to measure beside SQLite.
    #[arg(long, env = "TEST_DATABASE_URL")]
    postgres: Option<String>,
}

/// One kind of measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Measure {
    /// Whole answers, as many as go through.
    Calls,
    /// Whole answers at a fixed rate.
    Paced,
    /// Streams at the pace of a model.
    Streams,
    /// Events of streams without a pause.
    Events,
    /// Many streams that are open at once.
    Memory,
    /// The memory of many streams of 100,000 events, to their end. Takes minutes, so it must be asked for.
    Flat,
}

impl Measure {
    const ALL: [Self; 5] = [
        Self::Calls,
        Self::Paced,
        Self::Streams,
        Self::Events,
        Self::Memory,
    ];
}

impl Options {
    fn measures(&self, what: Measure) -> bool {
        self.measure.contains(&what)
    }

    fn wants(&self, target: &Target) -> bool {
        let word = self.only.as_deref().map(str::to_lowercase);
        target.is_yardstick() || word.is_none_or(|word| target.name.to_lowercase().contains(&word))
    }

    fn lasts(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// One way to the upstream.
#[derive(Serialize)]
struct Line {
    target: &'static str,
    calls_per_second: u64,
    calls_per_cpu_second: u64,
    percent_of_nginx: u64,
    /// Calls that a second of processor time makes, the database server's included, beside nginx: what another
    /// program on the machine cannot spoil.
    percent_of_nginx_by_cpu: u64,
    cpu_millis_per_1000: u64,
    upstream_cpu_millis_per_1000: u64,
    load_cpu_millis_per_1000: u64,
    database_cpu_millis_per_1000: u64,
    added_p50_micros: i64,
    added_p99_micros: i64,
    first_byte_added_p50_micros: i64,
    first_byte_added_p99_micros: i64,
    gap_p99_micros: u64,
    events_per_second: u64,
    events_per_cpu_second: u64,
    events_percent_of_nginx: u64,
    events_percent_of_nginx_by_cpu: u64,
    cpu_micros_per_1000_events: u64,
    peak_kib: u64,
    open_stream_kib: u64,
    open_streams_kib: u64,
    commit_p50_micros: u64,
    commit_p99_micros: u64,
    failed: u64,
}

impl Row for Line {
    const TITLES: &'static [&'static str] = &[
        "way",
        "calls/s",
        "of nginx",
        "of nginx by CPU",
        "CPU ms / 1,000",
        "upstream's CPU",
        "load's CPU",
        "database CPU",
        "added p50 ms",
        "added p99 ms",
        "first byte p50",
        "first byte p99",
        "gap p99 ms",
        "events/s",
        "of nginx",
        "of nginx by CPU",
        "CPU ms / 1,000 events",
        "peak MiB",
        "KiB an open stream",
        "MiB with all open",
        "a commit p50 ms",
        "p99",
        "failed",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.target.to_owned(),
            self.calls_per_second.to_string(),
            format!("{} %", self.percent_of_nginx),
            format!("{} %", self.percent_of_nginx_by_cpu),
            self.cpu_millis_per_1000.to_string(),
            self.upstream_cpu_millis_per_1000.to_string(),
            self.load_cpu_millis_per_1000.to_string(),
            self.database_cpu_millis_per_1000.to_string(),
            signed(self.added_p50_micros),
            signed(self.added_p99_micros),
            signed(self.first_byte_added_p50_micros),
            signed(self.first_byte_added_p99_micros),
            millis(self.gap_p99_micros),
            self.events_per_second.to_string(),
            format!("{} %", self.events_percent_of_nginx),
            format!("{} %", self.events_percent_of_nginx_by_cpu),
            millis(self.cpu_micros_per_1000_events),
            (self.peak_kib / 1_024).to_string(),
            self.open_stream_kib.to_string(),
            (self.open_streams_kib / 1_024).to_string(),
            millis(self.commit_p50_micros),
            millis(self.commit_p99_micros),
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
    open: paced::Open,
    peak_kib: u64,
}

/// Measures every way and prints a row each.
pub async fn run(options: &Options) {
    let alone = process::share_out();
    let upstream = Process::upstream(alone).await;
    let mut targets = target::all(options, &upstream, alone).await;
    let processes = Processes {
        upstream: upstream.id(),
        load: std::process::id(),
    };
    if options.measure.iter().any(|what| *what != Measure::Flat) {
        beside_each_other(&targets, options, processes).await;
    }
    if options.measures(Measure::Flat) {
        flat::run(options, &targets).await;
    }
    for target in &mut targets {
        target.stop().await;
    }
    upstream.stop().await;
}

async fn beside_each_other(targets: &[Target], options: &Options, processes: Processes) {
    let printer = Printer::start::<Line>(options.json);
    let wanted: Vec<bool> = targets.iter().map(|target| options.wants(target)).collect();
    let commits = [
        commit::measure(None).await,
        match options.postgres.as_deref() {
            Some(server) => commit::measure(Some(server)).await,
            None => Commit::default(),
        },
    ];
    let found = measure(targets, &wanted, options, processes).await;
    let mut lines: Vec<Line> = Vec::new();
    for (place, target) in targets.iter().enumerate() {
        if wanted[place] {
            let commit = commits[usize::from(target.has_server)];
            lines.push(line(target, &found[place], &found[0], commit));
        }
    }
    beside_nginx(&mut lines);
    for line in &lines {
        printer.print(line);
    }
}

/// All measurements of all ways, in turns.
async fn measure(
    targets: &[Target],
    wanted: &[bool],
    options: &Options,
    processes: Processes,
) -> Vec<Found> {
    let mut found: Vec<Found> = targets.iter().map(|_| Found::default()).collect();
    let wants = |(place, _): &(usize, &Target)| wanted[*place];
    let by_one = |place: &(usize, &Target)| wants(place) && !place.1.of_many;
    // First, while nothing of an earlier load lies about in memory.
    if options.measures(Measure::Memory) {
        for (place, target) in targets.iter().enumerate().filter(by_one) {
            let open = paced::open_streams(target, options).await;
            found[place].open = open;
            target.forget_peak();
        }
    }
    for _ in 0..options.runs.max(1) {
        if options.measures(Measure::Calls) {
            for (place, target) in targets.iter().enumerate().filter(wants) {
                let run = load::saturate(target, options, processes).await;
                found[place].saturation.push(run);
            }
        }
        if options.measures(Measure::Paced) {
            for (place, target) in targets.iter().enumerate().filter(by_one) {
                found[place].paced.push(paced::calls(target, options).await);
            }
        }
        if options.measures(Measure::Streams) {
            for (place, target) in targets.iter().enumerate().filter(by_one) {
                let run = paced::streams(target, options).await;
                found[place].streamed.push(run);
            }
        }
        if options.measures(Measure::Events) {
            for (place, target) in targets.iter().enumerate().filter(by_one) {
                let run = load::burst(target, options, processes).await;
                found[place].bursts.push(run);
            }
        }
    }
    for (found, target) in found.iter_mut().zip(targets) {
        found.peak_kib = target.peak_kib();
    }
    found
}

/// The shares of nginx, where it was measured.
fn beside_nginx(lines: &mut [Line]) {
    let Some(nginx) = lines.iter().find(|line| line.target == nginx::NAME) else {
        return;
    };
    let calls = (nginx.calls_per_second, nginx.calls_per_cpu_second);
    let events = (nginx.events_per_second, nginx.events_per_cpu_second);
    let share = |ours: u64, nginx: u64| ours * 100 / nginx.max(1);
    for line in lines {
        line.percent_of_nginx = share(line.calls_per_second, calls.0);
        line.events_percent_of_nginx = share(line.events_per_second, events.0);
        line.percent_of_nginx_by_cpu = share(line.calls_per_cpu_second, calls.1);
        line.events_percent_of_nginx_by_cpu = share(line.events_per_cpu_second, events.1);
    }
}

fn line(target: &Target, ours: &Found, direct: &Found, commit: Commit) -> Line {
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
        percent_of_nginx_by_cpu: 0,
        calls_per_cpu_second: saturation(Saturation::per_cpu_second),
        cpu_millis_per_1000: saturation(|run| run.costs.own / 1_000),
        upstream_cpu_millis_per_1000: saturation(|run| run.costs.upstream / 1_000),
        load_cpu_millis_per_1000: saturation(|run| run.costs.load / 1_000),
        database_cpu_millis_per_1000: saturation(|run| run.costs.database / 1_000),
        added_p50_micros: paced(|run| run.p50),
        added_p99_micros: paced(|run| run.p99),
        first_byte_added_p50_micros: streamed(|run| run.first_p50),
        first_byte_added_p99_micros: streamed(|run| run.first_p99),
        gap_p99_micros: median(ours.streamed.iter().map(|run| run.gap_p99).collect()),
        events_per_second: burst(|run| run.per_second),
        events_percent_of_nginx: 0,
        events_percent_of_nginx_by_cpu: 0,
        events_per_cpu_second: burst(Saturation::per_cpu_second),
        cpu_micros_per_1000_events: burst(|run| run.costs.own),
        peak_kib: ours.peak_kib,
        open_stream_kib: ours.open.each_kib,
        open_streams_kib: ours.open.all_kib,
        commit_p50_micros: if target.is_yardstick() { 0 } else { commit.p50 },
        commit_p99_micros: if target.is_yardstick() { 0 } else { commit.p99 },
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
    api::memory::use_small_pages();
    tollgate::serve(settings).await;
}
