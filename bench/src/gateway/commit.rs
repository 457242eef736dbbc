//! What one commit takes: a row in a transaction of its own, one after the other, by the product's own way to write. A
//! call waits for one before it leaves and for another before its last byte.

use std::time::Instant;

use entity::Database;
use sea_orm::{ConnectionTrait, DbErr};

use crate::{support::database::TestDatabase, table::quantile};

/// How long one took, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Commit {
    pub(super) p50: u64,
    pub(super) p99: u64,
}

const COMMITS: usize = 500;

/// On this server, or on `SQLite`.
pub(super) async fn measure(server: Option<&str>) -> Commit {
    let database = TestDatabase::migrated_on(server.map(str::to_owned)).await;
    let db = database.open().await;
    carry_out(&db, "CREATE TABLE bench_commit (n INTEGER)").await;
    let mut took = Vec::with_capacity(COMMITS);
    for _ in 0..COMMITS {
        let begun = Instant::now();
        carry_out(&db, "INSERT INTO bench_commit VALUES (1)").await;
        took.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    db.close().await.expect("the database closes");
    database.drop().await;
    Commit {
        p50: quantile(&mut took, 50),
        p99: quantile(&mut took, 99),
    }
}

async fn carry_out(db: &Database, sql: &'static str) {
    let done =
        db.write(move |tx| Box::pin(async move { tx.execute_unprepared(sql).await.map(drop) }));
    done.await
        .unwrap_or_else(|fault: DbErr| panic!("{sql}: {fault}"));
}
