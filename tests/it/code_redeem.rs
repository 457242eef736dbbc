//! Promises of redeeming a code: exactly as often as it may, whoever asks and however many at once.

use crate::support::till::{Buyer, NOW, Till};
use billing::code::{
    self, CodeKeys, Gives, NewBatch, Redeem, RedeemError, Redeemed, RedemptionCode,
};
use billing::plan::{self, NewPlan, PlanDocument, Terms};
use entity::plan_version::Period;
use entity::{
    CodeBatchId, Credits, PersonId, PlanId, PlanVersionId, Platform, Scoped, Timestamp, grant,
    redemption, subscription,
};
use futures_util::future::join_all;
use sea_orm::ConnectionTrait;
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

fn keys() -> CodeKeys {
    CodeKeys::new(&[7; 32]).expect("a key")
}

fn five() -> Credits {
    Credits::parse("5").expect("credits")
}

fn batch() -> NewBatch {
    NewBatch {
        id: CodeBatchId::fresh(),
        name: "Autumn".to_owned(),
        gives: Gives::Credits {
            amount: five(),
            valid_days: None,
        },
        size: 1,
        max_uses: 1,
        most_per_member: None,
        starts_at: None,
        ends_at: None,
        operator: PersonId::fresh(),
    }
}

async fn one_of(till: &Till, order: NewBatch) -> RedemptionCode {
    let made = code::create_batch(&till.db, &keys(), order, NOW).await;
    made.expect("a batch").codes.remove(0)
}

async fn redeem(
    till: &Till,
    buyer: Buyer,
    code: &RedemptionCode,
    now: Timestamp,
) -> Result<Redeemed, RedeemError> {
    let order = Redeem {
        tenant: buyer.tenant,
        member: buyer.member,
        code: code.clone(),
    };
    code::redeem(&till.db, &keys(), order, now).await
}

async fn uses(till: &Till) -> i64 {
    let rows = entity::code::Entity::every()
        .all(till.db.read())
        .await
        .expect("reads");
    rows.iter().map(|row| row.used_count).sum()
}

#[tokio::test]
async fn a_code_gives_its_credits_and_says_so() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let gives = Gives::Credits {
        amount: five(),
        valid_days: Some(30),
    };
    let code = one_of(&till, NewBatch { gives, ..batch() }).await;

    let redeemed = redeem(&till, buyer, &code, NOW).await.expect("it works");

    let lot = &till.lots(buyer.tenant).await[0];
    let expected = Redeemed::Credits {
        grant: lot.id,
        amount: five(),
        expires_at: Some(NOW.plus(DAY * 30)),
    };
    assert_eq!(redeemed, expected);
    assert_eq!(
        (lot.source, lot.expires_at),
        (grant::Source::Code, Some(NOW.plus(DAY * 30)))
    );
    assert_eq!(till.available(buyer.tenant, NOW).await, five());
    let rows = redemption::Entity::of(buyer.tenant)
        .all(till.db.read())
        .await
        .expect("reads");
    assert_eq!(
        (rows.len(), rows[0].grant_id, rows[0].member_id),
        (1, Some(lot.id), buyer.member)
    );
    till.finish().await;
}

#[tokio::test]
async fn a_promotion_gives_credits_that_expire() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let gives = Gives::Promotion {
        amount: five(),
        valid_days: 7,
    };
    let code = one_of(&till, NewBatch { gives, ..batch() }).await;

    redeem(&till, buyer, &code, NOW).await.expect("it works");

    assert_eq!(
        till.lots(buyer.tenant).await[0].source,
        grant::Source::Promo
    );
    assert_eq!(
        till.available(buyer.tenant, NOW.plus(DAY * 7)).await,
        Credits::ZERO
    );
    till.finish().await;
}

#[tokio::test]
async fn a_code_redeemed_by_50_tenants_at_once_gives_exactly_as_often_as_it_may() {
    let till = Till::open().await;
    let code = one_of(
        &till,
        NewBatch {
            max_uses: 3,
            ..batch()
        },
    )
    .await;
    let mut buyers = Vec::new();
    for _ in 0..50 {
        buyers.push(till.buyer().await);
    }

    let outcomes = join_all(buyers.iter().map(|buyer| redeem(&till, *buyer, &code, NOW))).await;

    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    assert!(
        refused
            .into_iter()
            .all(|fault| matches!(fault, RedeemError::UsedUp))
    );
    assert_eq!(uses(&till).await, 3);
    let mut given = 0;
    for buyer in &buyers {
        given += till.lots(buyer.tenant).await.len();
    }
    assert_eq!(given, 3);
    till.finish().await;
}

