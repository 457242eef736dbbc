//! What a wallet in memory tells of itself.

use crate::scene::{NOW, Scene, settlement};
use entity::SubscriptionId;

const HUNDRED_A_DAY: &str =
    r#"{"rule":"quota","name":"daily","window":"day","limit":{"credits":"0.0000001"}}"#;

#[test]
fn each_drawing_of_a_call_has_its_number() {
    let scene = Scene::empty().with_lot(100, None);
    let mut wallet = scene.wallet();
    let (id, _) = scene.hold(&mut wallet, 10, 10).expect("held");
    let _ = scene.grow(&mut wallet, id, 5, 5).expect("grown");
    let _ = scene.grow(&mut wallet, id, 5, 5).expect("grown again");

    let changes = wallet.clone().take_changes(NOW).expect("rows that agree");
    let drawn: Vec<_> = changes
        .hold_allocations
        .iter()
        .map(|part| (part.draw, part.amount.nanos()))
        .collect();
    assert_eq!(drawn, [(1, 10), (2, 5), (3, 5)]);

    wallet
        .settle(id, &settlement(30), "gpt-5")
        .expect("settled");
    let changes = wallet.take_changes(NOW).expect("rows that agree");
    let paid: Vec<_> = changes
        .usage_allocations
        .iter()
        .map(|part| (part.draw, part.amount.nanos()))
        .collect();
    assert_eq!(paid, [(1, 10), (2, 5), (3, 5), (4, 10)]);
}

#[test]
fn a_wallet_tells_its_plans_what_runs_reserves_and_how_calls_ended() {
    let plan = SubscriptionId::fresh();
    let scene = Scene::empty()
        .with_lot(500, None)
        .with_plan(plan, false, HUNDRED_A_DAY);
    let mut wallet = scene.wallet();

    let (id, _) = scene.hold(&mut wallet, 40, 40).expect("held");
    let plans: Vec<_> = wallet.plans().iter().map(|plan| plan.id).collect();
    let reserved: Vec<_> = wallet
        .open_windows()
        .map(|window| (window.subject_id, window.reserved))
        .collect();
    let running = wallet.ended(id);
    wallet.settle(id, &settlement(7), "gpt-5").expect("settled");
    let ended = wallet.ended(id).expect("ended");

    assert_eq!(plans, [plan]);
    assert_eq!(reserved, [(plan.uuid(), 40)]);
    assert!(running.is_none());
    assert_eq!(ended.charge.nanos(), 7);
    assert_eq!(wallet.open_windows().count(), 0);
}
