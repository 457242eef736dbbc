//! Promises of subscriptions: each period's allowance comes once, and ends with its period.

use crate::support::till::{Buyer, NOW, Till};
use billing::plan::{self, Deals, NewPlan, PlanDocument, Terms};
use billing::subscription::{self, End, EndError, Renewed, Subscribe, SubscribeError};
use entity::key::PayOrder;
use entity::plan_version::Period;
use entity::subscription::{Model, Source, Status};
use entity::{
    Actor, Credits, GroupId, PersonId, PlanId, PlanVersionId, Scoped, SubscriptionId, Timestamp,
    ledger_transaction::Kind,
};
use futures_util::future::join_all;
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

fn five() -> Credits {
    Credits::parse("5").expect("credits")
}

async fn daily(till: &Till, allowance: Credits) -> PlanVersionId {
    let order = NewPlan {
        id: PlanId::fresh(),
        name: "daily".to_owned(),
        title: "Daily".to_owned(),
        description: String::new(),
        terms: Terms {
            price_minor: 0,
            currency: "usd".to_owned(),
            period: Period::Day,
            allowance,
            document: PlanDocument::open(),
        },
        operator: PersonId::fresh(),
    };
    plan::create(&till.db, order, NOW).await.expect("a plan").id
}

fn wish(buyer: Buyer, version: PlanVersionId, periods: Option<u32>) -> Subscribe {
    Subscribe {
        id: SubscriptionId::fresh(),
        tenant: buyer.tenant,
        version,
        source: Source::Operator,
        periods,
        code: None,
        actor: Actor::Operator(PersonId::fresh()),
    }
}

async fn stored(till: &Till, buyer: Buyer) -> Model {
    let found = entity::subscription::Entity::of(buyer.tenant)
        .one(till.db.read())
        .await;
    found.expect("reads").expect("is there")
}

async fn renew(till: &Till, now: Timestamp) -> Renewed {
    subscription::renew_due(&till.db, now)
        .await
        .expect("it runs")
}

#[tokio::test]
async fn each_period_brings_its_allowance_and_takes_the_last_one_away() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let version = daily(&till, five()).await;
    subscription::subscribe(&till.db, wish(buyer, version, None), NOW)
        .await
        .expect("it works");

    let early = renew(&till, NOW.plus(DAY).minus(Duration::from_micros(1))).await;
    let due = renew(&till, NOW.plus(DAY)).await;
    let again = renew(&till, NOW.plus(DAY)).await;

    assert_eq!((early, again), (Renewed::default(), Renewed::default()));
    assert_eq!(
        due,
        Renewed {
            renewed: 1,
            ended: 0
        }
    );
    assert_eq!(till.lots(buyer.tenant).await.len(), 2);
    assert_eq!(till.available(buyer.tenant, NOW).await, five());
    assert_eq!(till.available(buyer.tenant, NOW.plus(DAY)).await, five());
    let now = stored(&till, buyer).await;
    assert_eq!(
        (now.period_start, now.period_end),
        (NOW.plus(DAY), NOW.plus(DAY * 2))
    );
    till.finish().await;
}

#[tokio::test]
async fn replicas_that_renew_at_once_grant_once() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let version = daily(&till, five()).await;
    subscription::subscribe(&till.db, wish(buyer, version, None), NOW)
        .await
        .expect("it works");

    let runs = join_all((0..16).map(|_| renew(&till, NOW.plus(DAY)))).await;

    assert_eq!(runs.iter().map(|run| run.renewed).sum::<u32>(), 1);
    assert_eq!(till.lots(buyer.tenant).await.len(), 2);
    till.finish().await;
}

#[tokio::test]
async fn periods_that_passed_while_nothing_ran_are_left_out() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let version = daily(&till, five()).await;
    subscription::subscribe(&till.db, wish(buyer, version, None), NOW)
        .await
        .expect("it works");

    let late = NOW.plus(DAY * 10 + Duration::from_hours(5));
    renew(&till, late).await;

    let now = stored(&till, buyer).await;
    assert_eq!(
        (now.period_start, now.period_end),
        (NOW.plus(DAY * 10), NOW.plus(DAY * 11))
    );
    assert_eq!(till.lots(buyer.tenant).await.len(), 2);
    assert_eq!(till.available(buyer.tenant, late).await, five());
    till.finish().await;
}

#[tokio::test]
async fn a_subscription_for_three_periods_ends_after_three() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let version = daily(&till, five()).await;
    subscription::subscribe(&till.db, wish(buyer, version, Some(3)), NOW)
        .await
        .expect("it works");

    let mut runs = Vec::new();
    for day in 1..=4 {
        runs.push(renew(&till, NOW.plus(DAY * day)).await);
    }

    let (renewed, ended) = (
        Renewed {
            renewed: 1,
            ended: 0,
        },
        Renewed {
            renewed: 0,
            ended: 1,
        },
    );
    assert_eq!(runs, [renewed, renewed, ended, Renewed::default()]);
    let now = stored(&till, buyer).await;
    assert_eq!(
        (now.status, now.ended_at),
        (Status::Ended, Some(NOW.plus(DAY * 3)))
    );
    assert_eq!(till.lots(buyer.tenant).await.len(), 3);
    assert_eq!(
        subscription::current(&till.db, buyer.tenant, NOW.plus(DAY * 3))
            .await
            .expect("reads")
            .len(),
        0
    );
    till.finish().await;
}

