//! Which refusals pass by themselves, and which asks can wait.

use crate::scene::{NOW, Scene, nanos};
use billing_core::{
    admission::{Answer, Ask, EndRefusal, Ending, HoldRefusal, Note, Whose},
    plan::Quantity,
};
use entity::{DbErr, HoldId, KeyId, TenantId, usage};
use std::sync::Arc;

fn short(needed: i64, available: i64, held: i64) -> HoldRefusal {
    HoldRefusal::InsufficientCredits {
        needed: nanos(needed),
        available: nanos(available),
        held: nanos(held),
    }
}

/// A window of a hundred: used in all, held of that, needed.
fn exhausted(used: i64, held: i64, needed: i64) -> [HoldRefusal; 2] {
    let [limit, used, held, needed] =
        [100, used, held, needed].map(|units| Quantity::Credits(nanos(units)));
    let (window, resets_at) = ("day".to_owned(), NOW);
    [
        HoldRefusal::QuotaExhausted {
            of: Whose::Plan,
            window: window.clone(),
            limit,
            used,
            held,
            needed,
            resets_at,
        },
        HoldRefusal::SpendCapReached {
            of: Whose::Key,
            window,
            limit,
            used,
            held,
            needed,
            resets_at,
        },
    ]
}

#[test]
fn a_refusal_passes_soon_where_running_calls_are_all_that_is_in_the_way() {
    assert!(HoldRefusal::ConcurrencyLimit { limit: 1 }.passes_soon());
    assert!(short(100, 40, 60).passes_soon(), "to the nano");
    assert!(!short(100, 40, 59).passes_soon());
    assert!(!short(100, 100, 0).passes_soon(), "nothing runs");
    assert!(!short(100, 10, 0).passes_soon());
    for (refusals, passes) in [
        (exhausted(90, 30, 40), true),
        (exhausted(90, 30, 41), false),
        (exhausted(90, 0, 10), false),
        (exhausted(60, 0, 40), false),
    ] {
        for refusal in refusals {
            assert_eq!(refusal.passes_soon(), passes, "{refusal:?}");
        }
    }
    assert!(!HoldRefusal::InDebt { debt: nanos(1) }.passes_soon());
    assert!(!HoldRefusal::Overloaded.passes_soon());
}

#[test]
fn notes_wait_and_whoever_waits_for_an_answer_does_not() {
    let (tenant, id) = (TenantId::fresh(), HoldId::fresh());
    let hold = Ask::Hold(Arc::new(Scene::empty().order(1, 1)));
    let end = Ask::End {
        tenant,
        id,
        ending: Ending::Void {
            reason: usage::Finish::UpstreamError,
            now: NOW,
        },
    };
    let note = Ask::Note {
        tenant,
        id,
        note: Note {
            dispatched_at: NOW,
            charge: nanos(0),
            output: 0,
            now: NOW,
            expires_at: NOW,
        },
    };
    let touch = Ask::Touch {
        key: KeyId::fresh(),
        now: NOW,
    };

    assert!(note.can_wait() && touch.can_wait());
    assert!(!hold.can_wait() && !end.can_wait());
    assert_eq!((end.tenant(), touch.tenant()), (Some(tenant), None));
    let fault = || DbErr::Custom("gone".to_owned());
    assert!(matches!(
        hold.failed(fault()),
        Answer::Held(Err(HoldRefusal::Store(_)))
    ));
    assert!(matches!(
        end.failed(fault()),
        Answer::Ended(Err(EndRefusal::Store(_)))
    ));
    assert!(matches!(note.failed(fault()), Answer::Noted));
}
