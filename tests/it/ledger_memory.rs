//! Promises to whoever changes a wallet beside a lane that remembers it: the very next batch sees it.

use crate::support::books::{Books, Payer, nanos};
use billing::{
    admission::{EndRefusal, HoldRefusal},
    lane::{LaneSettings, Lanes},
    ledger,
    sweeper::sweep,
};
use entity::{Actor, usage, wallet};
use std::time::Duration;

/// The lanes of another process on the same database.
fn others(books: &Books) -> Lanes {
    Lanes::start(&books.db, books.clock.clone(), LaneSettings::of(&books.db))
}

async fn warm(books: &Books, payer: &Payer) {
    let hold = books.lanes.hold(books.order(payer, 1)).await.expect("held");
    hold.settle(books.settlement(0)).await.expect("it settles");
}

#[tokio::test]
async fn what_another_process_holds_and_spends_is_seen_by_the_next_hold() {
    let (books, payer) = Books::with_payer(100).await;
    let others = others(&books);
    warm(&books, &payer).await;

    let theirs = others.hold(books.order(&payer, 60)).await.expect("held");
    let refused = books.lanes.hold(books.order(&payer, 41)).await;
    theirs.settle(books.settlement(10)).await.expect("settled");
    let ours = books.lanes.hold(books.order(&payer, 90)).await;

    assert!(
        matches!(refused, Err(HoldRefusal::InsufficientCredits { available, .. })
            if available == nanos(40)),
        "{refused:?}"
    );
    let ours = ours.expect("what was not spent is free again");
    ours.settle(books.settlement(90)).await.expect("it settles");
    assert_eq!(books.balance(&payer).await.posted, nanos(0));
    others.drain().await;
    books.close().await;
}

#[tokio::test]
async fn credits_that_come_in_and_a_wallet_that_is_frozen_are_seen_by_the_next_hold() {
    let (books, payer) = Books::with_payer(10).await;
    warm(&books, &payer).await;

    books.grant(&payer, 50).await;
    let held = books.lanes.hold(books.order(&payer, 60)).await;
    held.expect("both lots pay")
        .settle(books.settlement(20))
        .await
        .expect("it settles");
    let (tenant, now) = (payer.tenant, books.now());
    let why = "a test".to_owned();
    ledger::set_status(
        &books.db,
        tenant,
        wallet::Status::Frozen,
        Actor::System,
        why,
        now,
    )
    .await
    .expect("frozen");
    let frozen = books.lanes.hold(books.order(&payer, 1)).await;

    assert!(
        matches!(frozen, Err(HoldRefusal::WalletFrozen)),
        "{frozen:?}"
    );
    books.close().await;
}

#[tokio::test]
async fn a_hold_that_another_process_swept_is_settled_as_it_was_swept() {
    let (books, payer) = Books::with_payer(100).await;
    let others = others(&books);
    let hold = books
        .lanes
        .hold(books.order(&payer, 60))
        .await
        .expect("held");

    books.clock.advance(Duration::from_mins(3));
    let swept = sweep(&books.db, &others, books.now())
        .await
        .expect("it sweeps");
    let settled = hold.settle(books.settlement(50)).await;

    assert_eq!(swept.expired, 1);
    let settled = settled.map_err(|fault: EndRefusal| fault.to_string());
    let settled = settled.expect("the first ending's answer");
    assert_eq!(settled.outcome, usage::Outcome::Expired);
    assert_eq!(settled.charge, nanos(0));
    assert_eq!(books.balance(&payer).await.posted, nanos(100));
    others.drain().await;
    books.close().await;
}

#[tokio::test]
async fn an_order_that_was_carried_out_by_another_process_is_not_carried_out_again() {
    let (books, payer) = Books::with_payer(100).await;
    let others = others(&books);
    warm(&books, &payer).await;
    let (open, ended) = (books.order(&payer, 30), books.order(&payer, 20));

    let theirs = others.hold(open.clone()).await.expect("held");
    let done = others.hold(ended.clone()).await.expect("held");
    done.settle(books.settlement(20)).await.expect("it settles");
    let again = books.lanes.hold(open).await.expect("it is there");
    let late = books.lanes.hold(ended).await;

    assert_eq!(again.amount(), nanos(30));
    assert!(matches!(late, Err(HoldRefusal::IdInUse)), "{late:?}");
    let balance = books.balance(&payer).await;
    assert_eq!((balance.posted, balance.held), (nanos(80), nanos(30)));
    let first = theirs.settle(books.settlement(5)).await.expect("settled");
    let second = again.settle(books.settlement(7)).await.expect("answered");
    assert_eq!((first.charge, second.charge), (nanos(5), nanos(5)));
    others.drain().await;
    books.close().await;
}
