//! As many calls as go through: a fixed number of callers, each asking again as soon as it was answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    Options,
    process::{cpu_millis, cpu_millis_of, own_millis},
    target::Target,
    upstream,
    wire::Connection,
};

const WARM_UP: Duration = Duration::from_millis(500);

/// What one measurement found.
#[derive(Debug)]
pub(super) struct Saturation {
    /// Calls a second, or events of streams.
    pub(super) per_second: u64,
    /// What a thousand of them cost.
    pub(super) costs: Costs,
    pub(super) failed: u64,
}

impl Saturation {
    /// How many a second of processor time makes, the database server's included; none where nothing is between.
    pub(super) fn per_cpu_second(&self) -> u64 {
        let cost = self.costs.own + self.costs.database;
        1_000_000_000_u64.checked_div(cost).unwrap_or(0)
    }
}

/// Processor time of the programs that take part, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Costs {
    /// Of the process between.
    pub(super) own: u64,
    /// Of the database server, where there is one.
    pub(super) database: u64,
    pub(super) upstream: u64,
    /// Of the program that asks.
    pub(super) load: u64,
}

/// The programs on the other core.
#[derive(Clone, Copy, Debug)]
pub(super) struct Processes {
    pub(super) upstream: u32,
    pub(super) load: u32,
}

impl Costs {
    /// So far.
    fn of(target: &Target, processes: Processes) -> Self {
        Self {
            own: target.process().map_or(0, cpu_millis) * 1_000,
            database: if target.has_server {
                cpu_millis_of("postgres") * 1_000
            } else {
                0
            },
            upstream: cpu_millis(processes.upstream) * 1_000,
            load: own_millis(processes.load) * 1_000,
        }
    }

    /// Of a thousand, where so many were made since `before`.
    fn per_1000(self, before: Self, done: u64) -> Self {
        let each = |after: u64, before: u64| after.saturating_sub(before) * 1_000 / done.max(1);
        Self {
            own: each(self.own, before.own),
            database: each(self.database, before.database),
            upstream: each(self.upstream, before.upstream),
            load: each(self.load, before.load),
        }
    }
}

/// Whole answers.
pub(super) async fn saturate(
    target: &Target,
    options: &Options,
    processes: Processes,
) -> Saturation {
    let requests = target.requests(upstream::FAST, false);
    let load = (requests, options.callers);
    measure(target, options, processes, load, |_| 1).await
}

/// Streams without a pause; counted are their events.
pub(super) async fn burst(target: &Target, options: &Options, processes: Processes) -> Saturation {
    let requests = target.requests(upstream::FAST, true);
    measure(target, options, processes, (requests, 32), |events| events).await
}

#[derive(Default)]
struct Count {
    done: AtomicU64,
    failed: AtomicU64,
    stop: AtomicBool,
    /// Whose turn it is.
    turn: AtomicUsize,
}

async fn measure(
    target: &Target,
    options: &Options,
    processes: Processes,
    (requests, callers): (Vec<Vec<u8>>, usize),
    worth: fn(u64) -> u64,
) -> Saturation {
    let count = Arc::new(Count::default());
    let requests: Arc<[Vec<u8>]> = requests.into();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (count, requests) = (Arc::clone(&count), Arc::clone(&requests));
            let address = target.address.clone();
            tokio::spawn(async move {
                let mut open = None;
                while !count.stop.load(Ordering::Relaxed) {
                    let turn = count.turn.fetch_add(1, Ordering::Relaxed);
                    let request = &requests[turn % requests.len()];
                    match call(&mut open, &address, request).await {
                        Ok(events) => count.done.fetch_add(worth(events), Ordering::Relaxed),
                        Err(_) => count.failed.fetch_add(1, Ordering::Relaxed),
                    };
                }
            })
        })
        .collect();
    sleep(WARM_UP).await;
    let costs = Costs::of(target, processes);
    let (before, begun) = (count.done.load(Ordering::Relaxed), Instant::now());
    sleep(options.lasts()).await;
    let done = count.done.load(Ordering::Relaxed) - before;
    let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    let costs = Costs::of(target, processes).per_1000(costs, done);
    count.stop.store(true, Ordering::Relaxed);
    for task in tasks {
        drop(task.await);
    }
    Saturation {
        per_second: done * 1_000_000 / took.max(1),
        costs,
        failed: count.failed.load(Ordering::Relaxed),
    }
}

async fn call(
    open: &mut Option<Connection>,
    address: &str,
    request: &[u8],
) -> std::io::Result<u64> {
    let mut connection = match open.take() {
        Some(connection) => connection,
        None => Connection::open(address).await?,
    };
    let came = connection.ask(request).await?;
    *open = Some(connection);
    Ok(came.events)
}
