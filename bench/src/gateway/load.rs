//! As many calls as go through: a fixed number of callers, each asking again as soon as it was answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    Options,
    process::{cpu_millis, cpu_millis_of},
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
    /// What a thousand of them cost the process between.
    pub(super) cpu_millis_per_1000: u64,
    /// And the database server, where there is one.
    pub(super) database_millis_per_1000: u64,
    pub(super) failed: u64,
}

/// Whole answers.
pub(super) async fn saturate(target: &Target, options: &Options) -> Saturation {
    let request = target.request(upstream::FAST, false);
    measure(target, options, request, options.callers, |_| 1).await
}

/// Streams without a pause; counted are their events.
pub(super) async fn burst(target: &Target, options: &Options) -> Saturation {
    let request = target.request(upstream::FAST, true);
    measure(target, options, request, 32, |events| events).await
}

#[derive(Default)]
struct Count {
    done: AtomicU64,
    failed: AtomicU64,
    stop: AtomicBool,
}

async fn measure(
    target: &Target,
    options: &Options,
    request: Vec<u8>,
    callers: usize,
    worth: fn(u64) -> u64,
) -> Saturation {
    let count = Arc::new(Count::default());
    let request: Arc<[u8]> = request.into();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (count, request) = (Arc::clone(&count), Arc::clone(&request));
            let address = target.address.clone();
            tokio::spawn(async move {
                let mut open = None;
                while !count.stop.load(Ordering::Relaxed) {
                    match call(&mut open, &address, &request).await {
                        Ok(events) => count.done.fetch_add(worth(events), Ordering::Relaxed),
                        Err(_) => count.failed.fetch_add(1, Ordering::Relaxed),
                    };
                }
            })
        })
        .collect();
    sleep(WARM_UP).await;
    let costs = |target: &Target| {
        let own = target.process().map_or(0, cpu_millis);
        let database = if target.has_server {
            cpu_millis_of("postgres")
        } else {
            0
        };
        (own, database)
    };
    let (own, database) = costs(target);
    let (before, begun) = (count.done.load(Ordering::Relaxed), Instant::now());
    sleep(options.lasts()).await;
    let done = count.done.load(Ordering::Relaxed) - before;
    let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    let (own_after, database_after) = costs(target);
    count.stop.store(true, Ordering::Relaxed);
    for task in tasks {
        drop(task.await);
    }
    let per_1000 = |millis: u64| millis * 1_000 / done.max(1);
    Saturation {
        per_second: done * 1_000_000 / took.max(1),
        cpu_millis_per_1000: per_1000(own_after.saturating_sub(own)),
        database_millis_per_1000: per_1000(database_after.saturating_sub(database)),
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
