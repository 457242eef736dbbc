//! Plans with windows: what one that pays gives, what one that governs lets through, and whose no is told.

use crate::scene::{NOW, Scene, counted, nanos, settlement};
use billing_core::admission::HoldRefusal;
use entity::{SubscriptionId, key::PayOrder, usage};

const HUNDRED_A_DAY: &str =
    r#"{"rule":"quota","name":"daily","window":"day","limit":{"credits":"0.0000001"}}"#;
const TWO_CALLS: &str = r#"{"rule":"quota","name":"calls","window":"day","limit":{"requests":2}}"#;

#[test]
fn a_plan_pays_as_far_as_its_window_goes_and_the_rest_of_the_wallet_pays_on() {
    let plan = SubscriptionId::fresh();
    let scene = Scene::empty()
        .with_lot(200, Some(plan))
        .with_lot(50, None)
        .with_plan(plan, true, HUNDRED_A_DAY);
    let mut wallet = scene.wallet();

    let (id, held) = scene.hold(&mut wallet, 120, 120).expect("held");
    let parts: Vec<i64> = wallet
        .open_hold(id)
        .expect("open")
        .allocations
        .iter()
        .map(|part| part.amount.nanos())
        .collect();
    assert_eq!((held, parts), (120, vec![100, 20]));
    assert_eq!(
        scene.grow(&mut wallet, id, 10, 10),
        Some(10),
        "its window is full, and the rest of the wallet grows"
    );
    wallet
        .settle(id, &settlement(130), "gpt-5")
        .expect("settled");

    let changes = wallet.take_changes(NOW).expect("rows that agree");
    assert_eq!(
        counted(&changes),
        [(plan.uuid(), 100, 0)],
        "its window counts what its lots gave"
    );
}

#[test]
fn a_plan_that_pays_a_part_counts_its_part_of_what_grows() {
    let plan = SubscriptionId::fresh();
    let scene = Scene::empty()
        .with_lot(30, Some(plan))
        .with_lot(50, None)
        .with_plan(plan, true, HUNDRED_A_DAY);
    let mut wallet = scene.wallet();

    let (id, _) = scene.hold(&mut wallet, 20, 20).expect("held");
    assert_eq!(scene.grow(&mut wallet, id, 30, 1), Some(30));

    let changes = wallet.take_changes(NOW).expect("rows that agree");
    assert_eq!(
        counted(&changes),
        [(plan.uuid(), 0, 30)],
        "ten more of its lot, twenty of another"
    );
}

#[test]
fn a_plan_that_governs_counts_all_of_a_call_and_lets_no_more_through() {
    let plan = SubscriptionId::fresh();
    let scene = Scene::empty()
        .with_lot(500, None)
        .with_plan(plan, false, HUNDRED_A_DAY);
    let mut wallet = scene.wallet();

    let (id, held) = scene.hold(&mut wallet, 80, 80).expect("held");
    assert_eq!(held, 80);
    assert_eq!(
        scene.grow(&mut wallet, id, 50, 1),
        Some(20),
        "up to its window"
    );
    assert_eq!(scene.grow(&mut wallet, id, 1, 1), None);
    assert!(matches!(
        scene.hold(&mut wallet, 10, 10),
        Err(HoldRefusal::QuotaExhausted { .. })
    ));
    wallet
        .settle(id, &settlement(130), "gpt-5")
        .expect("settled");

    let changes = wallet.take_changes(NOW).expect("rows that agree");
    assert_eq!(
        counted(&changes),
        [(plan.uuid(), 130, 0)],
        "the over-run too"
    );
}

#[test]
fn a_window_exactly_full_lets_a_hold_grow_by_exactly_the_rest() {
    let plan = SubscriptionId::fresh();
    let scene = Scene::empty()
        .with_lot(500, None)
        .with_plan(plan, false, HUNDRED_A_DAY);
    let mut wallet = scene.wallet();
    let (id, _) = scene.hold(&mut wallet, 80, 80).expect("held");

    assert_eq!(scene.grow(&mut wallet, id, 20, 20), Some(20));
}

