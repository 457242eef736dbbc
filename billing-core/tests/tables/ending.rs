//! Endings at their edges, and what is written of a call that nobody ended.

use crate::scene::{NOW, Scene, TTL, nanos, settlement};
use billing_core::{
    admission::{HoldRefusal, Note},
    cap::{Cap, Limit},
    rating::MAX_TOKENS,
};
use entity::{ChannelId, RuleId, cap::Bearer, usage};
use std::time::Duration;

#[test]
fn a_hold_lives_to_its_last_moment_and_not_through_it() {
    let scene = Scene::empty().with_lot(100, None);
    let mut wallet = scene.wallet();
    let (id, _) = scene.hold(&mut wallet, 10, 10).expect("held");
    let end = NOW.plus(TTL);

    let early = wallet.expire(id, "gpt-5", end.minus(Duration::from_micros(1)));
    let late = wallet.expire(id, "gpt-5", end);

    assert_eq!(early.expect("an answer"), None);
    let late = late.expect("an answer").expect("an end");
    assert_eq!(
        (late.outcome, late.charge),
        (usage::Outcome::Expired, nanos(0))
    );
}

#[test]
fn a_call_that_nobody_ended_is_written_as_its_last_note_says() {
    let scene = Scene::empty().with_lot(100, None);
    let mut wallet = scene.wallet();
    let mut order = scene.order(50, 50);
    order.channel = Some(ChannelId::fresh());
    wallet
        .hold(&order, &scene.caller, &scene.offer)
        .expect("held");
    let note = Note {
        dispatched_at: NOW,
        charge: nanos(30),
        output: 7,
        now: NOW,
        expires_at: NOW.plus(TTL),
    };
    wallet.checkpoint(order.id, note);

    wallet
        .expire(order.id, "gpt-5", NOW.plus(TTL))
        .expect("an answer");

    let changes = wallet.take_changes(NOW).expect("rows that agree");
    let [call] = changes.usages.as_slice() else {
        panic!("one call ended");
    };
    assert_eq!(
        (call.outcome, call.quality, call.finish),
        (
            usage::Outcome::Expired,
            usage::Quality::Checkpoint,
            usage::Finish::Lost
        )
    );
    assert_eq!(
        (call.input_tokens, call.output_tokens, call.charge),
        (11, 7, nanos(30))
    );
    assert_eq!(call.channel_id, order.channel);
    assert_eq!((call.started_at, call.ended_at), (NOW, NOW.plus(TTL)));
}

#[test]
fn a_call_that_ends_makes_room_for_the_next_one_of_its_key() {
    let mut scene = Scene::empty().with_lot(100, None);
    let subject = scene.key.uuid();
    scene.caps.push(Cap {
        id: RuleId::fresh(),
        bearer: Bearer::Key,
        subject,
        limit: Limit::OpenCalls(1),
    });
    let mut wallet = scene.wallet();
    wallet.set_running(subject, 0);

    let (id, _) = scene.hold(&mut wallet, 10, 10).expect("held");
    let second = scene.hold(&mut wallet, 10, 10);
    wallet
        .settle(id, &settlement(10), "gpt-5")
        .expect("settled");
    let third = scene.hold(&mut wallet, 10, 10);

    assert!(
        matches!(second, Err(HoldRefusal::ConcurrencyLimit { limit: 1 })),
        "{second:?}"
    );
    third.expect("the first has ended");
}

#[test]
fn an_order_with_as_many_tokens_as_any_model_moves_is_in_range_and_one_more_is_not() {
    let scene = Scene::empty().with_lot(100, None);
    let asked = |change: fn(&mut billing_core::admission::HoldOrder, u64), tokens| {
        let mut order = scene.order(10, 10);
        change(&mut order, tokens);
        scene
            .wallet()
            .hold(&order, &scene.caller, &scene.offer)
            .is_ok()
    };

    let places: [fn(&mut billing_core::admission::HoldOrder, u64); 3] = [
        |order, tokens| order.input_tokens = tokens,
        |order, tokens| order.output_cap = tokens,
        |order, tokens| order.expected_output = Some(tokens),
    ];
    for change in places {
        assert!(asked(change, MAX_TOKENS));
        assert!(!asked(change, MAX_TOKENS + 1));
    }
    assert!(!asked(|order, _| order.multiplier_ppm = -1, 0));
    assert!(asked(|order, _| order.multiplier_ppm = 0, 0));
    let most = |amount| scene.hold(&mut scene.wallet(), amount, 1).is_ok();
    assert!(most(entity::Credits::MAX.nanos()));
    assert!(!most(entity::Credits::MAX.nanos() + 1));
}

#[test]
fn a_settlement_as_large_as_one_may_be_is_in_range_and_a_nano_more_is_not() {
    let ends = |charge, tokens| {
        let scene = Scene::empty().with_lot(100, None);
        let mut wallet = scene.wallet();
        let (id, _) = scene.hold(&mut wallet, 10, 10).expect("held");
        let mut settlement = settlement(charge);
        settlement.tokens.output = tokens;
        wallet.settle(id, &settlement, "gpt-5").is_ok()
    };

    assert!(ends(1_000_000_000_000_000, MAX_TOKENS));
    assert!(!ends(1_000_000_000_000_001, 0));
    assert!(!ends(-1, 0));
    assert!(!ends(1, MAX_TOKENS + 1));
}

#[test]
fn a_hold_grows_by_something_and_by_no_more_than_it_asks() {
    let scene = Scene::empty().with_lot(100, None);
    let grown = |extra, least| {
        let mut wallet = scene.wallet();
        let (id, _) = scene.hold(&mut wallet, 10, 10).expect("held");
        scene.grow(&mut wallet, id, extra, least)
    };

    assert_eq!(grown(5, 5), Some(5));
    assert_eq!(grown(1, 1), Some(1));
    assert_eq!(grown(0, 0), None);
    assert_eq!(grown(5, 0), None);
    assert_eq!(grown(5, -1), None);
    assert_eq!(grown(5, 6), None);
    let most = entity::Credits::MAX.nanos();
    assert_eq!(grown(most, 1), Some(90));
    assert_eq!(grown(most + 1, 1), None);
}
