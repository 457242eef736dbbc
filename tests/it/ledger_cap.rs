//! Promises of the limits that tenants, members, keys and credit lines have of their own.

use crate::support::books::{Books, Payer, nanos};
use billing::{
    admission::{ExtendRefusal, HoldOrder, HoldRefusal, Whose as Of},
    cap::{self, CapError, Limit, SetCaps, Whose},
    expectation::{Expectations, UNTRIED},
    ledger::{self, Limits},
    plan::{Pattern, Quantity, Window},
};
use entity::{Actor, Credits, KeyId, MemberId, Timestamp};
use std::time::Duration;

/// The midnight after tests begin.
const MIDNIGHT: Timestamp = Timestamp::from_micros(1_795_046_400_000_000);

async fn set(books: &Books, payer: &Payer, whose: Whose, limits: &[Limit]) {
    let order = SetCaps {
        tenant: payer.tenant,
        whose,
        limits: limits.to_vec(),
        actor: Actor::System,
        reason: None,
    };
    cap::set(&books.db, order, books.now())
        .await
        .expect("limits are set");
}

fn daily(credits: i64) -> Limit {
    Limit::credits(Window::Day, nanos(credits))
}

fn calls(most: i64, window: Window) -> Limit {
    Limit::Quota {
        window,
        most: Quantity::Requests(most),
        models: Vec::new(),
    }
}

/// Makes one whole call that costs what it holds.
async fn call(books: &Books, payer: &Payer, amount: i64) -> Result<(), HoldRefusal> {
    let hold = books.lanes.hold(books.order(payer, amount)).await?;
    hold.settle(books.settlement(amount))
        .await
        .expect("it settles");
    Ok(())
}

#[tokio::test]
async fn a_key_or_member_spends_its_cap_to_the_last_and_is_told_when_it_is_whole_again() {
    for named in [Of::Key, Of::Member] {
        let (books, payer) = Books::with_payer(1_000).await;
        let whose = match named {
            Of::Member => Whose::Member(payer.member),
            _ => Whose::Key(payer.key),
        };
        set(&books, &payer, whose, &[daily(100)]).await;

        call(&books, &payer, 60).await.expect("it fits");
        let hold = books
            .lanes
            .hold(books.order(&payer, 30))
            .await
            .expect("it fits");
        let refused = call(&books, &payer, 11).await;
        hold.settle(books.settlement(40)).await.expect("it settles");
        let nothing_left = call(&books, &payer, 1).await;

        let Err(HoldRefusal::SpendCapReached {
            of,
            window,
            limit,
            used,
            held,
            resets_at,
            ..
        }) = refused
        else {
            panic!("{refused:?}")
        };
        assert_eq!((of, window.as_str()), (named, "day"));
        assert_eq!(limit, Quantity::Credits(nanos(100)));
        assert_eq!(used, Quantity::Credits(nanos(90)));
        assert_eq!(held, Quantity::Credits(nanos(30)));
        assert_eq!(resets_at, MIDNIGHT);
        assert!(matches!(
            nothing_left,
            Err(HoldRefusal::SpendCapReached { .. })
        ));
        books.clock.advance(MIDNIGHT.since(books.now()));
        call(&books, &payer, 100).await.expect("a new day");
        books.close().await;
    }
}

#[tokio::test]
async fn any_number_of_windows_bind_at_once_and_the_last_to_be_whole_again_is_named() {
    let (books, payer) = Books::with_payer(1_000).await;
    set(&books, &payer, Whose::Key(payer.key), &[daily(50)]).await;
    set(
        &books,
        &payer,
        Whose::Tenant,
        &[
            calls(2, Window::Month),
            calls(2, Window::FirstUse { hours: 5 }),
            Limit::credits(Window::Week, nanos(500)),
        ],
    )
    .await;

    call(&books, &payer, 10).await.expect("the first");
    call(&books, &payer, 10).await.expect("the second");
    let third = call(&books, &payer, 10).await;

    assert!(
        matches!(&third, Err(HoldRefusal::QuotaExhausted { of: Of::Tenant, window, used, .. })
            if window == "month" && *used == Quantity::Requests(2)),
        "{third:?}"
    );
    books.close().await;
}

#[tokio::test]
async fn a_window_from_first_use_is_whole_again_when_its_hours_are_over() {
    let (books, payer) = Books::with_payer(1_000).await;
    let five = Window::FirstUse { hours: 5 };
    set(&books, &payer, Whose::Tenant, &[calls(2, five)]).await;
    let begun = books.now();

    call(&books, &payer, 1).await.expect("the first");
    books.clock.advance(Duration::from_hours(4));
    call(&books, &payer, 1).await.expect("the second");
    let third = call(&books, &payer, 1).await;

    assert!(
        matches!(third, Err(HoldRefusal::QuotaExhausted { resets_at, .. })
            if resets_at == begun.plus(Duration::from_hours(5)))
    );
    books.clock.advance(Duration::from_hours(1));
    call(&books, &payer, 1).await.expect("a new window");
    books.close().await;
}