#[test]
fn calls_are_counted_by_the_call_and_one_that_cost_nothing_is_none() {
    let plan = SubscriptionId::fresh();
    let scene = Scene::empty()
        .with_lot(500, None)
        .with_plan(plan, false, TWO_CALLS);
    let mut wallet = scene.wallet();

    let (voided, _) = scene.hold(&mut wallet, 10, 10).expect("held");
    let (served, _) = scene.hold(&mut wallet, 10, 10).expect("held");
    assert!(scene.hold(&mut wallet, 10, 10).is_err(), "two run");
    assert_eq!(
        scene.grow(&mut wallet, served, 5, 5),
        Some(5),
        "to grow is no other call"
    );
    wallet
        .void(voided, usage::Finish::UpstreamError, NOW)
        .expect("voided");
    wallet
        .settle(served, &settlement(3), "gpt-5")
        .expect("settled");
    let (again, _) = scene.hold(&mut wallet, 10, 10).expect("one was none");
    assert!(scene.hold(&mut wallet, 10, 10).is_err());
    wallet
        .settle(again, &settlement(0), "gpt-5")
        .expect("settled");

    let changes = wallet.take_changes(NOW).expect("rows that agree");
    assert_eq!(counted(&changes), [(plan.uuid(), 2, 0)]);
    assert_eq!(
        changes.usage_windows.len(),
        2,
        "what used nothing of a window is not written"
    );
}

#[test]
fn a_plans_no_is_told_where_its_allowance_would_have_paid() {
    let plan = SubscriptionId::fresh();
    let blocks = r#"{"rule":"models_blocked","patterns":["gpt-*"]}"#;
    let scene = |own: i64, allowance: i64| {
        let scene = Scene::empty().with_lot(allowance, Some(plan));
        let scene = if own > 0 {
            scene.with_lot(own, None)
        } else {
            scene
        };
        scene.with_plan(plan, true, blocks)
    };
    let refusal = |own, allowance, asked| {
        let scene = scene(own, allowance);
        scene
            .hold(&mut scene.wallet(), asked, asked)
            .expect_err("refused")
    };

    let by_plan = |refusal| matches!(refusal, HoldRefusal::ModelNotInPlan { .. });
    assert!(by_plan(refusal(0, 5, 100)), "nothing else is there");
    assert!(
        by_plan(refusal(10, 90, 100)),
        "with it there would be enough"
    );
    assert!(
        !by_plan(refusal(10, 89, 100)),
        "without a nano of enough, credits are what is missing"
    );
    let open = Scene::empty()
        .with_lot(5, Some(plan))
        .with_plan(plan, true, "");
    let short = open
        .hold(&mut open.wallet(), 100, 100)
        .expect_err("refused");
    assert!(
        matches!(short, HoldRefusal::InsufficientCredits { .. }),
        "{short:?}"
    );
}

#[test]
fn a_lot_that_nothing_happened_to_is_not_written() {
    let scene = Scene::empty().with_lot(100, None).with_lot(100, None);
    let mut wallet = scene.wallet();

    scene.hold(&mut wallet, 10, 10).expect("held");

    assert_eq!(
        wallet
            .take_changes(NOW)
            .expect("rows that agree")
            .lots
            .len(),
        1
    );
}

#[test]
fn a_key_says_whether_plans_or_the_rest_of_the_wallet_pay_for_its_calls() {
    let plan = SubscriptionId::fresh();
    let held = |pay_order| {
        let mut scene = Scene::empty()
            .with_lot(30, Some(plan))
            .with_lot(50, None)
            .with_plan(plan, true, "");
        scene.row.credit_line = nanos(20);
        scene.caller.pay_order = pay_order;
        let mut wallet = scene.wallet();
        let (id, held) = scene.hold(&mut wallet, 1_000, 1).expect("held");
        let more = scene.grow(&mut wallet, id, 1, 1);
        (held, more)
    };

    assert_eq!(held(PayOrder::PlanThenWallet), (30 + 50 + 20, None));
    assert_eq!(held(PayOrder::WalletOnly), (50 + 20, None));
    assert_eq!(held(PayOrder::PlanOnly), (30, None));
}

#[test]
fn a_plan_counts_what_its_lots_give_and_not_what_the_call_holds() {
    let plan = SubscriptionId::fresh();
    let scene = Scene::empty()
        .with_lot(30, Some(plan))
        .with_lot(50, None)
        .with_plan(plan, true, HUNDRED_A_DAY);
    let mut wallet = scene.wallet();

    scene.hold(&mut wallet, 60, 60).expect("held");

    let changes = wallet.take_changes(NOW).expect("rows that agree");
    assert_eq!(counted(&changes), [(plan.uuid(), 0, 30)]);
}
