//! Promises of the audit of the night: it runs once a night, and what it finds broken reaches the operators until a clean
//! one clears it.

use crate::support::house::House;
use billing::audit::nightly;
use entity::{Database, Platform, audit_trail};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, QueryFilter};
use std::time::Duration;

async fn run(db: &Database, statement: &'static str) {
    let done: Result<(), DbErr> = db
        .write(move |tx| {
            Box::pin(async move { tx.execute_unprepared(statement).await.map(|_| ()) })
        })
        .await;
    done.expect("the change is made");
}

async fn said(db: &Database, action: &str) -> usize {
    audit_trail::Entity::every()
        .filter(audit_trail::Column::Action.eq(action))
        .all(db.read())
        .await
        .expect("the trail reads")
        .len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_audit_of_the_night_finds_reaches_the_operators_until_it_is_mended() {
    let house = House::open().await;
    let stage = house.furnish().await;
    let db = house.db().clone();
    let night = Duration::from_hours(24);
    house.work().await;
    let first = nightly::last(&db).await.expect("it reads").expect("it ran");
    assert_eq!(first.broken, Vec::<String>::new());

    run(&db, "UPDATE wallet SET posted = posted + 1").await;
    house.work().await;
    let again = nightly::last(&db).await.expect("it reads").expect("it ran");
    assert_eq!(again, first, "once a night");
    house.clock.advance(night);
    house.work().await;
    let mut operator = house.signed_in(stage.operator).await;

    let found = nightly::last(&db).await.expect("it reads").expect("it ran");
    assert_eq!(found.broken.len(), 1, "{:?}", found.broken);
    assert!(
        found.broken[0].starts_with("I3: wallet.posted"),
        "{:?}",
        found.broken
    );
    assert_eq!(said(&db, "audit.broken").await, 1);
    house.work().await;
    let letters = std::fs::read_dir(house.file("mail")).map(Iterator::count);
    assert!(letters.unwrap_or(0) > 0, "an operator gets a letter");
    let overview = operator.open("/console/operator").await;
    assert!(
        overview.text.contains("The books do not add up")
            && overview.text.contains("I3: wallet.posted")
    );

    run(&db, "UPDATE wallet SET posted = posted - 1").await;
    house.clock.advance(night);
    house.work().await;
    let mut operator = house.signed_in(stage.operator).await;
    let overview = operator.open("/console/operator").await;
    assert!(!overview.text.contains("The books do not add up"));
    assert_eq!(said(&db, "audit.mended").await, 1);
    house.finish().await;
}
