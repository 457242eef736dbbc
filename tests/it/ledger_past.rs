//! Promises of looking back: the balance at any moment, and what is behind a line of the statement.

use crate::support::books::{Books, Payer, nanos};
use billing::ledger::{self, BalanceAt, CallRefund, Period, refund_call};
use entity::{
    Actor, Credits, Platform, Scoped, Timestamp, ledger_entry, ledger_entry::Account,
    ledger_transaction,
};
use sea_orm::QueryOrder;
use std::{collections::HashMap, time::Duration};

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    /// The next, from nothing up to `below`.
    fn next(&mut self, below: i64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).expect("31 bits") % below
    }
}

/// What every entry up to a moment adds up to, from the first one on.
async fn replayed(books: &Books, payer: &Payer, at: Timestamp) -> BalanceAt {
    let transactions: HashMap<_, _> = ledger_transaction::Entity::of(payer.tenant)
        .all(books.db.read())
        .await
        .expect("transactions")
        .into_iter()
        .map(|row| (row.id, row.posted_at))
        .collect();
    let entries = ledger_entry::Entity::every()
        .order_by_asc(ledger_entry::Column::WalletSeq)
        .all(books.db.read())
        .await
        .expect("entries");
    let (mut posted, mut debt) = (0, 0);
    for entry in entries {
        let Some(posted_at) = transactions.get(&entry.transaction_id) else {
            continue;
        };
        if *posted_at <= at {
            match entry.account {
                Account::Wallet => posted += entry.amount,
                Account::Debt => debt -= entry.amount,
                _ => {}
            }
        }
    }
    BalanceAt {
        posted: nanos(posted),
        debt: nanos(debt),
    }
}

#[tokio::test]
async fn the_balance_at_any_moment_is_what_a_replay_from_the_first_entry_says() {
    let books = Books::open().await;
    let payer = books.payer().await;
    let other = books.payer().await;
    books.grant(&other, 77).await;
    let mut random = Numbers(20_261_121);
    let start = books.now();
    for _ in 0..40 {
        let pause = random.next(5_000).unsigned_abs();
        books.clock.advance(Duration::from_millis(pause));
        if random.next(10) < 4 {
            books.grant(&payer, 1 + random.next(200)).await;
            continue;
        }
        let order = books.order(&payer, 1 + random.next(50));
        let charge = random.next(80);
        if let Ok(hold) = books.lanes.hold(order).await {
            hold.settle(books.settlement(charge))
                .await
                .expect("settled");
        }
    }

    let span = books.now().micros() - start.micros();
    for _ in 0..60 {
        let at = start.micros() - 10 + random.next(span + 10_000);
        let at = Timestamp::from_micros(at);
        let then = ledger::balance_at(&books.db, payer.tenant, at)
            .await
            .expect("a balance");
        assert_eq!(then, replayed(&books, &payer, at).await, "{at}");
    }
    let now = ledger::balance_at(&books.db, payer.tenant, books.now())
        .await
        .expect("a balance");
    let present = books.balance(&payer).await;
    assert_eq!((now.posted, now.debt), (present.posted, present.debt));
    books.close().await;
}

#[tokio::test]
async fn every_line_shows_the_balance_after_it_and_a_period_holds_its_own() {
    let (books, payer) = Books::with_payer(100).await;
    let mut expected = vec![100];
    for charge in [10, 20, 30] {
        books.clock.advance(Duration::from_hours(1));
        let hold = books.lanes.hold(books.order(&payer, 40)).await;
        let hold = hold.expect("held");
        hold.settle(books.settlement(charge))
            .await
            .expect("settled");
        expected.push(expected.last().expect("one") - charge);
    }
    expected.reverse();

    let all = ledger::statement(&books.db, payer.tenant, None, 10).await;
    let all = all.expect("a statement");
    let older = ledger::statement(&books.db, payer.tenant, Some(all[1].transaction.id), 10).await;
    let period = Period {
        from: Some(books.now().minus(Duration::from_hours(1))),
        until: Some(books.now()),
    };
    let within = ledger::statement_of(&books.db, payer.tenant, period).await;

    let balances: Vec<i64> = all.iter().map(|line| line.balance.nanos()).collect();
    assert_eq!(balances, expected);
    let older: Vec<i64> = older
        .expect("a page")
        .iter()
        .map(|line| line.balance.nanos())
        .collect();
    assert_eq!(older, expected[2..]);
    let within = within.expect("lines");
    assert_eq!((within.len(), within[0].balance), (1, nanos(70)));
    books.close().await;
}

#[tokio::test]
async fn a_posting_shows_its_calls_and_what_paid_for_each() {
    let (books, payer) = Books::with_payer(50).await;
    let order = books.order(&payer, 50);
    let id = order.id;
    let hold = books.lanes.hold(order).await.expect("held");
    hold.settle(books.settlement(60)).await.expect("settled");
    let back = CallRefund {
        tenant: payer.tenant,
        call: id,
        amount: Some(nanos(15)),
        once: "1".to_owned(),
        actor: Actor::System,
        reason: "an outage".to_owned(),
    };
    let back = refund_call(&books.db, back, books.now())
        .await
        .expect("given back");

    let lines = ledger::statement(&books.db, payer.tenant, None, 10).await;
    let settle = lines.expect("a statement")[1].transaction.id;
    let posting = ledger::posting(&books.db, payer.tenant, settle).await;
    let posting = posting.expect("it reads").expect("it is there");
    let correction = ledger::posting(&books.db, payer.tenant, back.transaction).await;
    let correction = correction.expect("it reads").expect("it is there");
    let stranger = books.payer().await;
    let foreign = ledger::posting(&books.db, stranger.tenant, settle).await;

    let paid = &posting.calls[0];
    let amounts: Vec<(bool, Credits)> = paid
        .allocations
        .iter()
        .map(|(grant, amount)| (grant.is_some(), *amount))
        .collect();
    assert_eq!((posting.calls.len(), paid.call.id), (1, id));
    assert_eq!(amounts, [(true, nanos(50)), (false, nanos(10))]);
    let moved: i64 = posting.legs.iter().map(|leg| leg.amount.nanos()).sum();
    assert_eq!(moved, -60);
    assert_eq!(correction.calls[0].given_back, Some(nanos(15)));
    assert_eq!(foreign.expect("it reads"), None);
    books.close().await;
}
