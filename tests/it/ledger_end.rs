//! Promises about the end of a hold: once, to the nano, whoever ends it.

use crate::support::books::{Books, nanos};
use billing::{
    admission::{EndRefusal, HoldRefusal},
    rating::Tokens,
    sweeper::{self, Swept},
};
use entity::{Credits, Scoped, usage};
use std::time::Duration;

#[tokio::test]
async fn a_settlement_below_the_hold_releases_the_rest() {
    let (books, payer) = Books::with_payer(100).await;
    let hold = books
        .lanes
        .hold(books.order(&payer, 60))
        .await
        .expect("held");
    let id = hold.id();

    let settled = hold.settle(books.settlement(25)).await.expect("settled");

    assert_eq!(settled.outcome, usage::Outcome::Settled);
    assert_eq!(settled.charge, nanos(25));
    let balance = books.balance(&payer).await;
    assert_eq!((balance.posted, balance.held), (nanos(75), Credits::ZERO));
    let call = usage::Entity::of(payer.tenant)
        .one(books.db.read())
        .await
        .expect("a read")
        .expect("the usage row");
    assert_eq!(
        (call.id, call.charge, call.hold_amount),
        (id, nanos(25), nanos(60))
    );
    books.close().await;
}

#[tokio::test]
async fn an_over_run_draws_its_own_lots_then_eligible_ones_then_becomes_debt_which_the_next_grant_repays()
 {
    let (books, payer) = Books::with_payer(100).await;
    let hold = books
        .lanes
        .hold(books.order(&payer, 60))
        .await
        .expect("held");
    books.grant(&payer, 20).await;

    hold.settle(books.settlement(150)).await.expect("settled");

    let balance = books.balance(&payer).await;
    assert_eq!((balance.posted, balance.debt), (Credits::ZERO, nanos(30)));
    let refused = books.lanes.hold(books.order(&payer, 1)).await;
    assert!(
        matches!(refused, Err(HoldRefusal::InDebt { debt }) if debt == nanos(30)),
        "{refused:?}"
    );
    let small = books.grant(&payer, 10).await;
    assert_eq!(small.repaid, nanos(10));
    let large = books.grant(&payer, 50).await;
    assert_eq!(large.repaid, nanos(20));
    let balance = books.balance(&payer).await;
    assert_eq!(
        (balance.available, balance.debt),
        (nanos(30), Credits::ZERO)
    );
    books.close().await;
}

#[tokio::test]
async fn a_hold_ends_once_and_whoever_comes_second_gets_the_first_answer() {
    let (books, payer) = Books::with_payer(100).await;
    let order = books.order(&payer, 40);
    let id = order.id;
    let hold = books.lanes.hold(order.clone()).await.expect("held");
    hold.settle(books.settlement(15)).await.expect("settled");

    let late = books.now().plus(Duration::from_hours(1));
    let expired = books
        .lanes
        .expire(payer.tenant, id, late)
        .await
        .expect("an answer");
    let held_again = books.lanes.hold(order).await;
    let unknown = books
        .lanes
        .expire(payer.tenant, entity::HoldId::fresh(), late)
        .await;

    let first = expired.expect("the stored outcome");
    assert_eq!(
        (first.outcome, first.charge),
        (usage::Outcome::Settled, nanos(15))
    );
    assert!(
        matches!(held_again, Err(HoldRefusal::IdInUse)),
        "{held_again:?}"
    );
    assert!(matches!(unknown, Err(EndRefusal::Unknown)), "{unknown:?}");
    assert_eq!(books.balance(&payer).await.posted, nanos(85));
    books.close().await;
}

#[tokio::test]
async fn a_dropped_hold_ends_by_its_last_checkpoint_and_for_nothing_if_it_never_left() {
    let (books, payer) = Books::with_payer(100).await;
    let never_left = books
        .lanes
        .hold(books.order(&payer, 10))
        .await
        .expect("held");
    let mut under_way = books
        .lanes
        .hold(books.order(&payer, 20))
        .await
        .expect("held");
    let counted = Tokens {
        input: 10,
        output: 3,
        ..Tokens::default()
    };
    under_way.dispatched();
    under_way.checkpoint(nanos(7), counted);
    let (first, second) = (never_left.id(), under_way.id());

    drop(never_left);
    drop(under_way);
    books.lanes.drain().await;

    let ended = usage::Entity::of(payer.tenant)
        .all(books.db.read())
        .await
        .expect("usage");
    let of = |id| ended.iter().find(|row| row.id == id).expect("ended");
    assert_eq!(of(first).outcome, usage::Outcome::Voided);
    assert_eq!(of(second).quality, usage::Quality::Checkpoint);
    assert_eq!((of(second).charge, of(second).output_tokens), (nanos(7), 3));
    assert_eq!(books.balance(&payer).await.available, nanos(93));
    books.close().await;
}

