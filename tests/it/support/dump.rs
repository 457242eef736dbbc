//! The whole database as text, to show that what was refused changed nothing (ledger law I12).

use entity::Database;
use sea_orm::{ConnectionTrait, DbBackend, Statement};

/// Tables that an operation may touch without changing anything that counts.
const LEFT_OUT: &[&str] = &["lease", "seaql_migrations"];

/// Every row of every table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump(Vec<(String, Vec<String>)>);

impl Dump {
    /// As it stands now.
    pub async fn of(db: &Database) -> Self {
        let mut tables = Vec::new();
        for table in tables_of(db).await {
            if LEFT_OUT.contains(&table.as_str()) {
                continue;
            }
            let rows = rows_of(db, &table).await;
            tables.push((table, rows));
        }
        assert!(tables.len() > 30, "the tables are found");
        Self(tables)
    }
}

async fn texts(db: &Database, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(db.backend(), sql);
    let rows = db.read().query_all_raw(statement).await.expect("rows read");
    rows.into_iter()
        .map(|row| row.try_get("", "t").expect("a text"))
        .collect()
}

async fn tables_of(db: &Database) -> Vec<String> {
    let sql = match db.backend() {
        DbBackend::Sqlite => {
            "SELECT name AS t FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1"
        }
        _ => "SELECT tablename::text AS t FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
    };
    texts(db, sql).await
}

async fn rows_of(db: &Database, table: &str) -> Vec<String> {
    let sql = match db.backend() {
        DbBackend::Sqlite => {
            let columns = texts(
                db,
                &format!("SELECT name AS t FROM pragma_table_info('{table}') ORDER BY cid"),
            )
            .await;
            let quoted: Vec<String> = columns
                .iter()
                .map(|column| format!(r#"quote("{column}")"#))
                .collect();
            format!(
                r#"SELECT {} AS t FROM "{table}" ORDER BY 1"#,
                quoted.join(" || ',' || ")
            )
        }
        _ => format!(r#"SELECT x::text AS t FROM "{table}" x ORDER BY 1"#),
    };
    texts(db, &sql).await
}
