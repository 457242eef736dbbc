//! Calls at a fixed rate, whoever is still waiting: what a caller feels. And streams at the pace of a model.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Mutex,
    time::{Instant, sleep, sleep_until},
};

use super::{Options, process::memory_kib, target::Target, upstream, wire::Connection};
use crate::table::quantile;

/// Streams that run side by side.
const STREAMS: u32 = 50;
/// How far apart they begin.
const STAGGER: Duration = Duration::from_millis(8);

/// How long whole answers took, in microseconds.
#[derive(Debug)]
pub(super) struct Paced {
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) failed: u64,
}

/// How long first bytes took, and how long the pauses between events were, in microseconds.
#[derive(Debug)]
pub(super) struct Streamed {
    pub(super) first_p50: u64,
    pub(super) first_p99: u64,
    pub(super) gap_p99: u64,
}

/// Whole answers at the rate that was asked for. A call's wait begins when it was due, not when it could be sent.
pub(super) async fn calls(target: &Target, options: &Options) -> Paced {
    let request: Arc<[u8]> = target.request(upstream::FAST, false).into();
    let idle: Arc<Mutex<Vec<Connection>>> = Arc::default();
    let apart = Duration::from_secs(1) / u32::try_from(options.rate.max(1)).unwrap_or(u32::MAX);
    let mut due = Instant::now();
    let end = due + options.lasts();
    let mut tasks = Vec::new();
    while due < end {
        sleep_until(due).await;
        let (request, idle) = (Arc::clone(&request), Arc::clone(&idle));
        let address = target.address.clone();
        tasks.push(tokio::spawn(async move {
            let kept = idle.lock().await.pop();
            let mut connection = match kept {
                Some(connection) => connection,
                None => Connection::open(&address).await.ok()?,
            };
            connection.ask(&request).await.ok()?;
            let took = micros(due.elapsed());
            idle.lock().await.push(connection);
            Some(took)
        }));
        due += apart;
    }
    let (mut waits, mut failed) = (Vec::new(), 0);
    for task in tasks {
        match task.await {
            Ok(Some(took)) => waits.push(took),
            Ok(None) | Err(_) => failed += 1,
        }
    }
    Paced {
        p50: quantile(&mut waits, 50),
        p99: quantile(&mut waits, 99),
        failed,
    }
}

/// Streams of a model's pace, side by side, each beginning a little after the one before, again and again.
pub(super) async fn streams(target: &Target, options: &Options) -> Streamed {
    let request: Arc<[u8]> = target.request(upstream::PACED_MODEL, true).into();
    let begin = Instant::now();
    let end = begin + options.lasts();
    let tasks: Vec<_> = (0..STREAMS)
        .map(|place| {
            let request = Arc::clone(&request);
            let address = target.address.clone();
            tokio::spawn(async move {
                sleep_until(begin + STAGGER * place).await;
                let (mut firsts, mut gaps) = (Vec::new(), Vec::new());
                let mut connection = Connection::open(&address).await.ok()?;
                while Instant::now() < end {
                    let asked = Instant::now();
                    let came = connection.ask(&request).await.ok()?;
                    firsts.extend(came.first.map(|first| micros(first - asked)));
                    gaps.extend(came.events_at.windows(2).map(|two| micros(two[1] - two[0])));
                }
                Some((firsts, gaps))
            })
        })
        .collect();
    let (mut firsts, mut gaps) = (Vec::new(), Vec::new());
    for task in tasks {
        if let Ok(Some((first, gap))) = task.await {
            firsts.extend(first);
            gaps.extend(gap);
        }
    }
    Streamed {
        first_p50: quantile(&mut firsts, 50),
        first_p99: quantile(&mut firsts, 99),
        gap_p99: quantile(&mut gaps, 99),
    }
}

/// What the process between takes while many streams are open.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Open {
    /// KiB of each, beyond what the process took before.
    pub(super) each_kib: u64,
    /// KiB of the process with all of them.
    pub(super) all_kib: u64,
}

/// Memory while many slow streams are open.
pub(super) async fn open_streams(target: &Target, options: &Options) -> Open {
    let Some(process) = target.process() else {
        return Open::default();
    };
    let request = target.request(upstream::SLOW, true);
    let before = memory_kib(process, "VmRSS");
    let mut open = Vec::with_capacity(options.open_streams);
    for _ in 0..options.open_streams {
        let Ok(mut connection) = Connection::open(&target.address).await else {
            continue;
        };
        if connection.begin(&request).await.is_ok() {
            open.push(connection);
        }
    }
    sleep(Duration::from_secs(2)).await;
    let after = memory_kib(process, "VmRSS");
    let count = u64::try_from(open.len()).unwrap_or(1).max(1);
    // To their end: what is left behind by clients that hang up is no part of the measurements that follow.
    sleep(upstream::SLOW_LASTS).await;
    drop(open);
    Open {
        each_kib: after.saturating_sub(before) / count,
        all_kib: after,
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