#[tokio::test]
async fn a_fault_of_ours_costs_nothing_before_anything_was_handed_on() {
    let (books, payer) = Books::with_payer(100).await;
    let mut ids = Vec::new();
    for delivered in [false, true] {
        let mut hold = books
            .lanes
            .hold(books.order(&payer, 20))
            .await
            .expect("held");
        ids.push(hold.id());
        let call = tokio::spawn(async move {
            hold.left(nanos(5), Tokens::default());
            if delivered {
                hold.checkpoint(nanos(7), Tokens::default());
            }
            panic!("a fault of ours");
        });
        call.await.expect_err("it panics");
    }
    books.lanes.drain().await;

    let ended = usage::Entity::of(payer.tenant)
        .all(books.db.read())
        .await
        .expect("usage");
    let of = |id| ended.iter().find(|row| row.id == id).expect("ended");
    let (outcome, finish) = (of(ids[0]).outcome, of(ids[0]).finish);
    assert_eq!(
        (outcome, finish, of(ids[0]).charge),
        (usage::Outcome::Voided, usage::Finish::Lost, nanos(0))
    );
    assert_eq!(of(ids[1]).outcome, usage::Outcome::Settled);
    assert_eq!(of(ids[1]).charge, nanos(7));
    assert_eq!(books.balance(&payer).await.available, nanos(93));
    books.close().await;
}

#[tokio::test]
async fn everything_held_has_an_end_and_the_sweeper_keeps_it() {
    let (books, payer) = Books::with_payer(100).await;
    let mut lost = books
        .lanes
        .hold(books.order(&payer, 20))
        .await
        .expect("held");
    let waiting = books
        .lanes
        .hold(books.order(&payer, 10))
        .await
        .expect("held");
    lost.checkpoint(nanos(4), Tokens::default());
    // A process that dies drops nothing.
    std::mem::forget(lost);
    std::mem::forget(waiting);

    let early = sweeper::sweep(&books.db, &books.lanes, books.now())
        .await
        .expect("a sweep");
    books.clock.advance(Duration::from_mins(3));
    let (one, two) = tokio::join!(
        sweeper::sweep(&books.db, &books.lanes, books.now()),
        sweeper::sweep(&books.db, &books.lanes, books.now())
    );

    assert_eq!(early, Swept::default());
    let (one, two) = (one.expect("a sweep"), two.expect("a sweep"));
    assert_eq!((one.failed, two.failed), (0, 0));
    let ended = usage::Entity::of(payer.tenant)
        .all(books.db.read())
        .await
        .expect("usage");
    assert!(
        ended
            .iter()
            .all(|row| row.outcome == usage::Outcome::Expired)
    );
    assert_eq!(ended.len(), 2);
    assert_eq!(books.balance(&payer).await.available, nanos(96));
    books.close().await;
}

#[tokio::test]
async fn a_drained_process_holds_nothing_more_and_has_written_everything() {
    let (books, payer) = Books::with_payer(100).await;
    let hold = books
        .lanes
        .hold(books.order(&payer, 10))
        .await
        .expect("held");
    let ending = hold.settle(books.settlement(10));

    books.lanes.drain().await;

    let refused = books.lanes.hold(books.order(&payer, 1)).await;
    assert!(matches!(refused, Err(HoldRefusal::Draining)), "{refused:?}");
    assert_eq!(ending.await.expect("settled before").charge, nanos(10));
    books.close().await;
}

#[tokio::test]
async fn a_settlement_with_impossible_numbers_is_refused_and_the_hold_stays_for_the_sweeper() {
    let (books, payer) = Books::with_payer(100).await;
    let hold = books
        .lanes
        .hold(books.order(&payer, 10))
        .await
        .expect("held");

    let refused = hold.settle(books.settlement(-5)).await;

    assert!(
        matches!(refused, Err(EndRefusal::OutOfRange)),
        "{refused:?}"
    );
    assert_eq!(books.balance(&payer).await.held, nanos(10));
    books.clock.advance(Duration::from_mins(3));
    sweeper::sweep(&books.db, &books.lanes, books.now())
        .await
        .expect("a sweep");
    assert_eq!(books.balance(&payer).await.available, nanos(100));
    books.close().await;
}
