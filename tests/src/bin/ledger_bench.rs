//! How many calls a second the ledger holds and settles, and how long a caller waits for each: on one hot wallet
//! and on a thousand, at several numbers of callers. Every call is two durable commits, shared with its batch.
//!
//! `cargo run --release -p tests --bin ledger_bench` measures `SQLite` in a temporary file; with
//! `TEST_DATABASE_URL` set it measures that `PostgreSQL`.

#[path = "../../it/support"]
#[expect(dead_code, reason = "the tests use more of it")]
mod support {
    pub mod books;
    pub mod database;
}

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use support::books::{Books, Payer};

const WARM_UP: Duration = Duration::from_millis(500);
const MEASURED: Duration = Duration::from_secs(4);
/// A credit each for a billion calls.
const PLENTY: i64 = 1_000_000_000_000_000;

/// How long each hold and each settlement of one caller took.
#[derive(Default)]
struct Waits {
    hold: Vec<Duration>,
    settle: Vec<Duration>,
}

#[tokio::main]
async fn main() {
    println!(
        "| database | wallets | callers | calls/s | hold p50 ms | hold p99 ms | settle p50 ms | settle p99 ms |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for wallets in [1, 1_000] {
        let books = Arc::new(Books::open().await);
        let mut payers = Vec::with_capacity(wallets);
        for _ in 0..wallets {
            let payer = books.payer().await;
            books.grant(&payer, PLENTY).await;
            payers.push(payer);
        }
        for callers in [1, 16, 64, 256] {
            measure(&books, &payers, callers).await;
        }
        let books = Arc::into_inner(books).expect("every caller has ended");
        books.close().await;
    }
}

async fn measure(books: &Arc<Books>, payers: &[Payer], callers: usize) {
    let (counts, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (books, payers) = (books.clone(), payers.to_vec());
            let (counts, done) = (counts.clone(), done.clone());
            tokio::spawn(call(books, payers, caller, counts, done))
        })
        .collect();
    tokio::time::sleep(WARM_UP).await;
    counts.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    tokio::time::sleep(MEASURED).await;
    let took = begun.elapsed();
    done.store(true, Ordering::Relaxed);
    let mut all = Waits::default();
    for task in tasks {
        let waits = task.await.expect("no caller fails");
        all.hold.extend(waits.hold);
        all.settle.extend(waits.settle);
    }
    let calls = u128::try_from(all.settle.len()).expect("a small number");
    println!(
        "| {:?} | {} | {callers} | {} | {} | {} | {} | {} |",
        books.db.backend(),
        payers.len(),
        calls * 1_000 / took.as_millis(),
        quantile(&mut all.hold, 50),
        quantile(&mut all.hold, 99),
        quantile(&mut all.settle, 50),
        quantile(&mut all.settle, 99),
    );
}

async fn call(
    books: Arc<Books>,
    payers: Vec<Payer>,
    caller: usize,
    counts: Arc<AtomicBool>,
    done: Arc<AtomicBool>,
) -> Waits {
    let mut waits = Waits::default();
    // Callers start apart, so that they do not walk over the wallets in step.
    for turn in (caller * 7919).. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let payer = &payers[turn % payers.len()];
        let counted = counts.load(Ordering::Relaxed);
        let asked = Instant::now();
        let hold = books.lanes.hold(books.order(payer, 1_000)).await;
        let held = asked.elapsed();
        let asked = Instant::now();
        let ending = hold.expect("credits for a billion calls");
        ending.settle(books.settlement(700)).await.expect("settled");
        if counted {
            waits.hold.push(held);
            waits.settle.push(asked.elapsed());
        }
    }
    waits
}

/// In milliseconds, to a hundredth.
fn quantile(waits: &mut [Duration], percent: usize) -> String {
    waits.sort_unstable();
    let place = (waits.len() * percent / 100).min(waits.len().saturating_sub(1));
    let micros = waits.get(place).map_or(0, Duration::as_micros);
    format!("{}.{:02}", micros / 1_000, micros % 1_000 / 10)
}