#[tokio::test]
async fn a_limit_on_some_models_leaves_the_others_alone() {
    let (books, payer) = Books::with_payer(1_000).await;
    let of = |pattern: &str| Limit::Quota {
        window: Window::Day,
        most: Quantity::Requests(1),
        models: vec![Pattern::parse(pattern).expect("a pattern")],
    };
    set(&books, &payer, Whose::Key(payer.key), &[of("claude-*")]).await;

    call(&books, &payer, 1).await.expect("another model");
    call(&books, &payer, 1).await.expect("another model");
    let (model, price_version) = books.another_model("claude-1").await;
    let ask = || HoldOrder {
        model,
        price_version,
        ..books.order(&payer, 1)
    };
    drop(books.lanes.hold(ask()).await.expect("the one there is"));
    let running = books.lanes.hold(ask()).await;
    assert!(running.is_ok(), "a call that cost nothing was none");
    assert!(books.lanes.hold(ask()).await.is_err());
    drop(running);
    set(&books, &payer, Whose::Key(payer.key), &[of("sandbox/*")]).await;
    call(&books, &payer, 1)
        .await
        .expect("the first that counts");
    let refused = call(&books, &payer, 1).await;

    assert!(matches!(
        refused,
        Err(HoldRefusal::QuotaExhausted { of: Of::Key, .. })
    ));
    books.close().await;
}

#[tokio::test]
async fn no_more_calls_of_a_tenant_member_or_key_run_than_may() {
    let bearers: [fn(&Payer) -> Whose; 3] = [
        |_| Whose::Tenant,
        |payer| Whose::Member(payer.member),
        |payer| Whose::Key(payer.key),
    ];
    for whose in bearers {
        let (books, payer) = Books::with_payer(1_000).await;
        set(&books, &payer, whose(&payer), &[Limit::OpenCalls(3)]).await;

        let asked = (0..40).map(|_| books.lanes.hold(books.order(&payer, 1)));
        let (held, refused): (Vec<_>, Vec<_>) = futures_util::future::join_all(asked)
            .await
            .into_iter()
            .partition(Result::is_ok);
        let mut held: Vec<_> = held.into_iter().flatten().collect();
        let all_told = refused
            .iter()
            .all(|refused| matches!(refused, Err(HoldRefusal::ConcurrencyLimit { limit: 3 })));
        let ended = held.pop().expect("three run").settle(books.settlement(1));
        ended.await.expect("it settles");
        call(&books, &payer, 1).await.expect("one may run again");

        assert_eq!((held.len(), refused.len()), (2, 37));
        assert!(all_told);
        drop(held);
        books.close().await;
    }
}

#[tokio::test]
async fn fifty_calls_at_once_never_take_more_than_a_cap() {
    let (books, payer) = Books::with_payer(10_000).await;
    set(&books, &payer, Whose::Key(payer.key), &[daily(100)]).await;

    let outcomes = futures_util::future::join_all((0..50).map(|_| call(&books, &payer, 7))).await;

    let served = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(served, 14);
    assert_eq!(books.balance(&payer).await.posted, nanos(10_000 - 14 * 7));
    books.close().await;
}

#[tokio::test]
async fn a_hold_takes_what_a_cap_has_left_and_grows_no_further() {
    let (books, payer) = Books::with_payer(1_000).await;
    set(&books, &payer, Whose::Key(payer.key), &[daily(100)]).await;
    let wish = HoldOrder {
        least: nanos(10),
        ..books.order(&payer, 80)
    };

    let mut first = books.lanes.hold(wish.clone()).await.expect("held");
    let wish = HoldOrder {
        id: entity::HoldId::fresh(),
        ..wish
    };
    let second = books.lanes.hold(wish).await.expect("held");
    let full = first.grow(nanos(50), nanos(1)).await;
    assert_eq!((first.amount(), second.amount()), (nanos(80), nanos(20)));
    second
        .settle(books.settlement(5))
        .await
        .expect("it settles");
    let more = first.grow(nanos(50), nanos(1)).await.expect("it grows");

    assert!(
        matches!(full, Err(ExtendRefusal::QuotaExhausted { resets_at }) if resets_at == MIDNIGHT)
    );
    assert_eq!(more, nanos(15));
    first
        .settle(books.settlement(95))
        .await
        .expect("it settles");
    let nothing_left = call(&books, &payer, 1).await;
    assert!(matches!(
        nothing_left,
        Err(HoldRefusal::SpendCapReached { .. })
    ));
    books.close().await;
}

#[tokio::test]
async fn a_cap_that_is_raised_counts_on_and_one_that_is_lifted_binds_no_more() {
    let (books, payer) = Books::with_payer(1_000).await;
    set(&books, &payer, Whose::Key(payer.key), &[daily(100)]).await;
    call(&books, &payer, 90).await.expect("it fits");
    let running = books
        .lanes
        .hold(books.order(&payer, 10))
        .await
        .expect("it fits");

    set(&books, &payer, Whose::Key(payer.key), &[daily(120)]).await;
    let refused = call(&books, &payer, 21).await;
    call(&books, &payer, 20).await.expect("it fits now");
    set(&books, &payer, Whose::Key(payer.key), &[]).await;
    call(&books, &payer, 500).await.expect("nothing binds");
    running
        .settle(books.settlement(10))
        .await
        .expect("what counted under a lifted cap ends in order");

    assert!(matches!(refused, Err(HoldRefusal::SpendCapReached { .. })));
    books.close().await;
}

