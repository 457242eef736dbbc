//! Promises of giving back what a call cost, and of giving up a debt.

use crate::support::books::{Books, Payer, nanos};
use billing::ledger::{
    self, CallRefund, CallRefundError, GrantOrder, WriteOff, WriteOffError, refund_call, write_off,
};
use entity::{
    Actor, Credits, HoldId, Platform, Scoped, grant, ledger_entry, ledger_transaction,
    usage_adjustment, wallet,
};
use futures_util::future::join_all;
use proptest::prelude::*;
use std::time::Duration;

/// A finished call that cost so much.
async fn call(books: &Books, payer: &Payer, held: i64, charge: i64) -> HoldId {
    let order = books.order(payer, held);
    let id = order.id;
    let hold = books.lanes.hold(order).await.expect("held");
    hold.settle(books.settlement(charge))
        .await
        .expect("settled");
    id
}

fn refund(payer: &Payer, call: HoldId, amount: Option<i64>, once: &str) -> CallRefund {
    CallRefund {
        tenant: payer.tenant,
        call,
        amount: amount.map(nanos),
        once: once.to_owned(),
        actor: Actor::System,
        reason: "an outage".to_owned(),
    }
}

fn giving_up(payer: &Payer, amount: Option<i64>, once: &str) -> WriteOff {
    WriteOff {
        tenant: payer.tenant,
        amount: amount.map(nanos),
        once: once.to_owned(),
        actor: Actor::System,
        reason: "goodwill".to_owned(),
    }
}

async fn lots(books: &Books, payer: &Payer) -> Vec<grant::Model> {
    let mut lots = grant::Entity::of(payer.tenant)
        .all(books.db.read())
        .await
        .expect("lots");
    lots.sort_by_key(|lot| lot.id);
    lots
}

/// Everything that an operation on a tenant's credits may change.
async fn dump(books: &Books, payer: &Payer) -> String {
    let db = books.db.read();
    let wallets = wallet::Entity::of(payer.tenant).all(db).await;
    let lots = lots(books, payer).await;
    let transactions = ledger_transaction::Entity::of(payer.tenant).all(db).await;
    let entries = ledger_entry::Entity::every().all(db).await;
    let adjustments = usage_adjustment::Entity::of(payer.tenant).all(db).await;
    format!("{wallets:?} {lots:?} {transactions:?} {entries:?} {adjustments:?}")
}

/// Sixty promotional nano-credits, drawn first, and a hundred that were paid.
async fn two_lots() -> (Books, Payer) {
    let books = Books::open().await;
    let payer = books.payer().await;
    let promo = GrantOrder {
        source: grant::Source::Promo,
        expires_at: Some(books.now().plus(Duration::from_hours(24))),
        ..books.grant_order(&payer, 60, "promo")
    };
    books.grant_by(promo).await;
    books.grant(&payer, 100).await;
    (books, payer)
}

#[tokio::test]
async fn a_refund_unwinds_what_paid_the_last_first_and_never_beyond_the_charge() {
    let (books, payer) = two_lots().await;
    let id = call(&books, &payer, 90, 80).await;
    let give = |amount, once| refund_call(&books.db, refund(&payer, id, amount, once), books.now());
    let left = async || {
        let lots = lots(&books, &payer).await;
        [lots[0].remaining.nanos(), lots[1].remaining.nanos()]
    };

    assert_eq!(left().await, [0, 80]);
    give(Some(30), "1").await.expect("given back");
    assert_eq!(left().await, [10, 100]);
    assert_eq!(lots(&books, &payer).await[0].status, grant::Status::Active);
    let too_much = give(Some(51), "2").await;
    let rest = give(None, "3").await.expect("given back");
    let nothing = give(None, "4").await;

    assert!(matches!(too_much, Err(CallRefundError::TooMuch { left }) if left == nanos(50)));
    assert_eq!((rest.amount, rest.replay), (nanos(50), false));
    assert!(matches!(nothing, Err(CallRefundError::TooMuch { left }) if left.is_zero()));
    assert_eq!(left().await, [60, 100]);
    assert_eq!(books.balance(&payer).await.posted, nanos(160));
    books.close().await;
}

#[tokio::test]
async fn a_refund_that_is_sent_twice_is_booked_once() {
    let (books, payer) = two_lots().await;
    let id = call(&books, &payer, 90, 80).await;

    let wish = refund(&payer, id, Some(5), "form");
    let first = refund_call(&books.db, wish.clone(), books.now()).await;
    let again = refund_call(&books.db, wish.clone(), books.now()).await;
    let other = refund_call(&books.db, refund(&payer, id, Some(6), "form"), books.now()).await;

    let (first, again) = (first.expect("given back"), again.expect("the same"));
    assert_eq!(
        (first.transaction, first.replay, again.replay),
        (again.transaction, false, true)
    );
    assert!(matches!(other, Err(CallRefundError::KeyInUse)));
    assert_eq!(books.balance(&payer).await.posted, nanos(85));
    books.close().await;
}

