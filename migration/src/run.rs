//! Runs the steps, one replica at a time.

use crate::{
    m20261121_1_create_schema, m20261121_2_create_cap, m20261121_3_price_classes,
    m20261121_4_plan_depth, m20261121_5_routing_and_policy, m20261121_6_call_links,
    m20261121_7_stop_when_left, m20261121_8_call_claims, m20261121_9_counted_factor,
    m20261122_10_strict_translation,
};
use sea_orm_migration::{
    MigrationTrait, MigratorTrait,
    sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr},
};

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_1_create_schema::Migration),
            Box::new(m20261121_2_create_cap::Migration),
            Box::new(m20261121_3_price_classes::Migration),
            Box::new(m20261121_4_plan_depth::Migration),
            Box::new(m20261121_5_routing_and_policy::Migration),
            Box::new(m20261121_6_call_links::Migration),
            Box::new(m20261121_7_stop_when_left::Migration),
            Box::new(m20261121_8_call_claims::Migration),
            Box::new(m20261121_9_counted_factor::Migration),
            Box::new(m20261122_10_strict_translation::Migration),
        ]
    }
}

/// The advisory lock under which one replica at a time migrates PostgreSQL.
const LOCK: i64 = 0x544f_4c4c_4741_5445;

/// Brings the database at `url` to the present; creates the file of an SQLite database that is not there.
///
/// # Errors
/// When nothing answers at `url`, a step fails (it is rolled back), or the database is newer than this program.
pub async fn up(url: &str) -> Result<(), DbErr> {
    let db = connect(url).await?;
    lock(&db).await?;
    let outcome = Migrator::up(&db, None).await;
    db.close().await?;
    outcome
}

/// Takes the database at `url` back to nothing. Everything in it is lost.
///
/// # Errors
/// As [`up`].
pub async fn down(url: &str) -> Result<(), DbErr> {
    let db = connect(url).await?;
    lock(&db).await?;
    let outcome = Migrator::down(&db, None).await;
    db.close().await?;
    outcome
}

/// How many steps the database at `url` lacks, without changing it.
///
/// # Errors
/// When nothing answers at `url`.
pub async fn pending(url: &str) -> Result<usize, DbErr> {
    let db = connect(url).await?;
    let steps = Migrator::get_pending_migrations(&db).await?.len();
    db.close().await?;
    Ok(steps)
}

/// One connection, so that the lock and the steps share it. The lock ends with the connection.
async fn connect(url: &str) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(1)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|sqlite| {
            use sea_orm_migration::sea_orm::sqlx::sqlite::SqliteJournalMode;
            sqlite
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
        });
    Database::connect(options).await
}

async fn lock(db: &DatabaseConnection) -> Result<(), DbErr> {
    if db.get_database_backend() == DbBackend::Postgres {
        db.execute_unprepared(&format!("SELECT pg_advisory_lock({LOCK})"))
            .await?;
    }
    Ok(())
}
