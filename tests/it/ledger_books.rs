//! Promises of the books: entries, business keys, what lapses and what is put right.

use crate::support::books::{Books, START, nanos};
use billing::{
    admission::HoldRefusal,
    ledger::{self, AdjustError, Adjustment, Change, GrantError, GrantOrder},
};
use entity::{Actor, Credits, Platform, ledger_entry};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, QueryFilter};
use std::time::Duration;

#[tokio::test]
async fn entries_are_appended_and_never_changed_or_removed() {
    let (books, payer) = Books::with_payer(100).await;
    let hold = books
        .lanes
        .hold(books.order(&payer, 50))
        .await
        .expect("held");
    hold.settle(books.settlement(30)).await.expect("settled");

    for change in [
        "UPDATE ledger_entry SET amount = amount + 1",
        "DELETE FROM ledger_entry",
        "UPDATE ledger_transaction SET reason = 'x'",
        "DELETE FROM ledger_transaction",
        r#"UPDATE "usage" SET charge = 1"#,
        r#"DELETE FROM "usage""#,
        "DELETE FROM usage_allocation",
    ] {
        let refused: Result<(), DbErr> = books
            .db
            .write(move |tx| {
                Box::pin(async move { tx.execute_unprepared(change).await.map(|_| ()) })
            })
            .await;
        let fault = refused.expect_err(change).to_string();
        assert!(
            fault.contains("never changed or removed"),
            "{change}: {fault}"
        );
    }

    books.close().await;
}

#[tokio::test]
async fn a_business_key_is_claimed_first_and_a_replay_returns_the_first_outcome() {
    let books = Books::open().await;
    let payer = books.payer().await;
    let order = books.grant_order(&payer, 70, "purchase:1");

    let first = books.grant_by(order.clone()).await;
    let again = books.grant_by(order.clone()).await;
    let other = GrantOrder {
        amount: nanos(71),
        ..order
    };
    let refused = ledger::grant(&books.db, other, books.now()).await;

    assert!(!first.replay && again.replay);
    assert_eq!(again.grant, first.grant);
    assert_eq!(again.transaction, first.transaction);
    assert!(matches!(refused, Err(GrantError::KeyInUse)), "{refused:?}");
    assert_eq!(books.balance(&payer).await.posted, nanos(70));
    books.close().await;
}

#[tokio::test]
async fn the_database_itself_refuses_a_balance_below_zero() {
    let (books, _) = Books::with_payer(100).await;

    for change in [
        "UPDATE wallet SET posted = -1",
        "UPDATE wallet SET held = posted + 1",
        "UPDATE wallet SET debt = -1",
        r#"UPDATE "grant" SET remaining = -1"#,
        r#"UPDATE "grant" SET held = remaining + 1"#,
        r#"UPDATE "grant" SET remaining = amount + 1"#,
    ] {
        let refused: Result<(), DbErr> = books
            .db
            .write(move |tx| {
                Box::pin(async move { tx.execute_unprepared(change).await.map(|_| ()) })
            })
            .await;
        assert!(refused.is_err(), "{change}");
    }

    books.close().await;
}

#[tokio::test]
async fn absurd_amounts_are_refused_and_change_nothing() {
    let (books, payer) = Books::with_payer(100).await;

    for amount in [0, -1, i64::MIN, i64::MAX] {
        let order = books.grant_order(&payer, amount, &format!("absurd:{amount}"));
        let refused = ledger::grant(&books.db, order, books.now()).await;
        assert!(
            matches!(refused, Err(GrantError::OutOfRange)),
            "{amount}: {refused:?}"
        );
    }
    let overflowing = books.grant_order(&payer, Credits::MAX.nanos(), "absurd:sum");
    let refused = ledger::grant(&books.db, overflowing, books.now()).await;
    assert!(
        matches!(refused, Err(GrantError::OutOfRange)),
        "{refused:?}"
    );
    for amount in [-1, i64::MIN, i64::MAX] {
        let refused = books.lanes.hold(books.order(&payer, amount)).await;
        assert!(
            matches!(refused, Err(HoldRefusal::OutOfRange)),
            "{amount}: {refused:?}"
        );
    }

    assert_eq!(books.balance(&payer).await.available, nanos(100));
    books.close().await;
}

