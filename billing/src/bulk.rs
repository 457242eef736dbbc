//! Statements over many rows, few enough in kind that each connection's cache of prepared statements holds them all: on
//! `SQLite` in fixed sizes, on PostgreSQL a table's rows in one statement of arrays. Lists of ids come in fixed sizes.

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait,
    IdenStatic, IntoActiveModel, Iterable, ModelTrait, PrimaryKeyToColumn, QueryTrait, Statement,
    Value, Values,
    sea_query::{OnConflict, PostgresQueryBuilder, Query},
};
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

/// Rows that a statement takes on `SQLite`: the largest that fits goes first.
const SIZES: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];
/// Ids that a list holds: the smallest that fits is filled up.
const LISTS: [usize; 3] = [64, 8, 1];

/// Adds rows.
pub(crate) async fn insert<E>(tx: &impl ConnectionTrait, rows: Vec<E::Model>) -> Result<(), DbErr>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: ActiveModelBehavior + Send,
{
    write::<E>(tx, rows, Rule::Refuse).await
}

/// Adds rows and replaces those that are there, by their primary key. Their locks must be held.
pub(crate) async fn replace<E>(tx: &impl ConnectionTrait, rows: Vec<E::Model>) -> Result<(), DbErr>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: ActiveModelBehavior + Send,
{
    write::<E>(tx, rows, Rule::Replace).await
}

/// Adds the rows that are not there yet, by their primary key.
pub(crate) async fn add<E>(tx: &impl ConnectionTrait, rows: Vec<E::Model>) -> Result<(), DbErr>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: ActiveModelBehavior + Send,
{
    write::<E>(tx, rows, Rule::Keep).await
}

async fn write<E>(tx: &impl ConnectionTrait, rows: Vec<E::Model>, rule: Rule) -> Result<(), DbErr>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: ActiveModelBehavior + Send,
{
    let backend = tx.get_database_backend();
    let run = async |sql: Arc<str>, values: Vec<Value>| {
        let statement = Statement {
            sql: sql.as_ref().to_owned(),
            values: Some(Values(values)),
            db_backend: backend,
        };
        tx.execute_raw(statement).await
    };
    if rows.is_empty() {
        return Ok(());
    }
    if backend == DbBackend::Postgres {
        let columns = arrays::<E>(&rows)?;
        let sql = text::<E>(rule, 0, || arrays_statement::<E>(&columns, rule));
        let lists = columns.into_iter().map(|column| column.list.into());
        run(sql, lists.collect()).await?;
        return Ok(());
    }
    let mut rows = rows;
    while let Some(size) = SIZES.into_iter().find(|size| *size <= rows.len()) {
        let rest = rows.split_off(size);
        let sql = text::<E>(rule, size, || rows_statement::<E>(backend, &rows, rule));
        run(sql, cells::<E>(&rows)).await?;
        rows = rest;
    }
    Ok(())
}

/// What happens to a row whose primary key is there.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Rule {
    Refuse,
    Replace,
    Keep,
}

impl Rule {
    fn clause<E: EntityTrait>(self) -> Option<OnConflict> {
        let keys = || E::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column);
        let is_key = |column: &E::Column| E::PrimaryKey::from_column(*column).is_some();
        match self {
            Self::Refuse => None,
            Self::Keep => Some(OnConflict::columns(keys()).do_nothing().to_owned()),
            Self::Replace => {
                let rest = E::Column::iter().filter(|column| !is_key(column));
                Some(OnConflict::columns(keys()).update_columns(rest).to_owned())
            }
        }
    }
}

