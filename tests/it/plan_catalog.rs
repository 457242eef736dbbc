//! Promises of putting plans on offer.

use crate::support::till::{NOW, Till};
use billing::plan::{self, NewPlan, PlanDocument, PlanFault, SaveError, Terms};
use entity::plan_version::Period;
use entity::{Credits, PersonId, PlanId};
use futures_util::future::join_all;

type Expected = fn(&SaveError) -> bool;

fn terms(rules: &str) -> Terms {
    let document = PlanDocument::from_json(&format!(r#"{{"version":1,"rules":[{rules}]}}"#));
    Terms {
        price_minor: 900,
        currency: "usd".to_owned(),
        period: Period::Month,
        allowance: Credits::from_nanos(5),
        document: document.expect("a document"),
    }
}

fn new(name: &str, terms: Terms) -> NewPlan {
    NewPlan {
        id: PlanId::fresh(),
        name: name.to_owned(),
        title: "A plan".to_owned(),
        description: String::new(),
        terms,
        operator: PersonId::fresh(),
    }
}

#[tokio::test]
async fn a_change_of_a_plan_is_a_new_version_and_the_old_one_stays() {
    let till = Till::open().await;
    let first = plan::create(&till.db, new("starter", terms("")), NOW)
        .await
        .expect("a plan");

    let rules = r#"{"rule":"models_blocked","patterns":["gpt-5"]}"#;
    let second = plan::publish_version(
        &till.db,
        first.plan_id,
        terms(rules),
        PersonId::fresh(),
        NOW,
    )
    .await
    .expect("a version");

    assert_eq!((first.version, second.version), (1, 2));
    let versions = plan::versions(&till.db, first.plan_id)
        .await
        .expect("reads");
    assert_eq!(versions, [second.clone(), first]);
    let listed = plan::list(&till.db).await.expect("reads");
    assert_eq!(listed[0].version, second);
    till.finish().await;
}

#[tokio::test]
async fn operators_who_publish_at_once_get_a_version_each() {
    let till = Till::open().await;
    let first = plan::create(&till.db, new("starter", terms("")), NOW)
        .await
        .expect("a plan");

    let publish =
        || plan::publish_version(&till.db, first.plan_id, terms(""), PersonId::fresh(), NOW);
    let published = join_all((0..8).map(|_| publish())).await;

    let mut numbers: Vec<i64> = published
        .into_iter()
        .map(|version| version.expect("a version").version)
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3, 4, 5, 6, 7, 8, 9]);
    till.finish().await;
}

#[tokio::test]
async fn a_plan_that_contradicts_itself_is_refused_and_the_clause_named() {
    let till = Till::open().await;
    let rules = r#"{"rule":"models_allowed","patterns":["gpt-5"]},{"rule":"models_blocked","patterns":["gpt-*"]}"#;

    let refused = plan::create(&till.db, new("starter", terms(rules)), NOW)
        .await
        .expect_err("refused");

    assert!(matches!(
        refused,
        SaveError::Rules(PlanFault::AllowedAndBlocked { .. })
    ));
    assert_eq!(
        refused.to_string(),
        "rule 1 (models_allowed) allows `gpt-5`, which rule 2 (models_blocked) blocks altogether"
    );
    assert_eq!(plan::list(&till.db).await.expect("reads").len(), 0);
    till.finish().await;
}

#[tokio::test]
async fn a_name_a_price_and_an_allowance_have_bounds() {
    let till = Till::open().await;
    plan::create(&till.db, new("taken", terms("")), NOW)
        .await
        .expect("a plan");
    let allowance = |nanos| Terms {
        allowance: Credits::from_nanos(nanos),
        ..terms("")
    };
    let price = |price_minor, currency: &str| Terms {
        price_minor,
        currency: currency.to_owned(),
        ..terms("")
    };
    let table: Vec<(NewPlan, Expected)> = vec![
        (new("taken", terms("")), |e| {
            matches!(e, SaveError::NameTaken)
        }),
        (new("No Name", terms("")), |e| matches!(e, SaveError::Name)),
        (new("", terms("")), |e| matches!(e, SaveError::Name)),
        (
            NewPlan {
                title: " ".to_owned(),
                ..new("a", terms(""))
            },
            |e| matches!(e, SaveError::Title),
        ),
        (new("a", price(-1, "usd")), |e| {
            matches!(e, SaveError::Price)
        }),
        (new("a", price(1, "USD")), |e| matches!(e, SaveError::Price)),
        (new("a", allowance(-1)), |e| {
            matches!(e, SaveError::Allowance)
        }),
        (new("a", allowance(i64::MAX)), |e| {
            matches!(e, SaveError::Allowance)
        }),
    ];

    for (order, expected) in table {
        let refused = plan::create(&till.db, order, NOW)
            .await
            .expect_err("refused");
        assert!(expected(&refused), "{refused}");
    }
    till.finish().await;
}
