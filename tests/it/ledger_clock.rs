//! Promises about clocks that jump: what is asked at a moment long ago or far ahead gets a typed answer, nothing changes
//! that should not, and the books still agree.

use crate::support::books::{Books, nanos};
use billing::{admission::HoldRefusal, sweeper};
use entity::{Credits, Platform, Scoped, Timestamp, hold, ledger_entry, usage};
use std::time::Duration;

const YEAR: Duration = Duration::from_hours(365 * 24);

/// Everything that calls write, row by row.
async fn dump(books: &Books) -> String {
    let (db, across) = (books.db.read(), "every table reads");
    let holds = hold::Entity::across_tenants().all(db).await.expect(across);
    let entries = ledger_entry::Entity::every().all(db).await;
    let calls = usage::Entity::across_tenants().all(db).await;
    format!(
        "{holds:?} {:?} {:?}",
        entries.expect(across),
        calls.expect(across)
    )
}

#[tokio::test]
async fn a_call_of_a_clock_that_jumped_back_finds_no_credits_that_came_later_and_changes_nothing() {
    let (books, payer) = Books::with_payer(100).await;
    let before = (dump(&books).await, books.balance(&payer).await);
    let mut order = books.order(&payer, 10);
    order.now = books.now().minus(YEAR);

    let held = books.lanes.hold(order).await;

    assert!(
        matches!(held, Err(HoldRefusal::InsufficientCredits { .. })),
        "{held:?}"
    );
    assert_eq!((dump(&books).await, books.balance(&payer).await), before);
    books.close().await;
}

#[tokio::test]
async fn a_call_that_ends_before_it_began_is_charged_once_all_the_same() {
    let (books, payer) = Books::with_payer(100).await;
    let hold = books
        .lanes
        .hold(books.order(&payer, 10))
        .await
        .expect("held");
    let mut settlement = books.settlement(7);
    settlement.ended_at = books.now().minus(YEAR);

    let settled = hold.settle(settlement).await.expect("settled");

    assert_eq!(settled.charge, nanos(7));
    assert_eq!(books.balance(&payer).await.posted, nanos(93));
    assert_eq!(books.balance(&payer).await.held, Credits::ZERO);
    books.close().await;
}

#[tokio::test]
async fn a_sweeper_whose_clock_jumped_back_ends_nothing_and_one_whose_clock_jumped_ahead_ends_each_once()
 {
    let (books, payer) = Books::with_payer(100).await;
    let hold = books
        .lanes
        .hold(books.order(&payer, 10))
        .await
        .expect("held");
    let before = dump(&books).await;
    let sweep = async |now: Timestamp| {
        let swept = sweeper::sweep(&books.db, &books.lanes, now).await;
        swept.expect("a sweep").expired
    };

    assert_eq!(sweep(books.now().minus(YEAR)).await, 0);
    assert_eq!(dump(&books).await, before);
    assert_eq!(sweep(books.now().plus(YEAR)).await, 1);
    assert_eq!(sweep(books.now().plus(YEAR)).await, 0);
    let late = hold
        .settle(books.settlement(7))
        .await
        .expect("the first outcome");

    assert_eq!(late.charge, Credits::ZERO, "it had ended before");
    assert_eq!(books.balance(&payer).await.posted, nanos(100));
    books.close().await;
}
