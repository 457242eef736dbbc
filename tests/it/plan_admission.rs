//! Promises of plans where calls are admitted: what a plan pays for, how many at once, and how much a day.

use crate::support::books::{Books, Payer, nanos};
use billing::admission::{HoldOrder, HoldRefusal};
use billing::plan::{self, NewPlan, PlanDocument, Quantity, Terms};
use billing::subscription::{self, End, Subscribe};
use entity::plan_version::Period;
use entity::subscription::Source;
use entity::{
    Actor, Credits, PersonId, PlanId, Platform, Scoped, SubscriptionId, Timestamp, key, tenant,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DbErr, QueryFilter};
use std::time::Duration;

const DAILY: &str =
    r#"{"rule":"quota","name":"daily","window":"day","limit":{"credits":"0.0000001"}}"#;

/// Gives the payer a plan with this allowance and these rules for a month.
async fn give(books: &Books, payer: &Payer, allowance: i64, rules: &str) -> SubscriptionId {
    let name = format!("plan-{}", PlanId::fresh().uuid().simple());
    let document = PlanDocument::from_json(&format!(r#"{{"version":1,"rules":[{rules}]}}"#));
    let order = NewPlan {
        id: PlanId::fresh(),
        name,
        title: "Starter".to_owned(),
        description: String::new(),
        terms: Terms {
            price_minor: 0,
            currency: "usd".to_owned(),
            period: Period::Month,
            allowance: nanos(allowance),
            document: document.expect("a document"),
        },
        operator: PersonId::fresh(),
    };
    let version = plan::create(&books.db, order, books.now())
        .await
        .expect("a plan")
        .id;
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
        .expect("a subscription")
        .id
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
async fn an_allowance_pays_only_for_the_models_of_its_plan() {
    let books = Books::open().await;
    let (allowed, blocked) = (books.payer().await, books.payer().await);
    give(
        &books,
        &allowed,
        100,
        r#"{"rule":"models_allowed","patterns":["sandbox/*"]}"#,
    )
    .await;
    give(
        &books,
        &blocked,
        100,
        r#"{"rule":"models_blocked","patterns":["sandbox/*"]}"#,
    )
    .await;

    let paid = call(&books, &allowed, 40).await;
    let refused = call(&books, &blocked, 40).await;

    assert!(paid.is_ok());
    assert!(
        matches!(refused, Err(HoldRefusal::ModelNotInPlan { plan, why })
        if plan == "Starter" && why == "rule 1 (models_blocked): the plan blocks `sandbox/*`")
    );
    assert_eq!(books.balance(&allowed).await.posted, nanos(60));
    books.close().await;
}

#[tokio::test]
async fn what_a_plan_does_not_pay_for_bought_credits_do() {
    let (books, payer) = Books::with_payer(50).await;
    give(
        &books,
        &payer,
        100,
        r#"{"rule":"models_blocked","patterns":["sandbox/*"]}"#,
    )
    .await;

    let paid = call(&books, &payer, 50).await;
    let refused = call(&books, &payer, 1).await;

    assert!(paid.is_ok());
    assert!(matches!(refused, Err(HoldRefusal::ModelNotInPlan { .. })));
    assert_eq!(books.balance(&payer).await.posted, nanos(100));
    books.close().await;
}

#[tokio::test]
async fn a_plan_of_rules_alone_binds_bought_credits_too() {
    let (books, payer) = Books::with_payer(50).await;
    give(
        &books,
        &payer,
        0,
        r#"{"rule":"models_blocked","patterns":["sandbox/*"]}"#,
    )
    .await;

    let refused = call(&books, &payer, 1).await;

    assert!(matches!(refused, Err(HoldRefusal::ModelNotInPlan { .. })));
    books.close().await;
}

#[tokio::test]
async fn no_more_calls_run_than_the_plan_allows() {
    let books = Books::open().await;
    let payer = books.payer().await;
    give(&books, &payer, 100, r#"{"rule":"concurrency","limit":2}"#).await;

    let first = books
        .lanes
        .hold(books.order(&payer, 10))
        .await
        .expect("the first");
    let second = books
        .lanes
        .hold(books.order(&payer, 10))
        .await
        .expect("the second");
    let third = books.lanes.hold(books.order(&payer, 10)).await;
    first
        .settle(books.settlement(10))
        .await
        .expect("it settles");
    let after = call(&books, &payer, 10).await;

    assert!(matches!(
        third,
        Err(HoldRefusal::ConcurrencyLimit { limit: 2 })
    ));
    assert!(after.is_ok());
    second
        .settle(books.settlement(10))
        .await
        .expect("it settles");
    books.close().await;
}

#[tokio::test]
async fn a_daily_quota_can_be_spent_to_the_last_nano_credit_and_is_whole_again_the_next_day() {
    let books = Books::open().await;
    let payer = books.payer().await;
    give(&books, &payer, 1_000, DAILY).await;

    call(&books, &payer, 60).await.expect("it fits");
    let too_much = call(&books, &payer, 41).await;
    call(&books, &payer, 40).await.expect("it fits exactly");
    let nothing_left = call(&books, &payer, 1).await;

    let midnight = Timestamp::from_micros(1_795_046_400_000_000);
    assert!(matches!(
        too_much,
        Err(HoldRefusal::QuotaExhausted { window, limit, used, resets_at, .. })
            if window == "daily"
                && limit == Quantity::Credits(nanos(100))
                && used == Quantity::Credits(nanos(60))
                && resets_at == midnight
    ));
    assert!(matches!(
        nothing_left,
        Err(HoldRefusal::QuotaExhausted { .. })
    ));
    books.clock.advance(midnight.since(books.now()));
    call(&books, &payer, 100).await.expect("a new day");
    books.close().await;
}

#[tokio::test]
async fn an_allowance_pays_as_far_as_its_window_goes_and_other_credits_pay_the_rest() {
    let (books, payer) = Books::with_payer(50).await;
    give(&books, &payer, 1_000, DAILY).await;
    call(&books, &payer, 70).await.expect("the allowance pays");

    let hold = books
        .lanes
        .hold(books.order(&payer, 40))
        .await
        .expect("thirty of the allowance, ten of the rest");
    let meanwhile = call(&books, &payer, 41).await;
    hold.settle(books.settlement(40)).await.expect("it settles");
    call(&books, &payer, 40)
        .await
        .expect("the rest of the rest");
    let nothing_left = call(&books, &payer, 1).await;

    assert!(meanwhile.is_err());
    assert!(matches!(
        nothing_left,
        Err(HoldRefusal::QuotaExhausted { .. })
    ));
    assert_eq!(books.balance(&payer).await.posted, nanos(900));
    books.close().await;
}

#[tokio::test]
async fn a_hold_of_a_key_that_spends_plans_only_grows_by_nothing_else() {
    let (books, payer) = Books::with_payer(50).await;
    give(&books, &payer, 100, "").await;
    let plan_only: Result<(), DbErr> = books
        .db
        .write(move |tx| {
            Box::pin(async move {
                key::Entity::of_change(payer.tenant)
                    .col_expr(key::Column::PayOrder, Expr::value("plan_only"))
                    .exec(tx)
                    .await?;
                Ok(())
            })
        })
        .await;
    plan_only.expect("the key is changed");

    let mut hold = books
        .lanes
        .hold(books.order(&payer, 90))
        .await
        .expect("held");
    let more = hold.grow(nanos(30), nanos(1)).await.expect("ten are left");
    let no_more = hold.grow(nanos(30), nanos(1)).await;

    assert_eq!(more, nanos(10));
    assert!(no_more.is_err());
    hold.settle(books.settlement(100))
        .await
        .expect("it settles");
    assert_eq!(books.balance(&payer).await.posted, nanos(50));
    books.close().await;
}

#[tokio::test]
async fn ninety_nine_hundredths_of_a_window_can_be_spent_by_calls_that_can_do_with_less() {
    let (books, payer) = Books::with_payer(1_000_000).await;
    give(
        &books,
        &payer,
        0,
        r#"{"rule":"quota","name":"daily","window":"day","limit":{"credits":"0.00001"}}"#,
    )
    .await;

    let mut spent = 0;
    loop {
        let order = HoldOrder {
            least: nanos(70),
            ..books.order(&payer, 900)
        };
        match books.lanes.hold(order).await {
            Ok(hold) => {
                let charge = hold.amount().nanos().min(640);
                spent += charge;
                hold.settle(books.settlement(charge))
                    .await
                    .expect("it settles");
            }
            Err(HoldRefusal::QuotaExhausted { .. }) => break,
            Err(other) => panic!("{other:?}"),
        }
    }

    assert!((9_900..=10_000).contains(&spent), "{spent}");
    books.close().await;
}

#[tokio::test]
async fn what_a_call_holds_counts_and_what_it_did_not_use_comes_back() {
    let books = Books::open().await;
    let payer = books.payer().await;
    give(&books, &payer, 1_000, DAILY).await;

    let hold = books
        .lanes
        .hold(books.order(&payer, 100))
        .await
        .expect("it fits");
    let meanwhile = call(&books, &payer, 1).await;
    hold.settle(books.settlement(30)).await.expect("it settles");
    call(&books, &payer, 70).await.expect("the rest came back");

    assert!(matches!(meanwhile, Err(HoldRefusal::QuotaExhausted { .. })));
    books.close().await;
}

#[tokio::test]
async fn a_quota_follows_the_tenants_own_midnight() {
    let books = Books::open().await;
    let payer = books.payer().await;
    let moved: Result<(), DbErr> = books
        .db
        .write(move |tx| {
            Box::pin(async move {
                tenant::Entity::change()
                    .col_expr(tenant::Column::TimeZone, Expr::value("Asia/Shanghai"))
                    .filter(tenant::Column::Id.eq(payer.tenant))
                    .exec(tx)
                    .await?;
                Ok(())
            })
        })
        .await;
    moved.expect("the zone is set");
    give(&books, &payer, 1_000, DAILY).await;

    call(&books, &payer, 100).await.expect("it fits");
    let refused = call(&books, &payer, 1).await;

    let midnight = Timestamp::from_micros(1_795_017_600_000_000);
    assert!(
        matches!(refused, Err(HoldRefusal::QuotaExhausted { resets_at, .. }) if resets_at == midnight)
    );
    books.close().await;
}

#[tokio::test]
async fn fifty_calls_at_once_never_take_more_than_the_quota() {
    let books = Books::open().await;
    let payer = books.payer().await;
    give(&books, &payer, 1_000, DAILY).await;

    let calls = (0..50).map(|_| call(&books, &payer, 7));
    let outcomes = futures_util::future::join_all(calls).await;

    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        14
    );
    assert_eq!(books.balance(&payer).await.posted, nanos(1_000 - 14 * 7));
    books.close().await;
}

#[tokio::test]
async fn an_ended_subscription_pays_for_nothing_more() {
    let books = Books::open().await;
    let payer = books.payer().await;
    let id = give(&books, &payer, 100, "").await;
    books.clock.advance(Duration::from_secs(1));

    let whom = (payer.tenant, id);
    subscription::end(&books.db, whom, End::Now, Actor::System, books.now())
        .await
        .expect("it runs");
    let refused = call(&books, &payer, 1).await;

    assert!(
        matches!(refused, Err(HoldRefusal::InsufficientCredits { available, .. }) if available == Credits::ZERO)
    );
    books.close().await;
}

#[tokio::test]
async fn a_call_admitted_in_the_moment_its_plan_is_ended_leaves_clean_books() {
    let books = Books::open().await;
    let payer = books.payer().await;
    let plan = give(&books, &payer, 100, "").await;
    books.clock.advance(Duration::from_secs(5));
    let pressed = books.now();
    books.clock.advance(Duration::from_millis(3));

    // Whoever ends a plan has looked at the clock before it is their turn to write.
    call(&books, &payer, 40).await.expect("it is still there");
    let actor = Actor::System;
    let ended = subscription::end(&books.db, (payer.tenant, plan), End::Now, actor, pressed);
    ended.await.expect("it ends");

    let after = call(&books, &payer, 40).await;
    assert!(matches!(
        after,
        Err(HoldRefusal::InsufficientCredits { .. })
    ));
    books.close().await;
}
