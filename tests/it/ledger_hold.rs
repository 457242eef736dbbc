//! Promises to whoever asks to hold: how much, of which lots, and how it grows.

use crate::support::books::{Books, START, nanos};
use billing::{
    admission::{ExtendRefusal, HoldRefusal, Scope},
    ledger::{self, GrantOrder, Limits},
};
use entity::{Actor, Credits, Platform, Scoped, grant, usage_allocation};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder};
use std::time::Duration;

#[tokio::test]
async fn a_hold_is_for_the_whole_amount_or_not_at_all() {
    let (books, payer) = Books::with_payer(100).await;

    let hold = books
        .lanes
        .hold(books.order(&payer, 60))
        .await
        .expect("held");
    let refused = books.lanes.hold(books.order(&payer, 41)).await;

    assert_eq!(hold.amount(), nanos(60));
    assert!(
        matches!(refused, Err(HoldRefusal::InsufficientCredits { needed, available, held })
            if needed == nanos(41) && available == nanos(40) && held == nanos(60)),
        "{refused:?}"
    );
    assert_eq!(books.balance(&payer).await.held, nanos(60));
    drop(hold);
    books.close().await;
}

#[tokio::test]
async fn a_hold_that_can_do_with_less_takes_what_is_there_and_grows_by_what_is_there() {
    let (books, payer) = Books::with_payer(100).await;
    let wish = |amount, least| billing::admission::HoldOrder {
        least: nanos(least),
        expected_output: Some(7),
        ..books.order(&payer, amount)
    };

    let mut first = books.lanes.hold(wish(60, 10)).await.expect("held");
    let second = books.lanes.hold(wish(60, 40)).await.expect("held");
    let third = books.lanes.hold(wish(60, 1)).await;
    second
        .settle(books.settlement(15))
        .await
        .expect("it settles");
    let more = first.grow(nanos(50), nanos(1)).await.expect("it grows");
    let no_more = first.grow(nanos(50), nanos(1)).await;

    assert_eq!(more, nanos(25));
    assert_eq!(first.amount(), nanos(85));
    assert!(
        matches!(third, Err(HoldRefusal::InsufficientCredits { needed, .. }) if needed == nanos(1))
    );
    assert!(matches!(
        no_more,
        Err(ExtendRefusal::InsufficientCredits { .. })
    ));
    let row = entity::hold::Entity::of(payer.tenant)
        .one(books.db.read())
        .await
        .expect("holds read")
        .expect("one is open");
    assert_eq!((row.amount, row.expected_output), (nanos(85), Some(7)));
    first
        .settle(books.settlement(85))
        .await
        .expect("it settles");
    assert_eq!(books.balance(&payer).await.available, Credits::ZERO);
    books.close().await;
}

#[tokio::test]
async fn one_hold_draws_several_lots_in_the_documented_order_and_records_it() {
    let books = Books::open().await;
    let payer = books.payer().await;
    let soon = Some(START.plus(Duration::from_hours(1)));
    let late = Some(START.plus(Duration::from_hours(9)));
    let lot = |key: &str, source, expires_at| GrantOrder {
        source,
        expires_at,
        ..books.grant_order(&payer, 10, key)
    };
    let paid = books
        .grant_by(lot("paid", grant::Source::Paid, None))
        .await
        .grant;
    let promo_late = books
        .grant_by(lot("late", grant::Source::Promo, late))
        .await
        .grant;
    let promo_soon = books
        .grant_by(lot("soon", grant::Source::Promo, soon))
        .await
        .grant;

    let hold = books
        .lanes
        .hold(books.order(&payer, 25))
        .await
        .expect("held");
    let id = hold.id();
    hold.settle(books.settlement(25)).await.expect("settled");

    let paid_by: Vec<_> = usage_allocation::Entity::every()
        .filter(usage_allocation::Column::UsageId.eq(id))
        .order_by_asc(usage_allocation::Column::N)
        .all(books.db.read())
        .await
        .expect("allocations")
        .into_iter()
        .map(|part| (part.grant_id, part.amount.nanos()))
        .collect();
    assert_eq!(
        paid_by,
        [
            (Some(promo_soon), 10),
            (Some(promo_late), 10),
            (Some(paid), 5)
        ]
    );
    books.close().await;
}