/// A statement's text. It is the same for every batch of a size (0 where it is the same for all), so it is built once
/// a process: building it took longer than carrying it out.
fn text<E: EntityTrait>(rule: Rule, size: usize, build: impl FnOnce() -> String) -> Arc<str> {
    type Texts = HashMap<(&'static str, Rule, usize), Arc<str>>;
    static TEXTS: LazyLock<Mutex<Texts>> = LazyLock::new(Mutex::default);
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    texts
        .entry((E::default().table_name(), rule, size))
        .or_insert_with(|| build().into())
        .clone()
}

/// A statement with a place for every cell.
fn rows_statement<E>(backend: DbBackend, rows: &[E::Model], rule: Rule) -> String
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: ActiveModelBehavior + Send,
{
    let models = rows
        .iter()
        .map(|row| row.clone().into_active_model().reset_all());
    let mut statement = E::insert_many(models);
    if let Some(clause) = rule.clause::<E>() {
        statement = statement.on_conflict(clause);
    }
    let statement = statement.build(backend);
    debug_assert_eq!(
        statement.values,
        Some(Values(cells::<E>(rows))),
        "cells stand in the order of the statement's places"
    );
    statement.sql
}

/// The cells of all rows, a row after the other, in the order of the table's columns.
fn cells<E: EntityTrait>(rows: &[E::Model]) -> Vec<Value> {
    rows.iter()
        .flat_map(|row| E::Column::iter().map(|column| row.get(column)))
        .collect()
}

/// A column of all rows.
struct Array {
    name: String,
    kind: &'static str,
    /// `{..}`, as PostgreSQL reads an array.
    list: String,
}

/// PostgreSQL takes a column as one value, so a table's rows are one statement however many there are: a round trip, a
/// plan and a text less for each part that the fixed sizes would need.
fn arrays<E: EntityTrait>(rows: &[E::Model]) -> Result<Vec<Array>, DbErr> {
    E::Column::iter()
        .map(|column| {
            let name = column.as_str().to_owned();
            let mut kind = "";
            let mut list = String::from("{");
            for row in rows {
                if list.len() > 1 {
                    list.push(',');
                }
                kind = push(&mut list, row.get(column)).ok_or_else(|| {
                    DbErr::Custom(format!(
                        "a column of a kind that is not written in bulk: {name}"
                    ))
                })?;
            }
            list.push('}');
            Ok(Array { name, kind, list })
        })
        .collect()
}

/// Adds a cell to an array and answers what kind of cell it is.
fn push(list: &mut String, cell: Value) -> Option<&'static str> {
    let (kind, text) = match cell {
        Value::Uuid(id) => ("uuid", id.map(|id| id.to_string())),
        Value::BigInt(number) => ("bigint", number.map(|number| number.to_string())),
        Value::Bool(flag) => ("boolean", flag.map(|flag| flag.to_string())),
        Value::String(text) => {
            if let Some(text) = text {
                list.push('"');
                for letter in text.chars() {
                    if matches!(letter, '"' | '\\') {
                        list.push('\\');
                    }
                    list.push(letter);
                }
                list.push('"');
                return Some("text");
            }
            ("text", None)
        }
        _ => return None,
    };
    list.push_str(text.as_deref().unwrap_or("NULL"));
    Some(kind)
}

/// A statement with a place for every column.
fn arrays_statement<E: EntityTrait>(columns: &[Array], rule: Rule) -> String {
    let names: Vec<String> = columns
        .iter()
        .map(|column| format!(r#""{}""#, column.name))
        .collect();
    let names = names.join(", ");
    let places: Vec<String> = columns
        .iter()
        .zip(1..)
        .map(|(column, place)| format!("CAST(${place} AS {}[])", column.kind))
        .collect();
    let mut clause = String::new();
    if let Some(rule) = rule.clause::<E>() {
        // Only a whole statement can be rendered; what follows its values is the clause.
        let mut whole = Query::insert();
        whole.into_table(E::default().table_ref()).on_conflict(rule);
        let whole = whole.to_string(PostgresQueryBuilder);
        if let Some(start) = whole.find(" ON CONFLICT") {
            clause.push_str(whole.get(start..).unwrap_or_default());
        }
    }
    format!(
        r#"INSERT INTO "{}" ({names}) SELECT * FROM UNNEST({}) AS v({names}){clause}"#,
        E::default().table_name(),
        places.join(", "),
    )
}

/// Sorted ids in lists of the fixed sizes; the last list repeats its last id to fill up.
pub(crate) fn lists<T: Copy + Ord>(ids: impl IntoIterator<Item = T>) -> Vec<Vec<T>> {
    let mut ids: Vec<T> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    let [largest, ..] = LISTS;
    ids.chunks(largest)
        .map(|chunk| {
            let fits = LISTS.into_iter().filter(|size| chunk.len() <= *size);
            let size = fits.min().unwrap_or(largest);
            let mut list = chunk.to_vec();
            if let Some(last) = chunk.last() {
                list.resize(size, *last);
            }
            list
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_in_the_fixed_sizes_sorted_and_without_repeats_but_the_filling() {
        let sizes =
            |count: u32| -> Vec<usize> { lists((0..count).rev()).iter().map(Vec::len).collect() };

        assert_eq!(sizes(0), Vec::<usize>::new());
        assert_eq!(sizes(1), [1]);
        assert_eq!(sizes(2), [8]);
        assert_eq!(sizes(9), [64]);
        assert_eq!(sizes(65), [64, 1]);
        assert_eq!(lists([3, 1, 3]), [[1, 3, 3, 3, 3, 3, 3, 3]]);
    }
}
