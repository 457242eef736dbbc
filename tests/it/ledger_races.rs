//! Promises of the ledger where many ask at once.

use crate::support::books::{Books, nanos};
use billing::{admission::HoldRefusal, lane::LaneSettings, lane::Lanes, ledger, sweeper};
use entity::{Credits, Scoped, hold, key, usage};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, PaginatorTrait, QueryFilter};
use std::{collections::BTreeSet, time::Duration};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_calls_on_credits_for_three_exactly_three_are_held() {
    let (books, payer) = Books::with_payer(35).await;

    let asked = (0..200).map(|_| {
        let (lanes, order) = (books.lanes.clone(), books.order(&payer, 10));
        tokio::spawn(async move { lanes.hold(order).await })
    });
    let answers = join_all(asked.collect::<Vec<_>>()).await;

    let (held, refused): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .map(|answer| answer.expect("no panic"))
        .partition(Result::is_ok);
    assert_eq!(held.len(), 3);
    for refusal in refused {
        assert!(
            matches!(refusal, Err(HoldRefusal::InsufficientCredits { available, .. }) if available == nanos(5)),
            "{refusal:?}"
        );
    }
    books.audit().await;
    for hold in held.into_iter().flatten() {
        hold.settle(books.settlement(10)).await.expect("settled");
    }
    assert_eq!(books.balance(&payer).await.posted, nanos(5));
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_share_a_wallet_without_overdrawing_it() {
    let (books, payer) = Books::with_payer(50).await;
    let twin = Lanes::start(&books.db, books.clock.clone(), LaneSettings::of(&books.db));

    let asked = (0..60).map(|n| {
        let lanes = if n % 2 == 0 { &books.lanes } else { &twin };
        let (lanes, order) = (lanes.clone(), books.order(&payer, 10));
        let settlement = books.settlement(7);
        tokio::spawn(async move {
            match lanes.hold(order).await {
                Ok(hold) => Some(hold.settle(settlement).await.expect("settled").charge),
                Err(_) => None,
            }
        })
    });
    let charged: Vec<Credits> = join_all(asked.collect::<Vec<_>>())
        .await
        .into_iter()
        .filter_map(|answer| answer.expect("no panic"))
        .collect();

    twin.drain().await;
    let spent: i64 = charged.iter().map(|charge| charge.nanos()).sum();
    assert_eq!(books.balance(&payer).await.posted, nanos(50 - spent));
    assert!((5..=7).contains(&charged.len()), "{} calls", charged.len());
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_is_settled_and_expired_at_once_by_two_processes_ends_once() {
    let (books, payer) = Books::with_payer(1_000).await;
    let twin = Lanes::start(&books.db, books.clock.clone(), LaneSettings::of(&books.db));

    for _ in 0..20 {
        let hold = books
            .lanes
            .hold(books.order(&payer, 20))
            .await
            .expect("held");
        let (tenant, id) = (payer.tenant, hold.id());
        let late = books.now().plus(Duration::from_hours(1));
        let (settled, swept, again) = tokio::join!(
            hold.settle(books.settlement(9)),
            twin.expire(tenant, id, late),
            twin.expire(tenant, id, late),
        );
        let settled = settled.expect("an answer");
        assert_eq!(swept.expect("an answer"), Some(settled));
        assert_eq!(again.expect("an answer"), Some(settled));
    }

    twin.drain().await;
    let ended = usage::Entity::of(payer.tenant)
        .all(books.db.read())
        .await
        .expect("usage");
    let charged: i64 = ended.iter().map(|row| row.charge.nanos()).sum();
    assert_eq!(ended.len(), 20);
    assert_eq!(books.balance(&payer).await.posted, nanos(1_000 - charged));
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settlement_a_void_and_a_sweep_at_once_end_each_hold_once() {
    let (books, payer) = Books::with_payer(1_000).await;
    let mut endings = Vec::new();
    for n in 0..30 {
        let mut hold = books
            .lanes
            .hold(books.order(&payer, 20))
            .await
            .expect("held");
        hold.dispatched();
        let settlement = books.settlement(5);
        endings.push(tokio::spawn(async move {
            match n % 3 {
                0 => drop(hold.settle(settlement).await.expect("settled")),
                1 => drop(
                    hold.void(usage::Finish::UpstreamError)
                        .await
                        .expect("voided"),
                ),
                _ => drop(hold),
            }
        }));
    }
    books.clock.advance(Duration::from_mins(10));

    let (swept, ended) = tokio::join!(
        sweeper::sweep(&books.db, &books.lanes, books.now()),
        join_all(endings)
    );

    assert_eq!(swept.expect("a sweep").failed, 0);
    assert!(ended.into_iter().all(|task| task.is_ok()));
    books.lanes.drain().await;
    let rows = usage::Entity::of(payer.tenant)
        .all(books.db.read())
        .await
        .expect("usage");
    assert_eq!(rows.len(), 30);
    assert_eq!(books.balance(&payer).await.held, Credits::ZERO);
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_a_ban_is_written_no_hold_is_made() {
    let (books, payer) = Books::with_payer(1_000).await;
    let (tenant, id) = (payer.tenant, payer.key);

    let asked = (0..100).map(|_| {
        let (lanes, order) = (books.lanes.clone(), books.order(&payer, 1));
        tokio::spawn(async move { lanes.hold(order).await })
    });
    let asked: Vec<_> = asked.collect();
    books
        .db
        .write(move |tx| {
            Box::pin(async move {
                key::Entity::of_change(tenant)
                    .col_expr(key::Column::Status, "revoked".into())
                    .filter(key::Column::Id.eq(id))
                    .exec(tx)
                    .await
            })
        })
        .await
        .expect("revoked");
    let after = books.lanes.hold(books.order(&payer, 1)).await;

    assert!(matches!(after, Err(HoldRefusal::KeyRevoked)), "{after:?}");
    for answer in join_all(asked).await {
        let answer = answer.expect("no panic");
        assert!(
            matches!(answer, Ok(_) | Err(HoldRefusal::KeyRevoked)),
            "{answer:?}"
        );
    }
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_grants_under_one_business_key_one_is_booked() {
    let books = Books::open().await;
    let payer = books.payer().await;

    let orders = (0..50).map(|_| {
        let (db, now) = (books.db.clone(), books.now());
        let order = books.grant_order(&payer, 100, "purchase:1");
        tokio::spawn(async move { ledger::grant(&db, order, now).await })
    });
    let granted: Vec<_> = join_all(orders.collect::<Vec<_>>())
        .await
        .into_iter()
        .map(|answer| answer.expect("no panic").expect("the one outcome"))
        .collect();

    assert_eq!(granted.iter().filter(|granted| !granted.replay).count(), 1);
    let lots: BTreeSet<_> = granted.iter().map(|granted| granted.grant).collect();
    assert_eq!(lots.len(), 1);
    assert_eq!(books.balance(&payer).await.posted, nanos(100));
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_goes_away_while_asking_leaves_nothing_held() {
    let (books, payer) = Books::with_payer(10_000).await;

    // Each goes away after another number of polls: before the lane looked, while it wrote, after it answered.
    let leaving = (0..200_u32).map(|n| {
        let (lanes, order) = (books.lanes.clone(), books.order(&payer, 1));
        tokio::spawn(async move {
            let asking = lanes.hold(order);
            let patience = async {
                for _ in 0..(n % 40) * (n % 40) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                held = asking => drop(held),
                () = patience => {}
            }
        })
    });
    for task in join_all(leaving.collect::<Vec<_>>()).await {
        task.expect("no panic");
    }
    books.lanes.drain().await;

    let open = hold::Entity::of(payer.tenant)
        .count(books.db.read())
        .await
        .expect("a count");
    assert_eq!(open, 0);
    let balance = books.balance(&payer).await;
    assert_eq!(
        (balance.available, balance.held),
        (nanos(10_000), Credits::ZERO)
    );
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_says_so_and_serves_who_is_in_it() {
    let (books, payer) = Books::with_payer(1_000).await;
    let settings = LaneSettings {
        waiting: 4,
        ..LaneSettings::of(&books.db)
    };
    let narrow = Lanes::start(&books.db, books.clock.clone(), settings);

    let asked = join_all((0..50).map(|_| narrow.hold(books.order(&payer, 1)))).await;

    let served = asked.iter().filter(|answer| answer.is_ok()).count();
    assert!(served >= 4, "{served}");
    for answer in &asked {
        assert!(
            matches!(answer, Ok(_) | Err(HoldRefusal::Overloaded)),
            "{answer:?}"
        );
    }
    drop(asked);
    narrow.drain().await;
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_poisoned_ask_does_not_fail_its_neighbours() {
    let (books, payer) = Books::with_payer(1_000).await;
    let good = books.order(&payer, 1);
    let mut poisoned = books.order(&payer, 1);
    // A text that one of the databases refuses, and both must not let spoil a batch.
    poisoned.client_kind = "bad\0text".to_owned();

    let neighbours = (0..10).map(|_| books.lanes.hold(books.order(&payer, 1)));
    let (first, poisoned, rest) = tokio::join!(
        books.lanes.hold(good),
        books.lanes.hold(poisoned),
        join_all(neighbours)
    );

    drop(poisoned);
    first
        .expect("held")
        .void(usage::Finish::ClientGone)
        .await
        .expect("voided");
    for neighbour in rest {
        neighbour
            .expect("held")
            .void(usage::Finish::ClientGone)
            .await
            .expect("voided");
    }
    books.close().await;
}
