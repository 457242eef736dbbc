//! All that one transaction writes: on PostgreSQL a single statement, for a batch waits for each that it makes; on
//! `SQLite` a statement after the other, in the order they were added.

use super::{
    Array, Rule, any_of, array_of, arrays, arrays_statement, lists, marks, pieces, statement,
};
use sea_orm::{
    ActiveModelBehavior, ConnectionTrait, DbBackend, DbErr, EntityTrait, IntoActiveModel, Value,
};
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};
use uuid::Uuid;

/// Rows of which table to remove, by which column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Removal {
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
    /// Whether the rows that were there are counted.
    pub(crate) counted: bool,
}

/// What a part does; with the parts before it, it says its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Write(&'static str, Rule),
    Remove(Removal),
}

impl Kind {
    fn is_counted(self) -> bool {
        matches!(self, Self::Remove(removal) if removal.counted)
    }
}

/// A part on PostgreSQL.
struct Part {
    kind: Kind,
    columns: Vec<Array>,
    text: fn(&[Array], Kind, usize) -> String,
}

/// Writes that are carried out together. No two of them may touch the same row.
pub(crate) struct Writes {
    backend: DbBackend,
    parts: Vec<Part>,
    statements: Vec<(Kind, Arc<str>, Vec<Value>)>,
}

impl Writes {
    pub(crate) fn on(tx: &impl ConnectionTrait) -> Self {
        Self {
            backend: tx.get_database_backend(),
            parts: Vec::new(),
            statements: Vec::new(),
        }
    }

    /// Adds rows.
    pub(crate) fn insert<E>(&mut self, rows: &[E::Model]) -> Result<(), DbErr>
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel>,
        E::ActiveModel: ActiveModelBehavior + Send,
    {
        self.write::<E>(rows, Rule::Refuse)
    }

    /// Adds rows and replaces those that are there, by their primary key. Their locks must be held.
    pub(crate) fn replace<E>(&mut self, rows: &[E::Model]) -> Result<(), DbErr>
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel>,
        E::ActiveModel: ActiveModelBehavior + Send,
    {
        self.write::<E>(rows, Rule::Replace)
    }

    /// Removes the rows of these ids.
    pub(crate) fn remove(&mut self, removal: Removal, ids: &[Uuid]) {
        if ids.is_empty() {
            return;
        }
        let kind = Kind::Remove(removal);
        if self.backend == DbBackend::Postgres {
            self.parts.push(Part {
                kind,
                columns: vec![Array {
                    name: removal.column.to_owned(),
                    kind: "uuid",
                    list: array_of(ids),
                }],
                text: |_, kind, first| match kind {
                    Kind::Remove(Removal {
                        table,
                        column,
                        counted,
                    }) => {
                        let told = if counted { " RETURNING 1" } else { "" };
                        let any = any_of(first);
                        format!(r#"DELETE FROM "{table}" WHERE "{column}" = {any}{told}"#)
                    }
                    Kind::Write(..) => String::new(),
                },
            });
            return;
        }
        let Removal { table, column, .. } = removal;
        for list in lists(ids.iter().copied()) {
            let sql = format!(
                r#"DELETE FROM "{table}" WHERE "{column}" IN ({})"#,
                marks(list.len())
            );
            let values = list.into_iter().map(Value::from).collect();
            self.statements.push((kind, sql.into(), values));
        }
    }

    fn write<E>(&mut self, rows: &[E::Model], rule: Rule) -> Result<(), DbErr>
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel>,
        E::ActiveModel: ActiveModelBehavior + Send,
    {
        if rows.is_empty() {
            return Ok(());
        }
        let kind = Kind::Write(E::default().table_name(), rule);
        if self.backend == DbBackend::Postgres {
            self.parts.push(Part {
                kind,
                columns: arrays::<E>(rows)?,
                text: |columns, kind, first| match kind {
                    Kind::Write(_, rule) => arrays_statement::<E>(columns, rule, first),
                    Kind::Remove(_) => String::new(),
                },
            });
            return Ok(());
        }
        for (sql, values) in pieces::<E>(rows, rule) {
            self.statements.push((kind, sql, values));
        }
        Ok(())
    }

    /// Carries all of it out, and answers how many rows were there of those that are counted.
    pub(crate) async fn run(self, tx: &impl ConnectionTrait) -> Result<u64, DbErr> {
        let mut counted = 0_u64;
        for (kind, sql, values) in self.statements {
            let done = tx
                .execute_raw(statement(self.backend, &sql, values))
                .await?;
            if kind.is_counted() {
                counted = counted.saturating_add(done.rows_affected());
            }
        }
        if self.parts.is_empty() {
            return Ok(counted);
        }
        let sql = text(&self.parts);
        let lists = self.parts.into_iter().flat_map(|part| part.columns);
        let values = lists.map(|column| column.list.into()).collect();
        let told = tx
            .query_one_raw(statement(self.backend, &sql, values))
            .await?;
        let removed: i64 = told.map_or(Ok(0), |row| row.try_get_by_index(0))?;
        Ok(u64::try_from(removed).unwrap_or(0))
    }
}

/// One statement of all parts. PostgreSQL carries out every part of a `WITH` once, whether what follows reads it or not.
fn text(parts: &[Part]) -> Arc<str> {
    type Texts = HashMap<Vec<Kind>, Arc<str>>;
    static TEXTS: LazyLock<Mutex<Texts>> = LazyLock::new(Mutex::default);
    let kinds = parts.iter().map(|part| part.kind).collect();
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    let build = || {
        let (mut withs, mut counts, mut first) = (Vec::new(), Vec::new(), 1_usize);
        for (part, name) in parts.iter().zip(1..) {
            withs.push(format!(
                "w{name} AS ({})",
                (part.text)(&part.columns, part.kind, first)
            ));
            if part.kind.is_counted() {
                counts.push(format!("(SELECT count(*) FROM w{name})"));
            }
            first = first.saturating_add(part.columns.len());
        }
        counts.push("CAST(0 AS bigint)".to_owned());
        format!("WITH {} SELECT {}", withs.join(", "), counts.join(" + ")).into()
    };
    texts.entry(kinds).or_insert_with(build).clone()
}