#[tokio::test]
async fn a_tenant_that_asks_50_times_at_once_gets_a_code_once() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let code = one_of(
        &till,
        NewBatch {
            max_uses: 100,
            ..batch()
        },
    )
    .await;

    let outcomes = join_all((0..50).map(|_| redeem(&till, buyer, &code, NOW))).await;

    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    assert!(
        refused
            .into_iter()
            .all(|fault| matches!(fault, RedeemError::AlreadyRedeemed))
    );
    assert_eq!(uses(&till).await, 1);
    assert_eq!(till.available(buyer.tenant, NOW).await, five());
    till.finish().await;
}

#[tokio::test]
async fn a_code_works_from_its_start_until_its_end() {
    let till = Till::open().await;
    let (starts_at, ends_at) = (NOW.plus(DAY), NOW.plus(DAY * 2));
    let order = NewBatch {
        max_uses: 10,
        starts_at: Some(starts_at),
        ends_at: Some(ends_at),
        ..batch()
    };
    let code = one_of(&till, order).await;
    let microsecond = Duration::from_micros(1);
    let buyer = till.buyer().await;

    let early = redeem(&till, buyer, &code, starts_at.minus(microsecond)).await;
    let late = redeem(&till, buyer, &code, ends_at).await;
    let first = redeem(&till, buyer, &code, starts_at).await;
    let last = redeem(&till, till.buyer().await, &code, ends_at.minus(microsecond)).await;

    assert!(matches!(early, Err(RedeemError::NotYet { starts_at: from }) if from == starts_at));
    assert!(matches!(late, Err(RedeemError::Ended { ended_at: until }) if until == ends_at));
    assert!(first.is_ok());
    assert!(last.is_ok());
    till.finish().await;
}

#[tokio::test]
async fn an_unknown_disabled_or_foreign_code_gives_nothing_and_changes_nothing() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let order = batch();
    let id = order.id;
    let disabled = one_of(&till, order).await;
    code::disable_batch(&till.db, id, PersonId::fresh(), "leaked".to_owned(), NOW)
        .await
        .expect("it is on");
    let unknown = RedemptionCode::fresh().expect("randomness");
    let other_key = CodeKeys::new(&[8; 32]).expect("a key");
    let foreign = code::create_batch(&till.db, &other_key, batch(), NOW)
        .await
        .expect("a batch")
        .codes
        .remove(0);

    let outcomes = [
        redeem(&till, buyer, &disabled, NOW).await,
        redeem(&till, buyer, &unknown, NOW).await,
        redeem(&till, buyer, &foreign, NOW).await,
    ];

    let texts: Vec<String> = outcomes
        .map(|outcome| outcome.expect_err("refused").to_string())
        .into();
    assert_eq!(
        texts,
        [
            "this code was switched off",
            "this code is not known",
            "this code is not known"
        ]
    );
    assert_eq!(uses(&till).await, 0);
    assert_eq!(
        redemption::Entity::across_tenants()
            .all(till.db.read())
            .await
            .expect("reads"),
        []
    );
    assert_eq!(till.lots(buyer.tenant).await, []);
    till.finish().await;
}

async fn monthly(till: &Till) -> PlanVersionId {
    let order = NewPlan {
        id: PlanId::fresh(),
        name: "starter".to_owned(),
        title: "Starter".to_owned(),
        description: String::new(),
        terms: Terms {
            price_minor: 900,
            currency: "usd".to_owned(),
            period: Period::Month,
            allowance: five(),
            document: PlanDocument::open(),
        },
        operator: PersonId::fresh(),
    };
    plan::create(&till.db, order, NOW).await.expect("a plan").id
}

