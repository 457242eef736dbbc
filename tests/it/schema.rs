//! Promises of the schema.

use crate::support::database::TestDatabase;
use entity::{Platform, Timestamp, audit_trail, lease, outbox, setting, tenant};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryResult, Set, Statement,
};
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);

#[tokio::test]
async fn the_schema_goes_up_and_down_and_up_again() {
    let database = TestDatabase::empty().await;

    migration::up(&database.url).await.expect("up");
    migration::up(&database.url)
        .await
        .expect("up twice changes nothing");
    migration::down(&database.url).await.expect("down");
    migration::up(&database.url).await.expect("up again");

    assert_eq!(migration::pending(&database.url).await.expect("pending"), 0);
    database.drop().await;
}

#[tokio::test]
async fn every_table_of_the_schema_reads_as_its_entity() {
    let database = TestDatabase::migrated().await;
    let db = database.open().await;
    let mut read = 0;

    macro_rules! reads {
        ($($table:ident),+ $(,)?) => {$(
            #[expect(clippy::disallowed_methods, reason = "the test looks at every table alike")]
            let rows = entity::$table::Entity::find().all(db.read()).await.expect(stringify!($table));
            assert!(rows.is_empty(), "{}", stringify!($table));
            read += 1;
        )+};
    }
    reads!(
        attempt,
        audit_trail,
        call_claim,
        call_link,
        cap,
        channel,
        channel_check,
        channel_key,
        channel_model,
        code,
        code_batch,
        email_token,
        grant,
        group,
        group_channel,
        hold,
        hold_allocation,
        hold_window,
        key,
        lease,
        ledger_entry,
        ledger_transaction,
        member,
        model,
        order,
        outbox,
        payment_inbox,
        person,
        plan,
        plan_version,
        price_version,
        quota_counter,
        redemption,
        rejection,
        session,
        setting,
        subscription,
        tenant,
        usage,
        usage_adjustment,
        usage_allocation,
        usage_doubt,
        usage_window,
        wallet,
    );

    assert_eq!(read, 44);
    db.close().await.expect("close");
    database.drop().await;
}

#[tokio::test]
async fn an_appended_row_is_never_changed_or_removed() {
    let database = TestDatabase::migrated().await;
    let db = database.open().await;
    db.write(|tx| {
        Box::pin(async move {
            let entry = audit_trail::Entry {
                actor: entity::Actor::System,
                action: "test.append",
                subject: ("tenant", "1".to_owned()),
                tenant: None,
                reason: None,
                detail: None,
            };
            audit_trail::append(tx, entry, NOW).await
        })
    })
    .await
    .expect("append");

    for change in [
        "UPDATE audit_trail SET action = 'x'",
        "DELETE FROM audit_trail",
    ] {
        let refused: Result<(), DbErr> = db
            .write(move |tx| {
                Box::pin(async move { tx.execute_unprepared(change).await.map(|_| ()) })
            })
            .await;
        let fault = refused.expect_err("the change is refused").to_string();
        assert!(fault.contains("never changed or removed"), "{fault}");
    }

    db.close().await.expect("close");
    database.drop().await;
}

#[tokio::test]
async fn money_cannot_turn_into_a_floating_number() {
    let database = TestDatabase::migrated().await;
    let db = database.open().await;
    db.write(|tx| Box::pin(async move { tenant_row().insert(tx).await.map(|_| ()) }))
        .await
        .expect("tenant");

    let refused: Result<(), DbErr> = db
        .write(|tx| {
            Box::pin(async move {
                tx.execute_unprepared(
                    "INSERT INTO quota_counter (rule_id, subject_id, window_start, tenant_id, window_end, \
                     metric, used, reserved) SELECT id, id, 0, id, 1, 'credits', \
                     9223372036854775807, 0 FROM tenant",
                )
                .await?;
                tx.execute_unprepared("UPDATE quota_counter SET used = used + 1")
                    .await
                    .map(|_| ())
            })
        })
        .await;

    refused.expect_err("an overflow is refused");
    db.close().await.expect("close");
    database.drop().await;
}

#[tokio::test]
async fn a_setting_is_replaced_and_a_lease_has_one_holder() {
    let database = TestDatabase::migrated().await;
    let db = database.open().await;

    for value in [1_u32, 2] {
        db.write(move |tx| {
            Box::pin(async move { setting::write(tx, "test.value", &value, NOW).await })
        })
        .await
        .expect("write");
    }
    let minute = Duration::from_mins(1);
    let first = lease::claim(&db, "test", "a", minute, NOW)
        .await
        .expect("claim");
    let rival = lease::claim(&db, "test", "b", minute, NOW)
        .await
        .expect("claim");
    let renewed = lease::claim(&db, "test", "a", minute, NOW)
        .await
        .expect("claim");
    let late = NOW.plus(minute * 2);
    let heir = lease::claim(&db, "test", "b", minute, late)
        .await
        .expect("claim");

    assert_eq!(
        setting::read::<u32>(db.read(), "test.value")
            .await
            .expect("read"),
        Some(2)
    );
    assert_eq!((first, rival, renewed, heir), (true, false, true, true));
    db.close().await.expect("close");
    database.drop().await;
}

