//! Promises of changing plans: a step up is prorated to the nano-credit, anything else waits for the period's end, what is
//! left rolls over once, and of two who act at once one acts alone.

use crate::support::{
    dump::Dump,
    till::{Buyer, NOW, Till},
};
use billing::{
    ledger::{self, GrantOrder},
    plan::{self, NewPlan, PlanDocument, Terms},
    subscription::{
        self, Change, ChangeError, End, EndError, Renewed, Subscribe, SubscribeError, Upgraded,
    },
};
use entity::{
    Actor, Credits, PersonId, PlanId, PlanVersionId, Platform, Scoped, SubscriptionId, Timestamp,
    grant::Source as From,
    ledger_entry::{self, Account},
    plan_version::Period,
    subscription::{Model, Source, Status},
};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, QueryFilter};
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);
const HALF: Duration = Duration::from_hours(12);

fn credits(text: &str) -> Credits {
    Credits::parse(text).expect("credits")
}

/// A plan of days at a price in cents, with an allowance and rules.
async fn plan(till: &Till, name: &str, cents: i64, allowance: &str, rules: &str) -> PlanVersionId {
    plan_of(till, name, cents, allowance, rules, Period::Day).await
}

async fn plan_of(
    till: &Till,
    name: &str,
    cents: i64,
    allowance: &str,
    rules: &str,
    period: Period,
) -> PlanVersionId {
    let document = format!(r#"{{"version":1,"rules":[{rules}]}}"#);
    let order = NewPlan {
        id: PlanId::fresh(),
        name: name.to_owned(),
        title: name.to_owned(),
        description: String::new(),
        terms: Terms {
            price_minor: cents,
            currency: "usd".to_owned(),
            period,
            allowance: credits(allowance),
            document: PlanDocument::from_json(&document).expect("a document"),
        },
        operator: PersonId::fresh(),
    };
    plan::create(&till.db, order, NOW).await.expect("a plan").id
}

async fn fund(till: &Till, buyer: Buyer, amount: &str) {
    let order = GrantOrder::new(
        buyer.tenant,
        From::Paid,
        credits(amount),
        format!("test:{}", SubscriptionId::fresh()),
        Actor::System,
        NOW,
    );
    ledger::grant(&till.db, order, NOW).await.expect("credits");
}

fn wish(buyer: Buyer, version: PlanVersionId, source: Source) -> Subscribe {
    Subscribe {
        id: SubscriptionId::fresh(),
        tenant: buyer.tenant,
        version,
        source,
        periods: None,
        code: None,
        actor: Actor::Member(buyer.member),
    }
}

/// A buyer with credits who ordered a plan.
async fn subscriber(till: &Till, version: PlanVersionId, funds: &str) -> (Buyer, Model) {
    let buyer = till.buyer().await;
    fund(till, buyer, funds).await;
    let made = subscription::subscribe(&till.db, wish(buyer, version, Source::Order), NOW).await;
    (buyer, made.expect("a subscription"))
}

fn change(buyer: Buyer, row: &Model, to: PlanVersionId) -> Change {
    Change {
        tenant: buyer.tenant,
        subscription: row.id,
        to,
        actor: Actor::Member(buyer.member),
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

/// What left a tenant's lots into plans, or came from there where negative.
async fn into_plans(till: &Till) -> i64 {
    ledger_entry::Entity::every()
        .filter(ledger_entry::Column::Account.eq(Account::IssuedPlan))
        .all(till.db.read())
        .await
        .expect("entries read")
        .iter()
        .map(|entry| entry.amount)
        .sum()
}

#[tokio::test]
async fn a_member_pays_for_a_plan_out_of_the_wallet() {
    let till = Till::open().await;
    let small = plan(&till, "small", 500, "8", "").await;
    let (buyer, row) = subscriber(&till, small, "20").await;

    assert_eq!(till.available(buyer.tenant, NOW).await, credits("23"));
    let again = subscription::subscribe(&till.db, wish(buyer, small, Source::Order), NOW).await;
    assert!(matches!(again, Err(SubscribeError::HasIt)));
    let start = row.period_start.micros();
    for key in ["pay", "plan"] {
        let key = format!("{key}:{}:{start}", row.id);
        assert!(till.booked(buyer.tenant, &key).await.is_some(), "{key}");
    }
    till.finish().await;
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let till = Till::open().await;
    let small = plan(&till, "small", 500, "8", "").await;
    let large = plan(&till, "large", 5_000, "90", "").await;
    let free = plan(&till, "free", 0, "8", "").await;
    let weekly = plan_of(&till, "weekly", 6_000, "90", "", Period::Week).await;
    let (buyer, row) = subscriber(&till, small, "6").await;
    let poor = till.buyer().await;
    let before = Dump::of(&till.db).await;
    let before_start = NOW.minus(DAY);

    let db = &till.db;
    let upgrade = |to, now| subscription::upgrade(db, change(buyer, &row, to), now);
    let whose = (buyer.tenant, row.id);
    let actor = || Actor::Member(buyer.member);

    let dear = upgrade(large, NOW.plus(HALF)).await;
    assert!(matches!(dear, Err(ChangeError::NotThere { needed, .. }) if needed == credits("22.5")));
    assert!(matches!(upgrade(small, NOW).await, Err(ChangeError::Same)));
    assert!(matches!(
        upgrade(free, NOW).await,
        Err(ChangeError::NotForSale)
    ));
    assert!(matches!(
        upgrade(weekly, NOW).await,
        Err(ChangeError::OtherPeriod)
    ));
    let back = upgrade(large, before_start).await;
    assert!(
        matches!(back, Err(ChangeError::Clock)),
        "the clock has gone back"
    );
    let over = upgrade(large, NOW.plus(DAY)).await;
    assert!(
        matches!(over, Err(ChangeError::Clock)),
        "the period is over"
    );
    let stranger = Change {
        tenant: poor.tenant,
        ..change(buyer, &row, large)
    };
    let foreign = subscription::upgrade(db, stranger, NOW).await;
    assert!(matches!(foreign, Err(ChangeError::NotFound)));
    let unpaid = subscription::subscribe(db, wish(poor, small, Source::Order), NOW).await;
    assert!(matches!(unpaid, Err(SubscribeError::NotThere { .. })));
    let given = subscription::subscribe(db, wish(poor, free, Source::Order), NOW).await;
    assert!(matches!(given, Err(SubscribeError::NotForSale)));
    let early = subscription::end(db, whose, End::Now, actor(), before_start).await;
    assert!(matches!(early, Err(EndError::Clock)));
    let running = subscription::resume(db, whose, actor(), NOW).await;
    assert!(matches!(running, Err(EndError::NotFound)));
    assert_eq!(renew(&till, before_start).await, Renewed::default());
    ledger::expire_due(db, before_start).await.expect("it runs");

    assert_eq!(Dump::of(&till.db).await, before);
    till.finish().await;
}

#[tokio::test]
async fn a_step_up_pays_and_gets_the_difference_for_the_rest_of_the_period() {
    let till = Till::open().await;
    let small = plan(&till, "small", 500, "8", "").await;
    let large = plan(&till, "large", 2_000, "40", "").await;
    let (buyer, row) = subscriber(&till, small, "100").await;
    let noon = NOW.plus(HALF);

    let quote = subscription::quote(&till.db, (buyer.tenant, row.id), large, noon).await;
    let quote = quote.expect("a quote").now.expect("a step up");
    let done = subscription::upgrade(&till.db, change(buyer, &row, large), noon).await;

    let half = Upgraded {
        due: credits("7.5"),
        extra: credits("16"),
    };
    assert_eq!(done.expect("a step up"), half);
    assert_eq!(
        (quote.due, quote.extra),
        (half.due, half.extra),
        "as shown before"
    );
    let now = stored(&till, buyer).await;
    assert_eq!(now.plan_version_id, large);
    assert_eq!(
        (now.period_start, now.period_end),
        (row.period_start, row.period_end)
    );
    // 100 - 5 + 8 - 7.5 + 16
    assert_eq!(till.available(buyer.tenant, noon).await, credits("111.5"));
    assert_eq!(into_plans(&till).await, credits("-11.5").nanos());
    let twice = subscription::upgrade(&till.db, change(buyer, &row, large), noon).await;
    assert!(matches!(twice, Err(ChangeError::Same)));
    renew(&till, NOW.plus(DAY)).await;
    assert_eq!(stored(&till, buyer).await.plan_version_id, large);
    // 87.5 of its own, less a whole period, and the whole allowance.
    assert_eq!(
        till.available(buyer.tenant, NOW.plus(DAY)).await,
        credits("107.5")
    );
    till.finish().await;
}

#[tokio::test]
async fn what_a_code_or_an_operator_gave_goes_on_after_an_upgrade() {
    let till = Till::open().await;
    let small = plan(&till, "small", 500, "8", "").await;
    let large = plan(&till, "large", 2_000, "40", "").await;
    let buyer = till.buyer().await;
    fund(&till, buyer, "10").await;
    let row = subscription::subscribe(&till.db, wish(buyer, small, Source::Operator), NOW)
        .await
        .expect("it is given");
    let whose = (buyer.tenant, row.id);
    let actor = Actor::Member(buyer.member);

    let done = subscription::upgrade(&till.db, change(buyer, &row, large), NOW.plus(HALF)).await;
    assert_eq!(done.expect("a step up").due, credits("7.5"));
    let kept = subscription::change_at_end(&till.db, whose, None, actor, NOW.plus(HALF)).await;
    assert!(
        matches!(kept, Err(ChangeError::Given)),
        "nobody keeps what was paid for half a day"
    );
    renew(&till, NOW.plus(DAY)).await;

    assert_eq!(stored(&till, buyer).await.plan_version_id, small);
    assert_eq!(
        till.available(buyer.tenant, NOW.plus(DAY)).await,
        credits("10.5")
    );
    till.finish().await;
}

#[tokio::test]
async fn a_step_down_waits_for_the_periods_end_and_can_be_taken_back() {
    let till = Till::open().await;
    let small = plan_of(&till, "small", 500, "8", "", Period::Week).await;
    let large = plan(&till, "large", 2_000, "40", "").await;
    let (buyer, row) = subscriber(&till, large, "100").await;
    let whose = (buyer.tenant, row.id);
    let at_end = |to| {
        let actor = Actor::Member(buyer.member);
        subscription::change_at_end(&till.db, whose, to, actor, NOW)
    };

    at_end(Some(small)).await.expect("it is noted");
    at_end(None).await.expect("it is taken back");
    assert_eq!(stored(&till, buyer).await.next_plan_version_id, None);
    at_end(Some(small)).await.expect("it is noted");
    assert_eq!(
        stored(&till, buyer).await.plan_version_id,
        large,
        "until then"
    );
    renew(&till, NOW.plus(DAY)).await;

    let now = stored(&till, buyer).await;
    assert_eq!(
        (now.plan_version_id, now.next_plan_version_id),
        (small, None)
    );
    let whole = (NOW.plus(DAY), NOW.plus(DAY * 8));
    assert_eq!(
        (now.period_start, now.period_end),
        whole,
        "a whole week is paid and given"
    );
    // 80 left of its own, less a week of the small one, and its allowance.
    assert_eq!(
        till.available(buyer.tenant, NOW.plus(DAY)).await,
        credits("83")
    );
    till.finish().await;
}

#[tokio::test]
async fn what_is_left_rolls_over_up_to_the_cap_once() {
    let till = Till::open().await;
    let rules = r#"{"rule":"rollover","cap":"3"}"#;
    let rolling = plan(&till, "rolling", 0, "5", rules).await;
    let buyer = till.buyer().await;
    let row = subscription::subscribe(&till.db, wish(buyer, rolling, Source::Operator), NOW)
        .await
        .expect("it is given");

    // Expiry runs first, and leaves to the renewal what may roll over.
    let expired = ledger::expire_due(&till.db, NOW.plus(DAY)).await;
    assert_eq!(expired.expect("it runs").lots, 0);
    let runs = join_all((0..8).map(|_| renew(&till, NOW.plus(DAY)))).await;
    assert_eq!(runs.iter().map(|run| run.renewed).sum::<u32>(), 1);
    assert_eq!(
        till.available(buyer.tenant, NOW.plus(DAY)).await,
        credits("8")
    );
    let expired = ledger::expire_due(&till.db, NOW.plus(DAY)).await;
    assert_eq!(
        expired.expect("it runs").credits,
        credits("2"),
        "beyond the cap"
    );
    renew(&till, NOW.plus(DAY * 2)).await;
    // Eight were left, and three of them move: what moved before counts with it.
    assert_eq!(
        till.available(buyer.tenant, NOW.plus(DAY * 2)).await,
        credits("8")
    );

    let start = NOW.plus(DAY).micros();
    let booked = till
        .booked(buyer.tenant, &format!("roll:{}:{start}", row.id))
        .await;
    assert!(booked.is_some());
    let lots = till.lots(buyer.tenant).await;
    let rolled: Vec<_> = lots
        .iter()
        .filter(|lot| lot.parent_grant_id.is_some())
        .collect();
    assert_eq!(rolled.len(), 2);
    assert!(rolled.iter().all(|lot| lot.amount == credits("3")));
    till.finish().await;
}

#[tokio::test]
async fn a_plan_that_ends_rolls_nothing_over() {
    let till = Till::open().await;
    let rules = r#"{"rule":"rollover","cap":"3"}"#;
    let rolling = plan(&till, "rolling", 500, "5", rules).await;
    let (buyer, row) = subscriber(&till, rolling, "20").await;
    let actor = Actor::Member(buyer.member);

    let whose = (buyer.tenant, row.id);
    subscription::end(&till.db, whose, End::AtPeriodEnd, actor, NOW)
        .await
        .expect("it stops");
    renew(&till, NOW.plus(DAY)).await;
    let expired = ledger::expire_due(&till.db, NOW.plus(DAY)).await;

    assert_eq!(expired.expect("it runs").credits, credits("5"));
    assert_eq!(
        till.available(buyer.tenant, NOW.plus(DAY)).await,
        credits("15")
    );
    till.finish().await;
}

#[tokio::test]
async fn a_renewal_that_is_not_paid_counts_for_nothing_and_is_tried_again_for_three_days() {
    let till = Till::open().await;
    let small = plan(&till, "small", 500, "8", "").await;
    let (late, lost) = (
        subscriber(&till, small, "5").await.0,
        subscriber(&till, small, "5").await.0,
    );
    let hour = Duration::from_hours(1);

    let first = renew(&till, NOW.plus(DAY)).await;
    assert_eq!(first, Renewed::default());
    assert_eq!(stored(&till, late).await.status, Status::PastDue);
    assert_eq!(
        till.available(late.tenant, NOW.plus(DAY)).await,
        Credits::ZERO
    );
    fund(&till, late, "6").await;
    let paid = renew(&till, NOW.plus(DAY + hour)).await;
    assert_eq!(paid.renewed, 1);
    assert_eq!(stored(&till, late).await.status, Status::Active);
    assert_eq!(
        till.available(late.tenant, NOW.plus(DAY + hour)).await,
        credits("9")
    );
    assert_eq!(stored(&till, lost).await.status, Status::PastDue);
    let given_up = renew(&till, NOW.plus(DAY * 4)).await;

    assert!(given_up.ended >= 1);
    assert_eq!(stored(&till, lost).await.status, Status::Ended);
    till.finish().await;
}

#[tokio::test]
async fn of_many_upgrades_at_once_one_is_paid() {
    let till = Till::open().await;
    let small = plan(&till, "small", 500, "8", "").await;
    let large = plan(&till, "large", 2_000, "40", "").await;
    let (buyer, row) = subscriber(&till, small, "1000").await;
    let noon = NOW.plus(HALF);

    let runs = join_all(
        (0..16).map(|_| subscription::upgrade(&till.db, change(buyer, &row, large), noon)),
    )
    .await;

    assert_eq!(runs.iter().filter(|run| run.is_ok()).count(), 1);
    assert_eq!(till.available(buyer.tenant, noon).await, credits("1011.5"));
    till.finish().await;
}

#[tokio::test]
async fn an_upgrade_beside_a_renewal_or_an_end_leaves_one_of_them() {
    for round in 0..8_u32 {
        let till = Till::open().await;
        let small = plan(&till, "small", 500, "8", r#"{"rule":"rollover","cap":"3"}"#).await;
        let large = plan(&till, "large", 2_000, "40", "").await;
        let (buyer, row) = subscriber(&till, small, "100").await;
        let last = row.period_end.minus(Duration::from_micros(1));
        let whose = (buyer.tenant, row.id);
        let actor = || Actor::Member(buyer.member);

        let (upgraded, ended, _) = tokio::join!(
            subscription::upgrade(&till.db, change(buyer, &row, large), last),
            async {
                let end = if round % 2 == 0 {
                    End::Now
                } else {
                    End::AtPeriodEnd
                };
                subscription::end(&till.db, whose, end, actor(), last).await
            },
            subscription::renew_due(&till.db, row.period_end),
        );

        let now = stored(&till, buyer).await;
        assert!(
            upgraded.is_ok() || matches!(upgraded, Err(ChangeError::NotFound | ChangeError::Clock)),
            "{upgraded:?}"
        );
        if ended.is_ok() {
            renew(&till, now.period_end).await;
            let now = stored(&till, buyer).await;
            assert_eq!(now.status, Status::Ended, "round {round}");
        }
        renew(&till, row.period_end.plus(DAY)).await;
        ledger::expire_due(&till.db, row.period_end.plus(DAY * 2))
            .await
            .expect("it runs");
        till.finish().await;
    }
}

#[tokio::test]
async fn cancelling_beside_a_renewal_stops_the_plan_or_its_next_period() {
    for _ in 0..8 {
        let till = Till::open().await;
        let small = plan(&till, "small", 500, "8", "").await;
        let (buyer, row) = subscriber(&till, small, "100").await;
        let whose = (buyer.tenant, row.id);
        let actor = Actor::Member(buyer.member);

        let (ended, _) = tokio::join!(
            subscription::end(&till.db, whose, End::AtPeriodEnd, actor, NOW),
            subscription::renew_due(&till.db, row.period_end),
        );

        let now = stored(&till, buyer).await;
        match now.status {
            // The renewal came first; then the new period is the last.
            Status::Canceling => assert!(ended.is_ok()),
            // The stop came first; or the clock of the stop was behind the period that had begun.
            Status::Ended | Status::Active => {}
            other => panic!("{other:?}"),
        }
        if ended.is_err() {
            assert_eq!(now.status, Status::Active);
        }
        till.finish().await;
    }
}

#[tokio::test]
async fn a_stop_can_be_taken_back_while_the_period_runs() {
    let till = Till::open().await;
    let small = plan(&till, "small", 500, "8", "").await;
    let (buyer, row) = subscriber(&till, small, "100").await;
    let whose = (buyer.tenant, row.id);
    let actor = || Actor::Member(buyer.member);

    subscription::end(&till.db, whose, End::AtPeriodEnd, actor(), NOW)
        .await
        .expect("it stops");
    subscription::resume(&till.db, whose, actor(), NOW)
        .await
        .expect("it goes on");
    assert_eq!(renew(&till, row.period_end).await.renewed, 1);
    subscription::end(&till.db, whose, End::AtPeriodEnd, actor(), row.period_end)
        .await
        .expect("it stops");
    let late = subscription::resume(&till.db, whose, actor(), row.period_end.plus(DAY)).await;

    assert!(matches!(late, Err(EndError::NotFound)));
    till.finish().await;
}

#[tokio::test]
async fn an_allowance_lasts_as_long_and_is_drawn_as_early_as_its_plan_says() {
    let till = Till::open().await;
    let rules = r#"{"rule":"allowance_lasts","days":3},{"rule":"stacking","priority":2}"#;
    let lasting = plan(&till, "lasting", 0, "5", rules).await;
    let buyer = till.buyer().await;
    subscription::subscribe(&till.db, wish(buyer, lasting, Source::Operator), NOW)
        .await
        .expect("it is given");

    let lots = till.lots(buyer.tenant).await;
    assert_eq!(lots[0].expires_at, Some(NOW.plus(DAY * 3)));
    assert_eq!(lots[0].priority, 2);
    renew(&till, NOW.plus(DAY)).await;
    assert_eq!(
        till.available(buyer.tenant, NOW.plus(DAY)).await,
        credits("10")
    );
    till.finish().await;
}

#[tokio::test]
async fn plans_are_asked_in_their_order() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let late = plan(
        &till,
        "late",
        0,
        "5",
        r#"{"rule":"stacking","priority":20}"#,
    )
    .await;
    let usual = plan(&till, "usual", 0, "5", "").await;
    let early = plan(
        &till,
        "early",
        0,
        "5",
        r#"{"rule":"stacking","priority":0}"#,
    )
    .await;
    for version in [late, usual, early] {
        subscription::subscribe(&till.db, wish(buyer, version, Source::Operator), NOW)
            .await
            .expect("it is given");
    }

    let current = subscription::current(&till.db, buyer.tenant, NOW).await;
    let names: Vec<String> = current
        .expect("they read")
        .into_iter()
        .map(|current| current.plan.name)
        .collect();

    assert_eq!(names, ["early", "usual", "late"]);
    till.finish().await;
}