#[tokio::test]
async fn a_lot_pays_only_in_its_time_and_its_scope() {
    let books = Books::open().await;
    let payer = books.payer().await;
    let other_model = GrantOrder {
        scope: Scope {
            models: vec!["gpt-*".to_owned()],
        },
        ..books.grant_order(&payer, 100, "scoped")
    };
    let lapses = GrantOrder {
        expires_at: Some(START.plus(Duration::from_hours(1))),
        ..books.grant_order(&payer, 100, "lapses")
    };
    let begins = GrantOrder {
        effective_at: START.plus(Duration::from_hours(2)),
        ..books.grant_order(&payer, 100, "begins")
    };
    for order in [other_model, lapses, begins] {
        books.grant_by(order).await;
    }

    let mut available = Vec::new();
    for _ in 0..3 {
        match books.lanes.hold(books.order(&payer, 101)).await {
            Err(HoldRefusal::InsufficientCredits {
                available: found, ..
            }) => available.push(found.nanos()),
            other => panic!("{other:?}"),
        }
        books.clock.advance(Duration::from_hours(1));
    }

    assert_eq!(available, [100, 0, 100]);
    books.close().await;
}

#[tokio::test]
async fn a_credit_line_holds_and_owes_beyond_what_is_there() {
    let (books, payer) = Books::with_payer(100).await;
    let limits = Limits {
        credit_line: nanos(50),
        credit_line_monthly: None,
        max_open_holds: None,
        own: Vec::new(),
    };
    ledger::set_limits(
        &books.db,
        payer.tenant,
        limits,
        Actor::System,
        "invoiced".to_owned(),
        books.now(),
    )
    .await
    .expect("a line");

    let beyond = books.lanes.hold(books.order(&payer, 151)).await;
    let hold = books
        .lanes
        .hold(books.order(&payer, 140))
        .await
        .expect("held");
    books.audit().await;
    let more = books.lanes.hold(books.order(&payer, 11)).await;
    hold.settle(books.settlement(120)).await.expect("settled");

    assert!(
        matches!(beyond, Err(HoldRefusal::InsufficientCredits { available, .. }) if available == nanos(150))
    );
    assert!(
        matches!(more, Err(HoldRefusal::InsufficientCredits { available, .. }) if available == nanos(10))
    );
    let balance = books.balance(&payer).await;
    assert_eq!((balance.debt, balance.available), (nanos(20), nanos(30)));
    let next = books
        .lanes
        .hold(books.order(&payer, 30))
        .await
        .expect("within the line");
    drop(next);
    books.close().await;
}

#[tokio::test]
async fn a_hold_grows_by_all_it_asks_or_not_at_all() {
    let (books, payer) = Books::with_payer(100).await;
    let mut hold = books
        .lanes
        .hold(books.order(&payer, 60))
        .await
        .expect("held");

    hold.extend(nanos(30)).await.expect("extended");
    let refused = hold.extend(nanos(11)).await;
    let nothing = hold.extend(Credits::ZERO).await;
    books.audit().await;

    assert_eq!(hold.amount(), nanos(90));
    assert!(
        matches!(refused, Err(ExtendRefusal::InsufficientCredits { available, .. }) if available == nanos(10)),
        "{refused:?}"
    );
    assert!(
        matches!(nothing, Err(ExtendRefusal::OutOfRange)),
        "{nothing:?}"
    );
    hold.settle(books.settlement(85)).await.expect("settled");
    assert_eq!(books.balance(&payer).await.available, nanos(15));
    books.close().await;
}
