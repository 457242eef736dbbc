//! Calls against calls, sweepers, operators and time.

use super::{at_once, rounds};
use crate::support::books::{Books, Payer, nanos};
use billing::{
    admission::{HoldRefusal, Settled},
    lane::{LaneSettings, Lanes},
    ledger::{self, AdjustError, Adjustment, Change, GrantOrder},
    sweeper,
};
use entity::{Actor, Credits, HoldId, Scoped, TenantId, hold, usage};
use futures_util::future::{BoxFuture, FutureExt};
use identity::{
    EmailAddress, Operator, Reason, member,
    operator::{self, CreateOperator},
    password::{Hasher, Password},
    person::{DisplayName, Locale},
    tenant,
};
use sea_orm::{ColumnTrait, PaginatorTrait, QueryFilter};
use std::time::Duration;

fn twin(books: &Books) -> Lanes {
    Lanes::start(&books.db, books.clock.clone(), LaneSettings::of(&books.db))
}

async fn open(books: &Books, tenant: TenantId) -> u64 {
    hold::Entity::of(tenant)
        .count(books.db.read())
        .await
        .expect("a count")
}

async fn usage_of(books: &Books, id: HoldId) -> Vec<usage::Model> {
    let rows = usage::Entity::across_tenants()
        .filter(usage::Column::Id.eq(id))
        .all(books.db.read());
    rows.await.expect("usage")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_calls_at_once_exactly_as_many_are_held_as_are_paid_for() {
    let books = Books::open().await;
    let other = twin(&books);
    for round in 0..rounds() {
        let affordable = 1 + round % 63;
        let payer = books.payer().await;
        books
            .grant(&payer, i64::try_from(affordable).expect("few") * 10 + 9)
            .await;

        let asked = (0..64).map(|n| {
            let lanes = if n % 2 == 0 {
                books.lanes.clone()
            } else {
                other.clone()
            };
            let order = books.order(&payer, 10);
            async move { lanes.hold(order).await }
        });
        let held: Vec<_> = at_once(asked.collect())
            .await
            .into_iter()
            .filter_map(Result::ok)
            .collect();

        assert_eq!(held.len(), affordable);
        let ended = held
            .into_iter()
            .map(|hold| hold.void(usage::Finish::UpstreamError));
        assert!(at_once(ended.collect()).await.iter().all(Result::is_ok));
    }
    other.drain().await;
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settlement_a_void_and_two_expiries_at_once_come_to_one_end() {
    let (books, payer) = Books::with_payer(1_000_000).await;
    let other = twin(&books);
    let mut spent = 0;
    for round in 0..rounds() {
        let order = books.order(&payer, 20);
        let id = order.id;
        let mut guards = vec![
            books.lanes.hold(order.clone()).await.expect("held"),
            other.hold(order).await.expect("the same one"),
        ];
        guards[0].dispatched();
        let late = books.now().plus(Duration::from_hours(1));
        let (first, second) = (guards.remove(0), guards.remove(0));
        let expire = |lanes: Lanes| {
            let tenant = payer.tenant;
            async move {
                lanes
                    .expire(tenant, id, late)
                    .await
                    .expect("an answer")
                    .expect("an end")
            }
            .boxed()
        };
        let settling = first.settle(books.settlement(9));
        let second_settlement = books.settlement(11);
        let other_way: BoxFuture<'static, Settled> = if round % 2 == 0 {
            second
                .void(usage::Finish::UpstreamError)
                .map(|ended| ended.expect("an answer"))
                .boxed()
        } else {
            second
                .settle(second_settlement)
                .map(|ended| ended.expect("an answer"))
                .boxed()
        };

        let ends = at_once(vec![
            settling.map(|ended| ended.expect("an answer")).boxed(),
            other_way,
            expire(books.lanes.clone()),
            expire(other.clone()),
        ])
        .await;

        let rows = usage_of(&books, id).await;
        assert_eq!(rows.len(), 1, "it ends once");
        assert!(
            ends.iter().all(|end| *end == Settled::from(&rows[0])),
            "and all are told the same"
        );
        spent += rows[0].charge.nanos();
    }
    other.drain().await;
    assert_eq!(books.balance(&payer).await.posted, nanos(1_000_000 - spent));
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sweepers_end_each_hold_once() {
    let books = Books::open().await;
    let other = twin(&books);
    for _ in 0..rounds() {
        let payer = books.payer().await;
        books.grant(&payer, 1_000).await;
        for _ in 0..8 {
            std::mem::forget(
                books
                    .lanes
                    .hold(books.order(&payer, 10))
                    .await
                    .expect("held"),
            );
        }
        books.clock.advance(Duration::from_mins(10));

        let sweeps = [books.lanes.clone(), other.clone()].map(|lanes| {
            let (db, now) = (books.db.clone(), books.now());
            async move { sweeper::sweep(&db, &lanes, now).await.expect("a sweep") }
        });
        let swept = at_once(sweeps.into_iter().collect()).await;

        assert!(swept.iter().all(|sweep| sweep.failed == 0));
        assert_eq!(open(&books, payer.tenant).await, 0);
        let ended = usage::Entity::of(payer.tenant)
            .count(books.db.read())
            .await
            .expect("a count");
        assert_eq!(ended, 8);
        assert_eq!(books.balance(&payer).await.available, nanos(1_000));
    }
    other.drain().await;
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_takes_no_call_has_and_what_a_call_holds_no_operator_takes() {
    let books = Books::open().await;
    for round in 0..rounds() {
        let payer = books.payer().await;
        books.grant(&payer, 60).await;
        books.grant(&payer, 40).await;
        let debit = Adjustment {
            tenant: payer.tenant,
            change: Change::Debit { amount: nanos(70) },
            business_key: format!("race:{round}"),
            actor: Actor::System,
            reason: "a mistake".to_owned(),
        };

        let (db, now) = (books.db.clone(), books.now());
        let taken = tokio::spawn(async move { ledger::adjust(&db, debit, now).await });
        let asked = (0..10).map(|_| {
            let (lanes, order) = (books.lanes.clone(), books.order(&payer, 10));
            async move { lanes.hold(order).await }
        });
        let held: Vec<_> = at_once(asked.collect())
            .await
            .into_iter()
            .filter_map(Result::ok)
            .collect();
        let taken = taken.await.expect("no panic");

        let balance = books.balance(&payer).await;
        let count = i64::try_from(held.len()).expect("few");
        assert_eq!(balance.held, nanos(count * 10));
        match taken {
            Ok(_) => {
                assert_eq!(held.len(), 3, "of thirty left");
                assert_eq!(balance.posted, nanos(30));
            }
            Err(AdjustError::NotThere { available }) => {
                assert!(available < nanos(70), "{available}");
                assert_eq!(balance.posted, nanos(100));
            }
            Err(other) => panic!("{other:?}"),
        }
        drop(held);
    }
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lot_that_lapses_is_held_before_or_not_at_all() {
    let books = Books::open().await;
    for _ in 0..rounds() {
        let payer = books.payer().await;
        let ends = books.now().plus(Duration::from_mins(1));
        let order = GrantOrder {
            expires_at: Some(ends),
            ..books.grant_order(&payer, 100, "lapsing")
        };
        books.grant_by(order).await;
        let early = books.order(&payer, 10);
        let mut late = books.order(&payer, 10);
        late.now = ends;
        let (db, lanes) = (books.db.clone(), books.lanes.clone());

        let lapse = tokio::spawn(async move { ledger::expire_due(&db, ends).await });
        let asked = [early, late].map(|order| {
            let lanes = lanes.clone();
            async move { lanes.hold(order).await }
        });
        let mut held = at_once(asked.into_iter().collect()).await;
        lapse.await.expect("no panic").expect("a run");

        let (late, early) = (held.remove(1), held.remove(0));
        assert!(
            matches!(late, Err(HoldRefusal::InsufficientCredits { .. })),
            "{late:?}"
        );
        let kept = if early.is_ok() { 10 } else { 0 };
        assert_eq!(books.balance(&payer).await.posted, nanos(kept));
        if let Ok(hold) = early {
            hold.settle(books.settlement(4)).await.expect("settled");
        }
        ledger::expire_due(&books.db, ends).await.expect("a run");
        assert_eq!(books.balance(&payer).await.posted, Credits::ZERO);
    }
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_ban_no_hold_is_made_whoever_was_asking() {
    let books = Books::open().await;
    let right = operator(&books).await;
    refused_from_then_on(&books, "banned", async |payer| {
        let (id, now) = (payer.member, books.now());
        let banned = member::ban(&books.db, &right, id, reason(), now).await;
        banned.expect("banned");
    })
    .await;
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_tenant_is_suspended_no_hold_is_made_whoever_was_asking() {
    let books = Books::open().await;
    let right = operator(&books).await;
    refused_from_then_on(&books, "suspended", async |payer| {
        let (id, now) = (payer.tenant, books.now());
        let suspended = tenant::suspend(&books.db, &right, id, reason(), now).await;
        suspended.expect("suspended");
    })
    .await;
    books.close().await;
}

/// Sixteen calls ask while somebody is shut out: what is held when that is done is all that is ever held.
async fn refused_from_then_on(books: &Books, word: &str, shut_out: impl AsyncFn(&Payer)) {
    let other = twin(books);
    let shut = |refusal: &HoldRefusal| match refusal {
        HoldRefusal::MemberBanned => word == "banned",
        HoldRefusal::TenantSuspended => word == "suspended",
        _ => false,
    };
    for _ in 0..rounds() {
        let payer = books.payer().await;
        books.grant(&payer, 1_000).await;
        let asked = (0..16).map(|n| {
            let lanes = if n % 2 == 0 {
                books.lanes.clone()
            } else {
                other.clone()
            };
            let order = books.order(&payer, 1);
            async move { lanes.hold(order).await }
        });
        let asked = tokio::spawn(at_once(asked.collect()));
        shut_out(&payer).await;
        let made = usage_and_holds(books, &payer).await;

        let after = other.hold(books.order(&payer, 1)).await;

        assert!(after.as_ref().is_err_and(shut), "{after:?}");
        let held = asked.await.expect("no panic");
        let count = held.iter().filter(|held| held.is_ok()).count() as u64;
        assert_eq!(count, made, "none was made after that");
        let strange = held
            .iter()
            .find(|held| !held.as_ref().map_or_else(shut, |_| true));
        assert!(strange.is_none(), "{strange:?}");
    }
    other.drain().await;
}

fn reason() -> Reason {
    Reason::parse("a race").expect("a reason")
}

async fn operator(books: &Books) -> Operator {
    let order = CreateOperator {
        email: EmailAddress::parse("olive@tollgate.test").expect("an address"),
        password: Password::parse("a long phrase of the battery").expect("a password"),
        display_name: DisplayName::parse("Olive").expect("a name"),
        locale: Locale::English,
    };
    let made = operator::create(&books.db, &Hasher::new(), order, books.now()).await;
    made.expect("an operator").1
}

/// Every call that was ever held for a tenant.
async fn usage_and_holds(books: &Books, payer: &Payer) -> u64 {
    let ended = usage::Entity::of(payer.tenant)
        .count(books.db.read())
        .await
        .expect("a count");
    ended + open(books, payer.tenant).await
}