#[tokio::test]
async fn a_cancelled_subscription_runs_to_the_end_of_its_period() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let version = daily(&till, five()).await;
    let made = subscription::subscribe(&till.db, wish(buyer, version, None), NOW)
        .await
        .expect("it works");
    let end = |end| {
        subscription::end(
            &till.db,
            (buyer.tenant, made.id),
            end,
            Actor::Member(buyer.member),
            NOW,
        )
    };

    end(End::AtPeriodEnd).await.expect("it runs");
    assert!(matches!(
        end(End::AtPeriodEnd).await,
        Err(EndError::NotFound)
    ));
    assert_eq!(
        subscription::current(&till.db, buyer.tenant, NOW)
            .await
            .expect("reads")
            .len(),
        1
    );
    assert_eq!(
        renew(&till, NOW.plus(DAY)).await,
        Renewed {
            renewed: 0,
            ended: 1
        }
    );
    assert_eq!(till.lots(buyer.tenant).await.len(), 1);
    till.finish().await;
}

#[tokio::test]
async fn nobody_ends_a_subscription_of_another_tenant() {
    let till = Till::open().await;
    let (buyer, stranger) = (till.buyer().await, till.buyer().await);
    let version = daily(&till, five()).await;
    let made = subscription::subscribe(&till.db, wish(buyer, version, None), NOW)
        .await
        .expect("it works");

    let actor = Actor::Member(stranger.member);
    let refused =
        subscription::end(&till.db, (stranger.tenant, made.id), End::Now, actor, NOW).await;

    assert!(matches!(refused, Err(EndError::NotFound)));
    assert_eq!(stored(&till, buyer).await.status, Status::Active);
    till.finish().await;
}

#[tokio::test]
async fn a_plan_of_rules_alone_grants_nothing_and_an_unknown_one_is_refused() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let version = daily(&till, Credits::ZERO).await;

    subscription::subscribe(&till.db, wish(buyer, version, None), NOW)
        .await
        .expect("it works");
    let unknown = wish(buyer, PlanVersionId::fresh(), None);
    let refused = subscription::subscribe(&till.db, unknown, NOW).await;
    let never = subscription::subscribe(&till.db, wish(buyer, version, Some(0)), NOW).await;

    assert_eq!(till.lots(buyer.tenant).await, []);
    assert!(matches!(refused, Err(SubscribeError::NoSuchPlan)));
    assert!(matches!(never, Err(SubscribeError::Periods)));
    till.finish().await;
}

#[tokio::test]
async fn a_subscription_ended_at_once_takes_its_allowance_along() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let version = daily(&till, five()).await;
    let made = subscription::subscribe(&till.db, wish(buyer, version, None), NOW)
        .await
        .expect("it works");
    let later = NOW.plus(Duration::from_hours(1));

    let actor = Actor::Operator(PersonId::fresh());
    subscription::end(&till.db, (buyer.tenant, made.id), End::Now, actor, later)
        .await
        .expect("it runs");

    assert_eq!(till.available(buyer.tenant, later).await, Credits::ZERO);
    let shut = till.lots(buyer.tenant).await;
    assert_eq!(shut[0].remaining, Credits::ZERO);
    let booked = till.booked(buyer.tenant, &format!("end:{}", made.id)).await;
    assert_eq!(booked.expect("a transaction").kind, Kind::Expire);
    let current = subscription::current(&till.db, buyer.tenant, later).await;
    assert_eq!(current.expect("reads").len(), 0);
    assert_eq!(renew(&till, NOW.plus(DAY)).await, Renewed::default());
    till.finish().await;
}

#[tokio::test]
async fn a_subscription_made_longer_while_it_is_renewed_goes_on() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let version = daily(&till, five()).await;
    let longer = || wish(buyer, version, Some(1));
    subscription::subscribe(&till.db, longer(), NOW)
        .await
        .expect("it works");

    let almost = NOW.plus(DAY).minus(Duration::from_secs(1));
    let (made, renewed) = tokio::join!(
        subscription::subscribe(&till.db, longer(), almost),
        subscription::renew_due(&till.db, NOW.plus(DAY)),
    );

    made.expect("it works");
    renewed.expect("it runs");
    renew(&till, NOW.plus(DAY)).await;
    let current = subscription::current(&till.db, buyer.tenant, NOW.plus(DAY)).await;
    assert!(!current.expect("reads").is_empty());
    till.finish().await;
}

#[tokio::test]
async fn a_deal_is_remembered_until_something_changes_or_a_period_ends() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let version = daily(&till, five()).await;
    let deals = Deals::new(till.db.clone());
    let offered = async |now| {
        let deal = deals.of(buyer.tenant, now).await.expect("reads");
        deal.offers("gpt-5", GroupId::fresh(), PayOrder::PlanOnly)
    };

    assert!(!offered(NOW).await);
    subscription::subscribe(&till.db, wish(buyer, version, Some(1)), NOW)
        .await
        .expect("it works");

    let end = NOW.plus(DAY);
    assert!(offered(NOW).await);
    assert!(offered(end.minus(Duration::from_micros(1))).await);
    assert!(!offered(end).await);
    till.finish().await;
}