#[tokio::test]
async fn what_a_lapsed_lot_paid_comes_back_as_goodwill() {
    let (books, payer) = two_lots().await;
    let id = call(&books, &payer, 90, 80).await;
    books.clock.advance(Duration::from_hours(48));
    ledger::expire_due(&books.db, books.now())
        .await
        .expect("a run");

    refund_call(&books.db, refund(&payer, id, None, "1"), books.now())
        .await
        .expect("given back");

    let lots = lots(&books, &payer).await;
    let goodwill = lots.last().expect("a lot");
    assert_eq!(lots.len(), 3);
    assert_eq!(
        (goodwill.source, goodwill.remaining, goodwill.expires_at),
        (grant::Source::Goodwill, nanos(60), None)
    );
    assert_eq!(
        (lots[0].remaining, lots[1].remaining),
        (nanos(0), nanos(100))
    );
    books.close().await;
}

#[tokio::test]
async fn what_comes_back_repays_a_debt_first() {
    let (books, payer) = Books::with_payer(50).await;
    let id = call(&books, &payer, 50, 70).await;
    assert_eq!(books.balance(&payer).await.debt, nanos(20));
    let early = call_of_another(&books).await;

    let foreign = refund_call(&books.db, refund(&payer, early, None, "0"), books.now()).await;
    // The last ten of the charge were debt; then twenty more, half debt and half of the lot.
    refund_call(&books.db, refund(&payer, id, Some(10), "1"), books.now())
        .await
        .expect("given back");
    let after_ten = books.balance(&payer).await;
    books.grant(&payer, 4).await;
    refund_call(&books.db, refund(&payer, id, Some(30), "2"), books.now())
        .await
        .expect("given back");

    assert!(matches!(foreign, Err(CallRefundError::NoCall)));
    assert_eq!((after_ten.debt, after_ten.posted), (nanos(10), nanos(0)));
    let after = books.balance(&payer).await;
    assert_eq!((after.debt, after.posted), (nanos(0), nanos(24)));
    books.close().await;
}

async fn call_of_another(books: &Books) -> HoldId {
    let other = books.payer().await;
    books.grant(&other, 10).await;
    call(books, &other, 5, 5).await
}

