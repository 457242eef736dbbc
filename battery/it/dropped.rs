//! Callers that go away. A future is polled so many times and dropped, for every number of times until one is polled to
//! its end, so that it is dropped wherever it can wait; whatever the moment, nothing stays held, the books add up, and
//! what had been decided stays decided.

use crate::{
    length,
    support::books::{Books, Payer, nanos},
};
use billing::{lane::Hold, ledger, rating::Tokens, sweeper};
use entity::{Credits, HoldId, Scoped, hold, usage};
use sea_orm::PaginatorTrait;
use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

/// Turns that a dropped future had most before it was through; more would be a future that never ends.
const POLLS_MAX: usize = 100_000;

/// Polls a future so many times, once a turn of the runtime, and drops it. `Some` when it ended by then.
async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..times {
        let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(value) = polled {
            return Some(value);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Waits until nothing is open in the lanes, and proves that nothing is held.
async fn comes_to_rest(books: &Books, payer: &Payer) {
    while books.lanes.open() > 0 {
        tokio::task::yield_now().await;
    }
    let open = hold::Entity::of(payer.tenant)
        .count(books.db.read())
        .await
        .expect("a count");
    assert_eq!(open, 0, "no hold is left");
    assert_eq!(books.balance(payer).await.held, Credits::ZERO);
}

/// The numbers of polls to try: each one at first, then ever wider apart, until a future came through.
fn patience() -> impl Iterator<Item = usize> {
    let fine = length::times(12, 400);
    (0..fine)
        .chain((1..).map(move |step| fine + step * step))
        .take_while(|polls| *polls < POLLS_MAX)
}

async fn held(books: &Books, payer: &Payer) -> Hold {
    let mut hold = books
        .lanes
        .hold(books.order(payer, 10))
        .await
        .expect("held");
    hold.dispatched();
    hold
}

async fn outcomes(books: &Books, payer: &Payer) -> Vec<usage::Model> {
    usage::Entity::of(payer.tenant)
        .all(books.db.read())
        .await
        .expect("usage")
}

#[tokio::test]
async fn asking_for_a_hold_may_be_given_up_anywhere() {
    let (books, payer) = Books::with_payer(1_000_000).await;
    let mut drops = 0;

    for polls in patience() {
        let asked = polled(polls, books.lanes.hold(books.order(&payer, 10))).await;
        let through = asked.is_some();
        drop(asked);
        comes_to_rest(&books, &payer).await;
        drops += 1;
        if through {
            break;
        }
    }

    println!("battery: a hold was given up after {drops} numbers of polls");
    assert!(
        outcomes(&books, &payer)
            .await
            .iter()
            .all(|call| call.charge.is_zero())
    );
    assert_eq!(books.balance(&payer).await.posted, nanos(1_000_000));
    books.close().await;
}

#[tokio::test]
async fn a_settlement_is_written_however_soon_its_caller_goes() {
    let (books, payer) = Books::with_payer(1_000_000).await;
    let mut settled = 0;

    for polls in patience() {
        let hold = held(&books, &payer).await;
        let through = polled(polls, hold.settle(books.settlement(7)))
            .await
            .is_some();
        settled += 1;
        comes_to_rest(&books, &payer).await;
        if through {
            break;
        }
    }

    println!("battery: a settlement was given up after {settled} numbers of polls");
    let ended = outcomes(&books, &payer).await;
    assert!(
        ended
            .iter()
            .all(|call| call.outcome == usage::Outcome::Settled && call.charge == nanos(7))
    );
    assert_eq!(
        books.balance(&payer).await.posted,
        nanos(1_000_000 - 7 * settled)
    );
    books.close().await;
}

#[tokio::test]
async fn growth_that_is_given_up_leaves_a_hold_that_still_ends() {
    let (books, payer) = Books::with_payer(1_000_000).await;

    for polls in patience() {
        let mut hold = held(&books, &payer).await;
        let through = polled(polls, hold.grow(nanos(5), nanos(1))).await.is_some();
        hold.checkpoint(nanos(3), Tokens::default());
        drop(hold);
        comes_to_rest(&books, &payer).await;
        if through {
            break;
        }
    }

    assert!(
        outcomes(&books, &payer)
            .await
            .iter()
            .all(|call| call.charge == nanos(3))
    );
    books.close().await;
}

#[tokio::test]
async fn waiting_for_room_may_be_given_up_anywhere() {
    let (books, payer) = Books::with_payer(10).await;

    for polls in (0..length::times(30, 300)).chain([1_000, 3_000]) {
        let first = books
            .lanes
            .hold(books.order(&payer, 10))
            .await
            .expect("held");
        let waits = books
            .lanes
            .hold_within(books.order(&payer, 10), Duration::from_mins(1));
        let (second, ()) = tokio::join!(polled(polls, waits), async {
            // Half of them are given up while they wait, the others while they are let in.
            if polls % 2 == 0 {
                drop(first);
            } else {
                polled(polls, std::future::pending::<()>()).await;
                drop(first);
            }
        });
        drop(second);
        comes_to_rest(&books, &payer).await;
        assert_eq!(books.lanes.waiting(), 0);
    }

    assert_eq!(books.balance(&payer).await.available, nanos(10));
    books.close().await;
}

#[tokio::test]
async fn an_ordinary_write_that_is_given_up_is_whole_or_nothing() {
    let books = Books::open().await;
    let payer = books.payer().await;
    books.grant(&payer, 1).await;

    for polls in patience() {
        let key = format!("dropped:{polls}");
        let order = books.grant_order(&payer, 100, &key);
        let granted = polled(polls, ledger::grant(&books.db, order.clone(), books.now())).await;
        let again = books.grant_by(order).await;
        assert_eq!(again.amount, nanos(100));
        books.audit().await;
        if granted.is_some() {
            break;
        }
    }

    books.close().await;
}

#[tokio::test]
async fn a_drain_that_begins_at_any_moment_writes_what_was_asked_and_leaves_the_rest_to_the_sweeper()
 {
    for polls in 0..length::times(10, 200) {
        let (books, payer) = Books::with_payer(1_000).await;
        let (kept, ending) = (held(&books, &payer).await, held(&books, &payer).await);
        let id = ending.id();
        let settling = ending.settle(books.settlement(7));
        let asking = polled(polls, books.lanes.hold(books.order(&payer, 10))).await;
        // A guard that the process takes down with it.
        std::mem::forget(kept);
        drop(asking);

        books.lanes.drain().await;

        let written = outcomes(&books, &payer).await;
        assert!(
            written.iter().any(|call| call.id == id),
            "what was asked is written when the drain is over"
        );
        assert_eq!(settling.await.expect("settled").charge, nanos(7));
        let after = books.lanes.hold(books.order(&payer, 1)).await;
        assert!(after.is_err(), "a drained process holds nothing");
        let twin = billing::lane::Lanes::start(
            &books.db,
            books.clock.clone(),
            billing::lane::LaneSettings::of(&books.db),
        );
        books.clock.advance(Duration::from_mins(10));
        let swept = sweeper::sweep(&books.db, &twin, books.now())
            .await
            .expect("a sweep");
        assert_eq!((swept.expired, swept.failed), (1, 0));
        twin.drain().await;
        let open: Vec<HoldId> = hold::Entity::of(payer.tenant)
            .all(books.db.read())
            .await
            .expect("holds")
            .into_iter()
            .map(|hold| hold.id)
            .collect();
        assert!(open.is_empty(), "{open:?}");
        books.close().await;
    }
}
