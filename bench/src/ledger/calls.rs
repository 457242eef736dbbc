//! Calls through the lanes, as the gateway makes them: hold, then settle below the hold.

use super::shape::Shape;
use crate::{
    support::books::{Books, Payer},
    table::quantile,
};
use billing::lane::Spent;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const WARM_UP: Duration = Duration::from_millis(500);

/// What one measurement found; waits in microseconds.
pub struct Figures {
    pub calls_per_second: u64,
    pub hold_p50: u64,
    pub hold_p99: u64,
    pub settle_p50: u64,
    pub settle_p99: u64,
    /// What the lanes took for it, and how long it lasted.
    pub spent: Spent,
    pub lasted: Duration,
}

/// How long each hold and each settlement took.
#[derive(Default)]
struct Waits {
    hold: Vec<u64>,
    settle: Vec<u64>,
}

/// When to count and when to stop.
#[derive(Default)]
struct Signals {
    count: AtomicBool,
    stop: AtomicBool,
}

pub async fn measure(
    books: &Arc<Books>,
    shape: &Shape,
    payers: &[Payer],
    callers: usize,
    lasts: Duration,
) -> Figures {
    let signals = Arc::new(Signals::default());
    let payers: Arc<[Payer]> = payers.into();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (books, payers, signals) = (books.clone(), payers.clone(), signals.clone());
            let mut draws = shape.draws(caller + 1);
            tokio::spawn(async move {
                let mut waits = Waits::default();
                while !signals.stop.load(Ordering::Relaxed) {
                    let payer = &payers[draws.next()];
                    call(&books, payer, &signals, &mut waits).await;
                }
                waits
            })
        })
        .collect();
    tokio::time::sleep(WARM_UP).await;
    signals.count.store(true, Ordering::Relaxed);
    let (begun, before) = (Instant::now(), books.lanes.spent());
    tokio::time::sleep(lasts).await;
    let (lasted, spent) = (begun.elapsed(), books.lanes.spent().since(before));
    let took = micros(lasted);
    signals.stop.store(true, Ordering::Relaxed);
    let mut all = Waits::default();
    for task in tasks {
        let waits = task.await.expect("no caller fails");
        all.hold.extend(waits.hold);
        all.settle.extend(waits.settle);
    }
    let calls = u64::try_from(all.settle.len()).expect("a small number");
    Figures {
        calls_per_second: calls * 1_000_000 / took.max(1),
        hold_p50: quantile(&mut all.hold, 50),
        hold_p99: quantile(&mut all.hold, 99),
        settle_p50: quantile(&mut all.settle, 50),
        settle_p99: quantile(&mut all.settle, 99),
        spent,
        lasted,
    }
}

/// A call counts when it ends while counting goes on.
async fn call(books: &Books, payer: &Payer, signals: &Signals, waits: &mut Waits) {
    let asked = Instant::now();
    let hold = books.lanes.hold(books.order(payer, 1_000)).await;
    let held = micros(asked.elapsed());
    let asked = Instant::now();
    let hold = hold.expect("credits for a billion calls");
    hold.settle(books.settlement(700)).await.expect("settled");
    let counts = signals.count.load(Ordering::Relaxed) && !signals.stop.load(Ordering::Relaxed);
    if counts {
        waits.hold.push(held);
        waits.settle.push(micros(asked.elapsed()));
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