/// Ten thousand callers go away at every stage of a write; afterwards each write is whole or absent, and the
/// connections still work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_dropped_handlers_leave_no_half_done_work() {
    const CALLERS: usize = 10_000;
    let database = TestDatabase::migrated().await;
    let db = database.open().await;

    for caller in 0..CALLERS {
        let write = db.write(move |tx| {
            Box::pin(async move {
                let payload = serde_json::json!({ "caller": caller });
                outbox::put(tx, "test.first", &payload, NOW).await?;
                tokio::task::yield_now().await;
                outbox::put(tx, "test.second", &payload, NOW).await?;
                Ok::<_, DbErr>(())
            })
        });
        let mut write = Box::pin(write);
        for _ in 0..caller % 4 {
            let _ = futures_util::poll!(&mut write);
            tokio::task::yield_now().await;
        }
        drop(write);
    }
    db.tracker().close();
    db.tracker().wait().await;
    db.tracker().reopen();

    let halves = db
        .read()
        .query_one_raw(Statement::from_string(
            db.backend(),
            "SELECT COUNT(*) AS n FROM (SELECT payload FROM outbox GROUP BY payload HAVING COUNT(*) <> 2) AS half",
        ))
        .await
        .expect("count");
    assert_eq!(number(halves), 0);
    let done = outbox::Entity::every()
        .all(db.read())
        .await
        .expect("rows")
        .len();
    assert!(done > 0 && done <= 2 * CALLERS, "{done}");
    db.write(|tx| Box::pin(async move { tenant_row().insert(tx).await.map(|_| ()) }))
        .await
        .expect("the connections still write");
    if db.backend() == DbBackend::Postgres {
        let open = db
            .read()
            .query_one_raw(Statement::from_string(
                db.backend(),
                "SELECT COUNT(*) AS n FROM pg_stat_activity WHERE datname = current_database() \
                 AND state LIKE 'idle in transaction%'",
            ))
            .await
            .expect("count");
        assert_eq!(number(open), 0);
    }

    db.close().await.expect("close");
    database.drop().await;
}

#[tokio::test]
async fn a_write_that_no_index_serves_is_carried_out_as_it_stands() {
    let database = TestDatabase::migrated().await;
    let db = database.open().await;
    // PostgreSQL compiles a statement that looks costly, which takes it longer than any of ours; `SQLite` never does.
    let (explain, place) = match db.backend() {
        DbBackend::Postgres => ("EXPLAIN (ANALYZE)", 0),
        _ => ("EXPLAIN QUERY PLAN", 3),
    };
    let sql = format!(r#"{explain} SELECT "id" FROM "group" WHERE "title" = 'Sold out'"#);

    let lines = db
        .write(move |tx| {
            Box::pin(async move {
                let asked = Statement::from_string(tx.get_database_backend(), sql);
                tx.query_all_raw(asked).await
            })
        })
        .await
        .expect("a plan");

    let plan: Vec<String> = lines
        .iter()
        .map(|line| line.try_get_by_index(place).expect("a line"))
        .collect();
    assert!(plan.iter().any(|line| line.contains("group")), "{plan:?}");
    assert!(!plan.iter().any(|line| line.contains("JIT")), "{plan:?}");
    db.close().await.expect("close");
    database.drop().await;
}

#[tokio::test]
async fn connections_that_the_server_cut_are_made_anew_before_anybody_notices() {
    let database = TestDatabase::migrated().await;
    let (db, other) = (database.open().await, database.open().await);
    if db.backend() == DbBackend::Postgres {
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        other.read().execute_unprepared(cut).await.expect("cut");
    }

    // As long as a connection may lie idle before it is looked at again.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let reads = (0..6).map(|_| db.read().execute_unprepared("SELECT 1"));
    let reads = futures_util::future::join_all(reads).await;
    let write = || db.write(|tx| Box::pin(async move { tx.execute_unprepared("SELECT 1").await }));
    let writes = futures_util::future::join_all((0..10).map(|_| write())).await;

    let failed: Vec<_> = reads
        .into_iter()
        .chain(writes)
        .filter_map(Result::err)
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    db.close().await.expect("close");
    drop(other.close().await);
    database.drop().await;
}

fn number(row: Option<QueryResult>) -> i64 {
    row.expect("a row").try_get("", "n").expect("a number")
}

fn tenant_row() -> tenant::ActiveModel {
    tenant::ActiveModel {
        id: Set(entity::TenantId::fresh()),
        name: Set("Test".to_owned()),
        kind: Set(tenant::Kind::Personal),
        status: Set(tenant::Status::Active),
        status_reason: Set(None),
        time_zone: Set("UTC".to_owned()),
        created_at: Set(NOW),
        legacy_ref: Set(None),
        multiplier_ppm: Set(tenant::LIST_PPM),
    }
}