#[tokio::test]
async fn what_lapses_is_booked_at_its_own_end_and_what_a_call_holds_lapses_after_it() {
    let books = Books::open().await;
    let payer = books.payer().await;
    let end = START.plus(Duration::from_hours(1));
    let order = GrantOrder {
        expires_at: Some(end),
        ..books.grant_order(&payer, 100, "lapses")
    };
    books.grant_by(order).await;
    let hold = books
        .lanes
        .hold(books.order(&payer, 40))
        .await
        .expect("held");
    books.clock.advance(Duration::from_hours(2));

    let first = ledger::expire_due(&books.db, books.now())
        .await
        .expect("a run");
    let again = ledger::expire_due(&books.db, books.now())
        .await
        .expect("a run");
    hold.settle(books.settlement(25))
        .await
        .expect("a late call still pays from its own lot");
    let rest = ledger::expire_due(&books.db, books.now())
        .await
        .expect("a run");

    assert_eq!(
        (first.credits, again.credits, rest.credits),
        (nanos(60), Credits::ZERO, nanos(15))
    );
    assert_eq!(books.balance(&payer).await.posted, Credits::ZERO);
    let lines = ledger::statement(&books.db, payer.tenant, None, 10)
        .await
        .expect("a statement");
    assert!(
        lines
            .iter()
            .any(|line| line.transaction.effective_at == end && line.change == nanos(-60))
    );
    books.close().await;
}

#[tokio::test]
async fn an_adjustment_needs_a_reason_is_booked_once_and_never_takes_what_is_held() {
    let (books, payer) = Books::with_payer(100).await;
    let hold = books
        .lanes
        .hold(books.order(&payer, 60))
        .await
        .expect("held");
    let debit = |amount, key: &str, reason: &str| Adjustment {
        tenant: payer.tenant,
        change: Change::Debit {
            amount: nanos(amount),
        },
        business_key: key.to_owned(),
        actor: Actor::System,
        reason: reason.to_owned(),
    };

    let silent = ledger::adjust(&books.db, debit(1, "adj:0", "  "), books.now()).await;
    let greedy = ledger::adjust(&books.db, debit(41, "adj:1", "mistake"), books.now()).await;
    let first = ledger::adjust(&books.db, debit(40, "adj:2", "mistake"), books.now())
        .await
        .expect("taken");
    let again = ledger::adjust(&books.db, debit(40, "adj:2", "mistake"), books.now())
        .await
        .expect("taken before");
    let other = ledger::adjust(&books.db, debit(39, "adj:2", "mistake"), books.now()).await;

    assert!(matches!(silent, Err(AdjustError::NoReason)), "{silent:?}");
    assert!(
        matches!(greedy, Err(AdjustError::NotThere { available }) if available == nanos(40)),
        "{greedy:?}"
    );
    assert_eq!(
        (first.transaction, first.replay, again.replay),
        (again.transaction, false, true)
    );
    assert!(matches!(other, Err(AdjustError::KeyInUse)), "{other:?}");
    hold.settle(books.settlement(60)).await.expect("settled");
    assert_eq!(books.balance(&payer).await.posted, Credits::ZERO);
    books.close().await;
}

#[tokio::test]
async fn a_debit_passes_over_a_lot_that_running_calls_hold_to_the_last() {
    let (books, payer) = Books::with_payer(60).await;
    books.grant(&payer, 40).await;
    let hold = books
        .lanes
        .hold(books.order(&payer, 60))
        .await
        .expect("held");
    let debit = Adjustment {
        tenant: payer.tenant,
        change: Change::Debit { amount: nanos(40) },
        business_key: "adj:1".to_owned(),
        actor: Actor::System,
        reason: "mistake".to_owned(),
    };

    ledger::adjust(&books.db, debit, books.now())
        .await
        .expect("the other lot is free");

    hold.settle(books.settlement(60)).await.expect("settled");
    assert_eq!(books.balance(&payer).await.posted, Credits::ZERO);
    books.close().await;
}

#[tokio::test]
async fn the_charges_of_a_batch_are_booked_in_one_transaction_a_wallet() {
    let (books, payer) = Books::with_payer(1_000).await;
    let mut holds = Vec::new();
    for _ in 0..20 {
        holds.push(
            books
                .lanes
                .hold(books.order(&payer, 10))
                .await
                .expect("held"),
        );
    }

    // Settling hands each to the lane at once; the first batch takes one, the next ones what gathered meanwhile.
    let endings: Vec<_> = holds
        .into_iter()
        .map(|hold| hold.settle(books.settlement(3)))
        .collect();
    for ending in endings {
        ending.await.expect("settled");
    }

    let entries = ledger_entry::Entity::every()
        .filter(ledger_entry::Column::Account.eq(ledger_entry::Account::Used))
        .all(books.db.read())
        .await
        .expect("entries");
    assert!(
        entries.len() < 20,
        "{} postings for 20 calls",
        entries.len()
    );
    assert_eq!(entries.iter().map(|entry| entry.amount).sum::<i64>(), 60);
    books.close().await;
}
