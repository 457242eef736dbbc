//! Whether memory stays flat: many slow streams of very many events at once, to their end.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{Options, process::memory_kib, target::Target, upstream, wire::Connection};
use crate::table::{Printer, Row, tenths};

/// What was seen of one way.
#[derive(Serialize)]
pub(super) struct Line {
    target: &'static str,
    streams: usize,
    whole: usize,
    seconds: u64,
    events_per_second: u64,
    before_kib: u64,
    /// With all of them open, at a quarter, the half and three quarters of the time that they took, and at the end.
    kib: [u64; 4],
    highest_kib: u64,
    stream_tenths_kib: u64,
}

impl Row for Line {
    const TITLES: &'static [&'static str] = &[
        "way",
        "streams",
        "whole",
        "seconds",
        "events/s",
        "MiB before",
        "at 1/4",
        "at 1/2",
        "at 3/4",
        "near the end",
        "highest",
        "KiB a stream",
    ];

    fn cells(&self) -> Vec<String> {
        let mib = |kib: u64| (kib / 1_024).to_string();
        let [quarter, half, most, end] = self.kib;
        vec![
            self.target.to_owned(),
            self.streams.to_string(),
            self.whole.to_string(),
            self.seconds.to_string(),
            self.events_per_second.to_string(),
            mib(self.before_kib),
            mib(quarter),
            mib(half),
            mib(most),
            mib(end),
            mib(self.highest_kib),
            tenths(self.stream_tenths_kib),
        ]
    }
}

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Measures every way through a program of ours and prints a row each.
pub(super) async fn run(options: &Options, targets: &[Target]) {
    let printer = Printer::start::<Line>(options.json);
    let ours =
        |target: &&Target| !target.is_yardstick() && !target.of_many && options.wants(target);
    for target in targets.iter().filter(ours) {
        printer.print(&measure(target, options.open_streams).await);
    }
}

async fn measure(target: &Target, streams: usize) -> Line {
    let process = target.process().unwrap_or_default();
    let request: Arc<[u8]> = target.request(upstream::LONG, true).into();
    let before = memory_kib(process, "VmRSS");
    let begun = Instant::now();
    let tasks: Vec<_> = (0..streams)
        .map(|_| {
            let (request, address) = (Arc::clone(&request), target.address.clone());
            tokio::spawn(async move {
                let mut connection = Connection::open(&address).await?;
                connection.drain(&request).await
            })
        })
        .collect();
    let mut seen = Vec::new();
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        sleep(LOOK_EVERY).await;
        seen.push(memory_kib(process, "VmRSS"));
    }
    let seconds = begun.elapsed().as_secs().max(1);
    // A stream that was cut has fewer bytes than its events take at least.
    let least = upstream::LENGTH * 16;
    let mut whole = 0;
    for task in tasks {
        whole += usize::from(matches!(task.await, Ok(Ok(bytes)) if bytes >= least));
    }
    let at = |quarter: usize| {
        let place = (seen.len() * quarter / 4).saturating_sub(2);
        seen.get(place).copied().unwrap_or_default()
    };
    let highest = seen.iter().copied().max().unwrap_or_default();
    let count = u64::try_from(streams).unwrap_or(1).max(1);
    Line {
        target: target.name,
        streams,
        whole,
        seconds,
        events_per_second: u64::try_from(whole).unwrap_or(0) * upstream::LENGTH / seconds,
        before_kib: before,
        kib: [at(1), at(2), at(3), at(4)],
        highest_kib: highest,
        stream_tenths_kib: highest.saturating_sub(before) * 10 / count,
    }
}
