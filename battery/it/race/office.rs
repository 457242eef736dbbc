//! Codes, payments and subscriptions asked for many times at once.

use super::{at_once, rounds};
use crate::{
    cashier,
    support::books::{Books, nanos},
};
use billing::{
    code::{self, CodeKeys, Gives, NewBatch, Redeem, RedeemError},
    payment::inbox,
    plan::{self, NewPlan, PlanDocument, Terms},
    subscription::{self, Subscribe},
};
use entity::{
    Actor, CodeBatchId, OrderId, PersonId, PlanId, Platform, Scoped, SubscriptionId, grant,
    payment_inbox, plan_version::Period, subscription::Source,
};
use sea_orm::{ColumnTrait, PaginatorTrait, QueryFilter};
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_asked_for_at_once_gives_as_often_as_it_may_and_once_to_each() {
    let books = Books::open().await;
    let keys = CodeKeys::new(&[9; 32]).expect("a key");
    for _ in 0..rounds() {
        let order = NewBatch {
            id: CodeBatchId::fresh(),
            name: "race".to_owned(),
            gives: Gives::Credits {
                amount: nanos(5),
                valid_days: None,
            },
            size: 1,
            max_uses: 3,
            most_per_member: None,
            starts_at: None,
            ends_at: None,
            operator: PersonId::fresh(),
        };
        let made = code::create_batch(&books.db, &keys, order, books.now()).await;
        let text = made.expect("a batch").codes.remove(0);
        let mut payers = Vec::new();
        for _ in 0..5 {
            payers.push(books.payer().await);
        }

        let asked = (0..20).map(|n| {
            let payer = &payers[n % payers.len()];
            let (db, keys, now) = (books.db.clone(), keys.clone(), books.now());
            let order = Redeem {
                tenant: payer.tenant,
                member: payer.member,
                code: text.clone(),
            };
            async move { code::redeem(&db, &keys, order, now).await }
        });
        let answers = at_once(asked.collect()).await;

        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
        for no in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            assert!(
                matches!(no, RedeemError::AlreadyRedeemed | RedeemError::UsedUp),
                "{no:?}"
            );
        }
        for payer in &payers {
            let posted = books.balance(payer).await.posted;
            assert!(posted == nanos(0) || posted == nanos(5), "{posted}");
        }
    }
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_told_of_eight_times_at_once_is_credited_once() {
    let books = Books::open().await;
    for _ in 0..rounds() {
        let payer = books.payer().await;
        let id = OrderId::fresh();
        let opened = cashier::order(
            &books.db,
            id,
            (payer.tenant, payer.member),
            nanos(500),
            books.now(),
        );
        opened.await.expect("an order");

        // Four tell the same event, four others each another one; a job looks meanwhile.
        let told = (0..8).map(|n| {
            let raw = cashier::event(id, if n % 2 == 0 { 0 } else { n });
            let (db, now) = (books.db.clone(), books.now());
            async move {
                cashier::deliver(&db, &raw, now).await;
                inbox::process_due(&db, &cashier::Cashier, now)
                    .await
                    .expect("a run");
            }
        });
        at_once(told.collect()).await;

        assert_eq!(books.balance(&payer).await.posted, nanos(500));
        let lots = grant::Entity::of(payer.tenant)
            .count(books.db.read())
            .await
            .expect("a count");
        assert_eq!(lots, 1);
    }
    let late = books.now().plus(Duration::from_hours(3));
    while inbox::process_due(&books.db, &cashier::Cashier, late)
        .await
        .expect("a run")
        > 0
    {}
    let waiting = payment_inbox::Entity::every()
        .filter(payment_inbox::Column::Status.ne(payment_inbox::Status::Done))
        .count(books.db.read())
        .await;
    assert_eq!(waiting.expect("a count"), 0, "every event is worked off");
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_period_that_two_replicas_renew_at_once_brings_its_allowance_once() {
    let books = Books::open().await;
    let order = NewPlan {
        id: PlanId::fresh(),
        name: "daily".to_owned(),
        title: "Daily".to_owned(),
        description: String::new(),
        terms: Terms {
            price_minor: 0,
            currency: "usd".to_owned(),
            period: Period::Day,
            allowance: nanos(60),
            document: PlanDocument::open(),
        },
        operator: PersonId::fresh(),
    };
    let version = plan::create(&books.db, order, books.now())
        .await
        .expect("a plan")
        .id;
    let payer = books.payer().await;
    let wish = Subscribe {
        id: SubscriptionId::fresh(),
        tenant: payer.tenant,
        version,
        source: Source::Operator,
        periods: None,
        code: None,
        actor: Actor::System,
    };
    subscription::subscribe(&books.db, wish, books.now())
        .await
        .expect("subscribed");
    for round in 0..rounds() {
        books.clock.advance(DAY);

        let runs = (0..4).map(|_| {
            let (db, now) = (books.db.clone(), books.now());
            async move { subscription::renew_due(&db, now).await.expect("a run") }
        });
        let runs = at_once(runs.collect()).await;

        assert_eq!(runs.iter().map(|run| run.renewed).sum::<u32>(), 1);
        let lots = grant::Entity::of(payer.tenant)
            .count(books.db.read())
            .await
            .expect("a count");
        assert_eq!(lots, 2 + round as u64);
        assert_eq!(books.balance(&payer).await.available, nanos(60));
    }
    books.close().await;
}
