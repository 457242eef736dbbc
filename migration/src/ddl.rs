//! Where the two kinds of database differ: column types, strictness, triggers, partitions.
//!
//! Steps are written once with the types `{id}` (UUID), `{int}` (64-bit integer), `{text}`, `{bool}` and `{bytes}`.
//! SQLite tables are STRICT, so that an integer that overflows is an error and never turns into REAL.

use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, DbErr};

/// One change of the schema.
pub(crate) enum Step {
    /// A table: its name, and its columns and constraints.
    Table(&'static str, &'static str),
    /// A table that PostgreSQL can partition by its time-ordered `id`.
    PartitionedTable(&'static str, &'static str),
    /// One more column: its table, its name, and its type and constraints.
    Column(&'static str, &'static str, &'static str),
    /// An index, as a whole statement.
    Index(&'static str),
    /// Rows of this table can be added, never changed or removed.
    AppendOnly(&'static str),
}

const TYPES: [(&str, &str, &str); 5] = [
    ("{id}", "BLOB", "uuid"),
    ("{int}", "INTEGER", "bigint"),
    ("{text}", "TEXT", "text"),
    ("{bool}", "INTEGER", "boolean"),
    ("{bytes}", "BLOB", "bytea"),
];

/// Carries out the first schema's steps in order, with the function that guards append-only tables.
pub(crate) async fn up(db: &impl ConnectionTrait, steps: &[Step]) -> Result<(), DbErr> {
    if db.get_database_backend() == DbBackend::Postgres {
        db.execute_unprepared(REFUSE_CHANGE).await?;
    }
    add(db, steps).await
}

/// Carries out a later migration's steps in order.
pub(crate) async fn add(db: &impl ConnectionTrait, steps: &[Step]) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    for step in steps {
        for statement in step.statements(backend) {
            db.execute_unprepared(&statement).await?;
        }
    }
    Ok(())
}

/// Takes the first schema's steps back, last first.
pub(crate) async fn down(db: &impl ConnectionTrait, steps: &[Step]) -> Result<(), DbErr> {
    remove(db, steps).await?;
    if db.get_database_backend() == DbBackend::Postgres {
        db.execute_unprepared("DROP FUNCTION refuse_change()")
            .await?;
    }
    Ok(())
}

/// Takes a later migration's steps back, last first.
pub(crate) async fn remove(db: &impl ConnectionTrait, steps: &[Step]) -> Result<(), DbErr> {
    for step in steps.iter().rev() {
        match step {
            Step::Table(name, _) | Step::PartitionedTable(name, _) => {
                db.execute_unprepared(&format!(r#"DROP TABLE "{name}""#))
                    .await?;
            }
            Step::Column(table, column, _) => {
                db.execute_unprepared(&format!(r#"ALTER TABLE "{table}" DROP COLUMN "{column}""#))
                    .await?;
            }
            Step::Index(_) | Step::AppendOnly(_) => {}
        }
    }
    Ok(())
}

const REFUSE_CHANGE: &str = "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS \
     $$ BEGIN RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME; END $$";

impl Step {
    fn statements(&self, backend: DbBackend) -> Vec<String> {
        let postgres = backend == DbBackend::Postgres;
        match self {
            Self::Table(name, body) => {
                let strict = if postgres { "" } else { " STRICT" };
                vec![typed(&format!(r#"CREATE TABLE "{name}" ({body}){strict}"#), postgres)]
            }
            Self::PartitionedTable(name, body) if postgres => vec![
                typed(
                    &format!(r#"CREATE TABLE "{name}" ({body}) PARTITION BY RANGE ("id")"#),
                    postgres,
                ),
                format!(r#"CREATE TABLE "{name}_rest" PARTITION OF "{name}" DEFAULT"#),
            ],
            Self::PartitionedTable(name, body) => Self::Table(name, body).statements(backend),
            Self::Column(table, column, kind) => vec![typed(
                &format!(r#"ALTER TABLE "{table}" ADD COLUMN "{column}" {kind}"#),
                postgres,
            )],
            Self::Index(statement) => vec![(*statement).to_owned()],
            Self::AppendOnly(name) if postgres => vec![
                format!(
                    r#"CREATE TRIGGER "{name}_append_only" BEFORE UPDATE OR DELETE ON "{name}" FOR EACH ROW EXECUTE FUNCTION refuse_change()"#
                ),
                format!(
                    r#"CREATE TRIGGER "{name}_never_emptied" BEFORE TRUNCATE ON "{name}" FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"#
                ),
            ],
            Self::AppendOnly(name) => ["UPDATE", "DELETE"]
                .map(|change| {
                    format!(
                        r#"CREATE TRIGGER "{name}_no_{}" BEFORE {change} ON "{name}" BEGIN SELECT RAISE(ABORT, 'rows of {name} are never changed or removed'); END"#,
                        change.to_lowercase()
                    )
                })
                .into(),
        }
    }
}

fn typed(statement: &str, postgres: bool) -> String {
    TYPES
        .iter()
        .fold(statement.to_owned(), |text, (token, sqlite, pg)| {
            text.replace(token, if postgres { pg } else { sqlite })
        })
}