#[tokio::test]
async fn absurd_refunds_and_write_offs_change_nothing() {
    let (books, payer) = Books::with_payer(50).await;
    let id = call(&books, &payer, 50, 70).await;
    let before = dump(&books, &payer).await;

    for amount in [0, -1, i64::MIN, i64::MAX, 71] {
        let refused = refund_call(
            &books.db,
            refund(&payer, id, Some(amount), "x"),
            books.now(),
        );
        assert!(
            matches!(
                refused.await,
                Err(CallRefundError::OutOfRange | CallRefundError::TooMuch { .. })
            ),
            "{amount}"
        );
        let refused = write_off(&books.db, giving_up(&payer, Some(amount), "x"), books.now());
        assert!(
            matches!(
                refused.await,
                Err(WriteOffError::OutOfRange | WriteOffError::TooMuch { .. })
            ),
            "{amount}"
        );
    }
    let silent = CallRefund {
        reason: " ".to_owned(),
        ..refund(&payer, id, None, "x")
    };
    let silent = refund_call(&books.db, silent, books.now()).await;
    let unmarked = refund_call(&books.db, refund(&payer, id, None, " "), books.now()).await;
    let unknown = refund(&payer, HoldId::fresh(), None, "x");
    let unknown = refund_call(&books.db, unknown, books.now()).await;
    let quiet = WriteOff {
        reason: String::new(),
        ..giving_up(&payer, None, "x")
    };
    let quiet = write_off(&books.db, quiet, books.now()).await;

    assert!(matches!(silent, Err(CallRefundError::NoReason)));
    assert!(matches!(unmarked, Err(CallRefundError::OutOfRange)));
    assert!(matches!(unknown, Err(CallRefundError::NoCall)));
    assert!(matches!(quiet, Err(WriteOffError::NoReason)));
    assert_eq!(dump(&books, &payer).await, before);
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_refunds_of_one_call_at_once_give_back_its_charge_at_most() {
    let (books, payer) = two_lots().await;
    let id = call(&books, &payer, 100, 100).await;

    let asked = (0..50).map(|n| {
        let (db, now) = (books.db.clone(), books.now());
        let wish = refund(&payer, id, Some(30), &n.to_string());
        tokio::spawn(async move { refund_call(&db, wish, now).await })
    });
    let answers = join_all(asked.collect::<Vec<_>>()).await;

    let given = answers
        .into_iter()
        .filter(|answer| answer.as_ref().expect("no panic").is_ok());
    assert_eq!(given.count(), 3);
    assert_eq!(books.balance(&payer).await.posted, nanos(150));
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_write_offs_of_one_form_one_is_booked_while_calls_run() {
    let (books, payer) = Books::with_payer(50).await;
    let id = call(&books, &payer, 50, 90).await;

    let asked = (0..50).map(|n| {
        let (db, now) = (books.db.clone(), books.now());
        let wish = giving_up(&payer, Some(15), "one form");
        let back = refund(&payer, id, Some(1), &n.to_string());
        tokio::spawn(async move {
            let given = refund_call(&db, back, now).await;
            given.expect("a nano-credit of ninety");
            write_off(&db, wish, now).await
        })
    });
    let answers: Vec<_> = join_all(asked.collect::<Vec<_>>())
        .await
        .into_iter()
        .map(|answer| answer.expect("no panic"))
        .collect();

    let booked = answers.iter().flatten().filter(|done| !done.replay).count();
    assert!(booked <= 1, "{answers:?}");
    let balance = books.balance(&payer).await;
    // Fifty came back; with what was written off, nothing is owed and the rest is there.
    assert_eq!(balance.debt, Credits::ZERO);
    assert_eq!(balance.posted, nanos(if booked == 1 { 25 } else { 10 }));
    books.close().await;
}

#[tokio::test]
async fn a_debt_is_written_off_whole_or_in_part_and_calls_go_on() {
    let (books, payer) = Books::with_payer(50).await;
    call(&books, &payer, 50, 90).await;

    let part = write_off(&books.db, giving_up(&payer, Some(15), "1"), books.now()).await;
    let again = write_off(&books.db, giving_up(&payer, Some(15), "1"), books.now()).await;
    let too_much = write_off(&books.db, giving_up(&payer, Some(26), "2"), books.now()).await;
    let rest = write_off(&books.db, giving_up(&payer, None, "3"), books.now()).await;
    let nothing = write_off(&books.db, giving_up(&payer, None, "4"), books.now()).await;

    assert_eq!(part.expect("written off").amount, nanos(15));
    assert!(again.expect("the same").replay);
    assert!(matches!(too_much, Err(WriteOffError::TooMuch { debt }) if debt == nanos(25)));
    assert_eq!(rest.expect("written off").amount, nanos(25));
    assert!(matches!(nothing, Err(WriteOffError::TooMuch { debt }) if debt.is_zero()));
    books.grant(&payer, 10).await;
    call(&books, &payer, 10, 10).await;
    books.close().await;
}

/// Any sequence of calls, refunds, write-offs, grants and lapses: the books add up and nothing comes back twice.
#[test]
fn whatever_is_given_back_the_books_add_up() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let steps = proptest::collection::vec((0..6_u8, 1..60_i64, 0..40_usize), 1..25);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 6,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&steps, |steps| {
        runtime.block_on(async {
            let (books, payer) = two_lots().await;
            let mut calls: Vec<(HoldId, i64, i64)> = Vec::new();
            for (n, (step, amount, which)) in steps.into_iter().enumerate() {
                match step {
                    0 | 1 => {
                        let order = books.order(&payer, amount);
                        let id = order.id;
                        if let Ok(hold) = books.lanes.hold(order).await {
                            let charge = amount + i64::from(step) * 7;
                            hold.settle(books.settlement(charge))
                                .await
                                .expect("settled");
                            calls.push((id, charge, 0));
                        }
                    }
                    2 | 3 if !calls.is_empty() => {
                        let index = which % calls.len();
                        let (id, charge, back) = calls[index];
                        let wish = refund(&payer, id, Some(amount), &n.to_string());
                        match refund_call(&books.db, wish, books.now()).await {
                            Ok(done) => calls[index].2 = back + done.amount.nanos(),
                            Err(CallRefundError::TooMuch { left }) => {
                                assert_eq!(left.nanos(), charge - back);
                                assert!(amount > charge - back);
                            }
                            Err(fault) => panic!("{fault}"),
                        }
                    }
                    4 => {
                        let wish = giving_up(&payer, Some(amount), &n.to_string());
                        drop(write_off(&books.db, wish, books.now()).await);
                        books.clock.advance(Duration::from_hours(3));
                    }
                    _ => {
                        books.grant(&payer, amount).await;
                        ledger::expire_due(&books.db, books.now())
                            .await
                            .expect("a run");
                    }
                }
                books.audit().await;
            }
            assert!(calls.iter().all(|(_, charge, back)| back <= charge));
            books.close().await;
        });
        Ok(())
    });
    outcome.expect("every sequence adds up");
}
