//! Limits of a tenant and of its credit line: which calls count, and how far they go.

use crate::scene::{Scene, counted, nanos};
use billing_core::{
    admission::HoldRefusal,
    cap::{Cap, Limit},
    plan::{Pattern, Quantity, Window},
};
use entity::{RuleId, cap::Bearer};
use uuid::Uuid;

fn month(bearer: Bearer, subject: Uuid, most: i64, models: &[&str]) -> Cap {
    let models = models.iter().map(|text| Pattern::parse(text));
    Cap {
        id: RuleId::fresh(),
        bearer,
        subject,
        limit: Limit::Quota {
            window: Window::Month,
            most: Quantity::Credits(nanos(most)),
            models: models.collect::<Result<_, _>>().expect("patterns"),
        },
    }
}

/// A wallet without credits, on a line of 1,000 that gives no more than `most` a month.
fn on_the_line(most: i64) -> Scene {
    let mut scene = Scene::empty();
    scene.row.credit_line = nanos(1_000);
    let wallet = scene.row.id.uuid();
    scene
        .caps
        .push(month(Bearer::CreditLine, wallet, most, &[]));
    scene
}

#[test]
fn a_limit_counts_the_models_it_names_and_without_names_all() {
    let refused = |models: &[&str]| {
        let mut scene = Scene::empty().with_lot(500, None);
        let tenant = scene.row.tenant_id.uuid();
        scene.caps.push(month(Bearer::Tenant, tenant, 5, models));
        let held = scene.hold(&mut scene.wallet(), 10, 10);
        assert!(
            matches!(held, Ok(_) | Err(HoldRefusal::QuotaExhausted { .. })),
            "{held:?}"
        );
        held.is_err()
    };

    assert!(refused(&[]));
    assert!(refused(&["gpt-5"]));
    assert!(refused(&["claude-*", "gpt-*"]));
    assert!(!refused(&["claude-*"]));
}

#[test]
fn a_limit_that_is_full_is_told_by_the_window_that_is_whole_again_last() {
    let mut scene = Scene::empty().with_lot(500, None);
    let tenant = scene.row.tenant_id.uuid();
    for (window, most) in [(Window::Day, 3), (Window::Month, 5), (Window::Day, 4)] {
        let mut cap = month(Bearer::Tenant, tenant, most, &[]);
        if let Limit::Quota { window: which, .. } = &mut cap.limit {
            *which = window;
        }
        scene.caps.push(cap);
    }

    let held = scene.hold(&mut scene.wallet(), 10, 10);

    let Err(HoldRefusal::QuotaExhausted { limit, .. }) = held else {
        panic!("{held:?}");
    };
    assert_eq!(limit, Quantity::Credits(nanos(5)));
}

#[test]
fn a_line_gives_what_its_month_has_left() {
    let scene = on_the_line(60);
    let mut wallet = scene.wallet();

    let first = scene.hold(&mut wallet, 40, 40).expect("held");
    let second = scene.hold(&mut wallet, 40, 10).expect("held in part");
    let third = scene.hold(&mut wallet, 1, 1);

    assert_eq!((first.1, second.1), (40, 20));
    assert!(third.is_err(), "{third:?}");
}

#[test]
fn a_hold_grows_on_the_line_by_what_its_month_has_left() {
    let scene = on_the_line(60);
    let mut wallet = scene.wallet();
    let (id, _) = scene.hold(&mut wallet, 10, 10).expect("held");

    assert_eq!(scene.grow(&mut wallet, id, 100, 1), Some(50));
    assert_eq!(scene.grow(&mut wallet, id, 1, 1), None);
}

#[test]
fn a_month_of_the_line_counts_what_the_line_gives_and_not_what_lots_give() {
    let mut scene = Scene::empty().with_lot(30, None);
    scene.row.credit_line = nanos(1_000);
    let line = scene.row.id.uuid();
    scene.caps.push(month(Bearer::CreditLine, line, 60, &[]));
    let mut wallet = scene.wallet();

    let (id, held) = scene.hold(&mut wallet, 35, 35).expect("held");
    let grown = scene.grow(&mut wallet, id, 20, 20);

    assert_eq!((held, grown), (35, Some(20)));
    let changes = wallet
        .take_changes(crate::scene::NOW)
        .expect("rows that agree");
    assert_eq!(counted(&changes), [(line, 0, 25)]);
}
