//! Promises of the ledger, one by one.

use crate::support::books::{Books, START, nanos};
use billing::{
    admission::{EndRefusal, ExtendRefusal, HoldRefusal, Scope},
    ledger::{self, AdjustError, Adjustment, Change, GrantError, GrantOrder, Limits},
    rating::Tokens,
    sweeper::{self, Swept},
};
use entity::{
    Actor, Credits, Platform, Scoped, grant, key, ledger_entry, member, model, tenant, usage,
    usage_allocation, wallet,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, QueryFilter, QueryOrder};
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
async fn a_ban_a_block_and_a_freeze_bind_at_the_very_next_hold() {
    let (books, payer) = Books::with_payer(100).await;
    let (tenant, member, key, model) = (payer.tenant, payer.member, payer.key, books.model);
    let order = || books.order(&payer, 1);

    books
        .db
        .write(move |tx| {
            Box::pin(async move {
                key::Entity::of_change(tenant)
                    .col_expr(key::Column::Status, "disabled".into())
                    .filter(key::Column::Id.eq(key))
                    .exec(tx)
                    .await
            })
        })
        .await
        .expect("disabled");
    assert!(matches!(
        books.lanes.hold(order()).await,
        Err(HoldRefusal::KeyDisabled)
    ));
    books
        .db
        .write(move |tx| {
            Box::pin(async move {
                key::Entity::of_change(tenant)
                    .col_expr(key::Column::Status, "active".into())
                    .filter(key::Column::Id.eq(key))
                    .exec(tx)
                    .await?;
                model::Entity::change()
                    .col_expr(model::Column::Status, "blocked".into())
                    .filter(model::Column::Id.eq(model))
                    .exec(tx)
                    .await
            })
        })
        .await
        .expect("blocked");
    assert!(matches!(
        books.lanes.hold(order()).await,
        Err(HoldRefusal::ModelBlocked)
    ));
    books
        .db
        .write(move |tx| {
            Box::pin(async move {
                member::Entity::of_change(tenant)
                    .col_expr(member::Column::Status, "banned".into())
                    .filter(member::Column::Id.eq(member))
                    .exec(tx)
                    .await
            })
        })
        .await
        .expect("banned");
    assert!(matches!(
        books.lanes.hold(order()).await,
        Err(HoldRefusal::MemberBanned)
    ));
    books
        .db
        .write(move |tx| {
            Box::pin(async move {
                tenant::Entity::change()
                    .col_expr(tenant::Column::Status, "suspended".into())
                    .filter(tenant::Column::Id.eq(tenant))
                    .exec(tx)
                    .await
            })
        })
        .await
        .expect("suspended");
    assert!(matches!(
        books.lanes.hold(order()).await,
        Err(HoldRefusal::TenantSuspended)
    ));

    assert_eq!(books.balance(&payer).await.held, Credits::ZERO);
    books.close().await;
}

#[tokio::test]
async fn a_frozen_wallet_holds_nothing_but_still_settles() {
    let (books, payer) = Books::with_payer(100).await;
    let running = books
        .lanes
        .hold(books.order(&payer, 30))
        .await
        .expect("held");

    ledger::set_status(
        &books.db,
        payer.tenant,
        wallet::Status::Frozen,
        Actor::System,
        "dispute".to_owned(),
        books.now(),
    )
    .await
    .expect("frozen");

    let refused = books.lanes.hold(books.order(&payer, 1)).await;
    assert!(
        matches!(refused, Err(HoldRefusal::WalletFrozen)),
        "{refused:?}"
    );
    running.settle(books.settlement(30)).await.expect("settled");
    assert_eq!(books.balance(&payer).await.posted, nanos(70));
    books.close().await;
}

#[tokio::test]
async fn a_key_past_its_date_or_of_another_member_holds_nothing() {
    let (books, payer) = Books::with_payer(100).await;
    let stranger = books.payer().await;
    let (tenant, key) = (payer.tenant, payer.key);
    let end = books.now().micros();
    books
        .db
        .write(move |tx| {
            Box::pin(async move {
                key::Entity::of_change(tenant)
                    .col_expr(key::Column::ExpiresAt, end.into())
                    .filter(key::Column::Id.eq(key))
                    .exec(tx)
                    .await
            })
        })
        .await
        .expect("expires");

    let expired = books.lanes.hold(books.order(&payer, 1)).await;
    let mut order = books.order(&payer, 1);
    order.key = stranger.key;
    let foreign = books.lanes.hold(order).await;

    assert!(
        matches!(expired, Err(HoldRefusal::KeyExpired)),
        "{expired:?}"
    );
    assert!(
        matches!(foreign, Err(HoldRefusal::KeyRevoked)),
        "{foreign:?}"
    );
    books.close().await;
}

#[tokio::test]
async fn no_more_calls_run_than_the_wallet_allows() {
    let (books, payer) = Books::with_payer(100).await;
    let limits = Limits {
        credit_line: Credits::ZERO,
        credit_line_monthly: None,
        max_open_holds: Some(2),
        own: Vec::new(),
    };
    ledger::set_limits(
        &books.db,
        payer.tenant,
        limits,
        Actor::System,
        "trial".to_owned(),
        books.now(),
    )
    .await
    .expect("limited");

    let first = books
        .lanes
        .hold(books.order(&payer, 1))
        .await
        .expect("held");
    let second = books
        .lanes
        .hold(books.order(&payer, 1))
        .await
        .expect("held");
    let third = books.lanes.hold(books.order(&payer, 1)).await;
    assert!(
        matches!(third, Err(HoldRefusal::ConcurrencyLimit { limit: 2 })),
        "{third:?}"
    );
    first
        .void(usage::Finish::UpstreamError)
        .await
        .expect("voided");
    let fourth = books
        .lanes
        .hold(books.order(&payer, 1))
        .await
        .expect("held");

    drop((second, fourth));
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
