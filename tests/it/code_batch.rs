//! Promises of making redemption codes.

use crate::support::till::{NOW, Till};
use billing::code::{self, CodeKeys, DisableError, Gives, NewBatch};
use entity::{CodeBatchId, Credits, PersonId, PlanVersionId, Platform};
use std::collections::BTreeSet;
use std::time::Duration;

fn keys() -> CodeKeys {
    CodeKeys::new(&[7; 32]).expect("a key")
}

fn batch() -> NewBatch {
    NewBatch {
        id: CodeBatchId::fresh(),
        name: "Autumn".to_owned(),
        gives: Gives::Credits {
            amount: Credits::from_nanos(5),
            valid_days: None,
        },
        size: 3,
        max_uses: 1,
        most_per_member: None,
        starts_at: None,
        ends_at: None,
        operator: PersonId::fresh(),
    }
}

#[tokio::test]
async fn codes_are_shown_once_and_kept_as_digests_only() {
    let till = Till::open().await;
    let order = NewBatch {
        size: 450,
        ..batch()
    };

    let made = code::create_batch(&till.db, &keys(), order, NOW)
        .await
        .expect("a batch");

    let plain: BTreeSet<String> = made
        .codes
        .iter()
        .map(code::RedemptionCode::expose)
        .collect();
    assert_eq!(plain.len(), 450);
    let rows = entity::code::Entity::every()
        .all(till.db.read())
        .await
        .expect("reads");
    assert_eq!(rows.len(), 450);
    for row in &rows {
        assert_eq!(row.digest.len(), 32);
        assert!(
            !plain
                .iter()
                .any(|code| row.digest == code.as_bytes() || row.hint.len() != 5)
        );
    }
    let listed = code::list_batches(&till.db).await.expect("reads");
    assert_eq!((listed[0].batch.id, listed[0].used), (made.batch.id, 0));
    till.finish().await;
}

fn with(change: impl FnOnce(&mut NewBatch)) -> NewBatch {
    let mut order = batch();
    change(&mut order);
    order
}

#[tokio::test]
async fn a_batch_that_makes_no_sense_is_refused() {
    let till = Till::open().await;
    let credits = |nanos, valid_days| Gives::Credits {
        amount: Credits::from_nanos(nanos),
        valid_days,
    };
    let plan = |periods| Gives::Plan {
        version: PlanVersionId::fresh(),
        periods,
    };
    let promotion = Gives::Promotion {
        amount: Credits::from_nanos(1),
        valid_days: 0,
    };
    let hours = |hours| Some(NOW.plus(Duration::from_hours(hours)));
    let name = "a batch needs a name of at most 80 characters";
    let size = "a batch has between 1 and 10000 codes";
    let amount = "the credits must be above zero and within what a wallet holds";
    let days = "credits are valid for between 1 and 3650 days";
    let dates = "the end must come after the start and after now";
    let table = [
        (with(|batch| batch.name = "  ".to_owned()), name),
        (with(|batch| batch.name = "x".repeat(81)), name),
        (with(|batch| batch.size = 0), size),
        (with(|batch| batch.size = 10_001), size),
        (
            with(|batch| batch.max_uses = 0),
            "a code has between 1 and 1000000 uses",
        ),
        (with(|batch| batch.gives = credits(0, None)), amount),
        (with(|batch| batch.gives = credits(-1, None)), amount),
        (with(|batch| batch.gives = credits(i64::MAX, None)), amount),
        (with(|batch| batch.gives = credits(1, Some(0))), days),
        (with(|batch| batch.gives = promotion), days),
        (
            with(|batch| batch.gives = plan(0)),
            "a plan is given for between 1 and 120 periods",
        ),
        (
            with(|batch| batch.gives = plan(1)),
            "the plan version does not exist",
        ),
        (with(|batch| batch.ends_at = Some(NOW)), dates),
        (
            with(|batch| (batch.starts_at, batch.ends_at) = (hours(2), hours(1))),
            dates,
        ),
    ];

    for (order, message) in table {
        let refused = code::create_batch(&till.db, &keys(), order, NOW).await;
        assert_eq!(refused.expect_err("refused").to_string(), message);
    }
    let listed = code::list_batches(&till.db).await.expect("reads");
    assert_eq!(listed.len(), 0);
    till.finish().await;
}

#[tokio::test]
async fn a_batch_is_switched_off_once() {
    let till = Till::open().await;
    let made = code::create_batch(&till.db, &keys(), batch(), NOW)
        .await
        .expect("a batch");
    let disable = || {
        code::disable_batch(
            &till.db,
            made.batch.id,
            PersonId::fresh(),
            "leaked".to_owned(),
            NOW,
        )
    };

    assert!(disable().await.is_ok());
    assert!(matches!(disable().await, Err(DisableError::NotFound)));
    let trail = entity::audit_trail::Entity::every()
        .all(till.db.read())
        .await
        .expect("reads");
    let mut actions: Vec<_> = trail
        .iter()
        .map(|entry| (entry.action.as_str(), entry.reason.as_deref()))
        .collect();
    actions.sort_unstable();
    assert_eq!(
        actions,
        [
            ("code_batch.create", None),
            ("code_batch.disable", Some("leaked"))
        ]
    );
    till.finish().await;
}
