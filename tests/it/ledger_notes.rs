//! Promises about the notes of running calls: each is written in time, whatever else is asked, and none comes too late for
//! what it is there to prevent.

use crate::support::books::{Books, Payer, nanos};
use billing::{
    lane::{LaneSettings, Lanes},
    rating::Tokens,
    sweeper::{self, Swept},
};
use entity::{HoldId, Scoped, hold, usage};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, QueryFilter};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};

/// Lanes of another process, with settings of their own.
fn lanes_with(books: &Books, set: impl FnOnce(&mut LaneSettings)) -> Lanes {
    let mut settings = LaneSettings::of(&books.db);
    set(&mut settings);
    Lanes::start(&books.db, books.clock.clone(), settings)
}

/// Ends once the call is noted.
async fn noted(books: &Books, payer: &Payer, id: HoldId) {
    loop {
        let open = hold::Entity::of(payer.tenant)
            .filter(hold::Column::Id.eq(id))
            .one(books.db.read())
            .await
            .expect("a read")
            .expect("the call runs");
        if open.dispatched_at.is_some() {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_sign_of_life_that_is_not_written_yet_puts_off_the_end_all_the_same() {
    let (books, payer) = Books::with_payer(100).await;
    let lanes = lanes_with(&books, |settings| {
        settings.linger = Duration::from_secs(30);
    });
    let mut alive = lanes.hold(books.order(&payer, 20)).await.expect("held");
    books.clock.advance(Duration::from_mins(3));

    alive.checkpoint(nanos(4), Tokens::default());
    let swept = sweeper::sweep(&books.db, &lanes, books.now())
        .await
        .expect("a sweep");
    timeout(Duration::from_secs(10), noted(&books, &payer, alive.id()))
        .await
        .expect("noted");
    let settled = alive.settle(books.settlement(15)).await.expect("settled");

    assert_eq!((swept.expired, swept.left), (0, 1));
    assert_eq!(
        (settled.outcome, settled.charge),
        (usage::Outcome::Settled, nanos(15))
    );
    lanes.drain().await;
    books.close().await;
}

#[tokio::test]
async fn a_note_of_another_call_puts_off_nothing() {
    let (books, payer) = Books::with_payer(100).await;
    let lost = books
        .lanes
        .hold(books.order(&payer, 20))
        .await
        .expect("held");
    let mut alive = books
        .lanes
        .hold(books.order(&payer, 20))
        .await
        .expect("held");
    books.clock.advance(Duration::from_mins(3));
    // A process that dies drops nothing.
    std::mem::forget(lost);

    alive.checkpoint(nanos(4), Tokens::default());
    let swept = sweeper::sweep(&books.db, &books.lanes, books.now())
        .await
        .expect("a sweep");
    alive.settle(books.settlement(15)).await.expect("settled");

    let expected = Swept {
        expired: 1,
        left: 1,
        failed: 0,
    };
    assert_eq!(swept, expected);
    assert_eq!(books.balance(&payer).await.available, nanos(85));
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_noted_however_much_is_asked() {
    let (books, payer) = Books::with_payer(10_000).await;
    let lanes = lanes_with(&books, |settings| {
        settings.batch = 2;
        settings.linger = Duration::from_millis(5);
    });
    let mut long = lanes.hold(books.order(&payer, 20)).await.expect("held");
    let enough = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..32)
        .map(|_| {
            let (lanes, enough) = (lanes.clone(), enough.clone());
            let orders: Vec<_> = (0..2_000).map(|_| books.order(&payer, 1)).collect();
            tokio::spawn(async move {
                for order in orders {
                    if enough.load(Ordering::Acquire) {
                        return;
                    }
                    let held = lanes.hold(order).await.expect("held");
                    held.void(usage::Finish::ClientGone).await.expect("voided");
                }
            })
        })
        .collect();
    sleep(Duration::from_millis(100)).await;

    long.checkpoint(nanos(4), Tokens::default());
    let in_time = timeout(Duration::from_secs(5), noted(&books, &payer, long.id())).await;
    enough.store(true, Ordering::Release);
    for task in join_all(busy).await {
        task.expect("no panic");
    }

    assert!(in_time.is_ok());
    long.void(usage::Finish::ClientGone).await.expect("voided");
    lanes.drain().await;
    books.close().await;
}

#[tokio::test]
async fn a_note_that_is_due_waits_for_nobody_elses_company() {
    let (books, payer) = Books::with_payer(100).await;
    let linger = Duration::from_secs(2);
    let lanes = lanes_with(&books, |settings| settings.linger = linger);
    let mut call = lanes.hold(books.order(&payer, 20)).await.expect("held");

    call.checkpoint(nanos(4), Tokens::default());
    let since = Instant::now();
    sleep(linger.mul_f64(0.8)).await;
    lanes.touch(payer.key, books.now());
    noted(&books, &payer, call.id()).await;
    let waited = since.elapsed();

    assert!(waited >= linger, "{waited:?}");
    assert!(waited < linger.mul_f64(1.6), "{waited:?}");
    call.void(usage::Finish::ClientGone).await.expect("voided");
    lanes.drain().await;
    books.close().await;
}