#[tokio::test]
async fn a_plan_code_gives_the_plan_with_its_allowance_and_a_second_one_makes_it_last_longer() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let gives = Gives::Plan {
        version: monthly(&till).await,
        periods: 1,
    };
    let order = NewBatch {
        gives,
        size: 2,
        ..batch()
    };
    let codes = code::create_batch(&till.db, &keys(), order, NOW)
        .await
        .expect("a batch")
        .codes;

    let first = redeem(&till, buyer, &codes[0], NOW)
        .await
        .expect("it works");
    let second = redeem(&till, buyer, &codes[1], NOW.plus(DAY))
        .await
        .expect("it works");

    let rows = subscription::Entity::of(buyer.tenant)
        .all(till.db.read())
        .await
        .expect("reads");
    assert_eq!(rows.len(), 1);
    let until = |text: &str| {
        let time = text
            .parse::<chrono::DateTime<chrono::Utc>>()
            .expect("a time");
        Some(Timestamp::from_datetime(time))
    };
    let gave = |ends_at| Redeemed::Plan {
        subscription: rows[0].id,
        ends_at,
    };
    assert_eq!(first, gave(until("2026-12-18T11:06:40Z")));
    assert_eq!(second, gave(until("2027-01-18T11:06:40Z")));
    let lots = till.lots(buyer.tenant).await;
    assert_eq!(lots.len(), 1);
    assert_eq!(
        (lots[0].source, lots[0].subscription_id),
        (grant::Source::Plan, Some(rows[0].id))
    );
    assert_eq!(lots[0].expires_at, until("2026-12-18T11:06:40Z"));
    till.finish().await;
}

#[tokio::test]
async fn plan_codes_redeemed_at_once_follow_each_other() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let gives = Gives::Plan {
        version: monthly(&till).await,
        periods: 1,
    };
    let order = NewBatch {
        gives,
        size: 8,
        ..batch()
    };
    let made = code::create_batch(&till.db, &keys(), order, NOW).await;
    let codes = made.expect("a batch").codes;

    let outcomes = join_all(codes.iter().map(|code| redeem(&till, buyer, code, NOW))).await;

    assert!(outcomes.iter().all(Result::is_ok));
    let rows = subscription::Entity::of(buyer.tenant)
        .all(till.db.read())
        .await
        .expect("reads");
    assert_eq!(rows.len(), 1);
    let end = chrono::DateTime::parse_from_rfc3339("2027-07-18T11:06:40Z").expect("a time");
    assert_eq!(
        rows[0].ends_at,
        Some(Timestamp::from_datetime(end.to_utc()))
    );
    assert_eq!(till.lots(buyer.tenant).await.len(), 1);
    till.finish().await;
}

#[tokio::test]
async fn a_member_redeems_no_more_codes_of_a_batch_than_one_may_whichever_tenant_they_are_in() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let other = till.buyer().await;
    let order = NewBatch {
        size: 4,
        most_per_member: Some(2),
        ..batch()
    };
    let made = code::create_batch(&till.db, &keys(), order, NOW).await;
    let codes = made.expect("a batch").codes;

    for code in &codes[..2] {
        redeem(&till, buyer, code, NOW).await.expect("it works");
    }
    let third = redeem(&till, buyer, &codes[2], NOW).await;
    let elsewhere = Buyer {
        tenant: other.tenant,
        ..buyer
    };
    let moved = redeem(&till, elsewhere, &codes[2], NOW).await;
    redeem(&till, other, &codes[2], NOW)
        .await
        .expect("others may");

    for refused in [third, moved] {
        assert!(
            matches!(refused, Err(RedeemError::EnoughRedeemed { most: 2 })),
            "{refused:?}"
        );
    }
    assert_eq!(uses(&till).await, 3);
    for (most, broken) in [(1, vec!["I17"]), (2, Vec::new())] {
        let done: Result<(), sea_orm::DbErr> = till
            .db
            .write(move |tx| {
                Box::pin(async move {
                    let change = format!("UPDATE code_batch SET most_per_member = {most}");
                    tx.execute_unprepared(&change).await.map(drop)
                })
            })
            .await;
        done.expect("the batch is changed");
        let report = billing::audit::prove(&till.db, NOW)
            .await
            .expect("an audit");
        let found: Vec<_> = report.broken().map(|proof| proof.law).collect();
        assert_eq!(found, broken);
    }
    till.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_codes_at_once_give_one_member_as_many_as_one_may() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let order = NewBatch {
        size: 50,
        most_per_member: Some(3),
        ..batch()
    };
    let made = code::create_batch(&till.db, &keys(), order, NOW).await;
    let codes = made.expect("a batch").codes;

    let asked = codes.iter().map(|code| redeem(&till, buyer, code, NOW));
    let answers = join_all(asked).await;

    let given = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(given, 3);
    assert_eq!(uses(&till).await, 3);
    till.finish().await;
}