#[tokio::test]
async fn limits_out_of_range_twice_or_of_strangers_are_refused_and_change_nothing() {
    let (books, payer) = Books::with_payer(100).await;
    let stranger = books.payer().await;
    let key = Whose::Key(payer.key);
    let table = [
        (key, vec![daily(0)]),
        (key, vec![daily(-5)]),
        (key, vec![daily(i64::MAX)]),
        (key, vec![Limit::OpenCalls(0)]),
        (key, vec![daily(1), daily(2)]),
        (key, vec![calls(1, Window::FirstUse { hours: 0 })]),
        (
            key,
            (1..40)
                .map(|hours| calls(1, Window::FirstUse { hours }))
                .collect(),
        ),
        (Whose::Key(stranger.key), vec![daily(1)]),
        (Whose::Key(KeyId::fresh()), vec![daily(1)]),
        (Whose::Member(stranger.member), vec![daily(1)]),
        (Whose::Member(MemberId::fresh()), vec![daily(1)]),
    ];

    for (whose, limits) in table {
        let order = SetCaps {
            tenant: payer.tenant,
            whose,
            limits,
            actor: Actor::System,
            reason: None,
        };
        let refused = cap::set(&books.db, order.clone(), books.now()).await;
        assert!(
            matches!(
                refused,
                Err(CapError::OutOfRange | CapError::TooMany | CapError::NoSuchBearer)
            ),
            "{order:?}"
        );
        let set = cap::list(&books.db, payer.tenant, whose).await;
        assert_eq!(set.expect("limits read"), []);
    }
    call(&books, &payer, 100).await.expect("nothing binds");
    books.close().await;
}

#[tokio::test]
async fn a_credit_line_gives_no_more_in_a_month_than_it_may_and_the_next_credits_repay_first() {
    let books = Books::open().await;
    let payer = books.payer().await;
    books.grant(&payer, 10).await;
    let limits = Limits {
        credit_line: nanos(100),
        credit_line_monthly: Some(nanos(30)),
        max_open_holds: None,
        own: Vec::new(),
    };
    let why = "an invoiced customer".to_owned();
    ledger::set_limits(
        &books.db,
        payer.tenant,
        limits,
        Actor::System,
        why,
        books.now(),
    )
    .await
    .expect("limits are set");

    let mut first = books
        .lanes
        .hold(books.order(&payer, 20))
        .await
        .expect("ten on the line");
    first.extend(nanos(15)).await.expect("fifteen more");
    let refused = call(&books, &payer, 6).await;
    let past_the_month = first.extend(nanos(6)).await;
    first
        .settle(books.settlement(35))
        .await
        .expect("it settles");
    call(&books, &payer, 5)
        .await
        .expect("the last of the month");
    let nothing_left = call(&books, &payer, 1).await;
    assert_eq!(books.balance(&payer).await.debt, nanos(30));
    let repaid = books.grant(&payer, 40).await.repaid;
    call(&books, &payer, 10).await.expect("own credits");
    let still = call(&books, &payer, 1).await;
    books.clock.advance(Duration::from_hours(24 * 14));
    call(&books, &payer, 30).await.expect("a new month");

    assert!(
        matches!(refused, Err(HoldRefusal::InsufficientCredits { available, .. }) if available == nanos(5))
    );
    assert!(past_the_month.is_err());
    assert!(matches!(
        nothing_left,
        Err(HoldRefusal::InsufficientCredits { available, .. }) if available == Credits::ZERO
    ));
    assert_eq!(repaid, nanos(30));
    assert!(still.is_err(), "what was repaid does not refill the month");
    assert_eq!(books.balance(&payer).await.debt, nanos(30));
    books.close().await;
}

#[tokio::test]
async fn what_is_expected_of_a_call_is_learnt_from_the_latest_usage() {
    let (books, payer) = Books::with_payer(1_000).await;
    for output in [3_u64; 19].into_iter().chain([900]) {
        let hold = books.lanes.hold(books.order(&payer, 1)).await;
        let mut settlement = books.settlement(1);
        settlement.tokens.output = output;
        hold.expect("held")
            .settle(settlement)
            .await
            .expect("it settles");
    }
    let cut = books.lanes.hold(books.order(&payer, 1)).await;
    let mut settlement = books.settlement(1);
    settlement.tokens.output = 60_000;
    settlement.finish = entity::usage::Finish::ClientGone;
    cut.expect("held")
        .settle(settlement)
        .await
        .expect("it settles");

    let fresh = Expectations::new(books.db.clone());

    assert_eq!(fresh.of(books.model, "test").await, 3);
    assert_eq!(fresh.of(books.model, "another client").await, UNTRIED);
    for _ in 0..10 {
        fresh.note(books.model, "test", 5_000);
    }
    assert_eq!(fresh.of(books.model, "test").await, 5_000);
    books.close().await;
}
