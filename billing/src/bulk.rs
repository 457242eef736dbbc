//! Statements over many rows, few enough in kind that each connection's cache of prepared statements holds them all: on
//! `SQLite` in fixed sizes, on PostgreSQL a table's rows in one statement of arrays. Lists of ids come in fixed sizes.

mod union;
mod writes;

pub(crate) use union::{Arm, Union};
pub(crate) use writes::{Removal, Writes};

use sea_orm::{
    ActiveModelBehavior, ConnectionTrait, DbBackend, DbErr, EntityTrait, IdenStatic,
    IntoActiveModel, Iterable, ModelTrait, PrimaryKeyToColumn, Statement, Value, Values,
    sea_query::{OnConflict, PostgresQueryBuilder, Query},
};
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};
use uuid::Uuid;

/// Rows that a statement takes on `SQLite`: the smallest that fits has empty places, which write nothing.
const SIZES: [usize; 5] = [1, 4, 16, 32, 64];
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
    if rows.is_empty() {
        return Ok(());
    }
    if backend == DbBackend::Postgres {
        let columns = arrays::<E>(&rows)?;
        let sql = text::<E>(rule, 0, || arrays_statement::<E>(&columns, rule, 1));
        let lists = columns.into_iter().map(|column| column.list.into());
        tx.execute_raw(statement(backend, &sql, lists.collect()))
            .await?;
        return Ok(());
    }
    for (sql, values) in pieces::<E>(&rows, rule) {
        tx.execute_raw(statement(backend, &sql, values)).await?;
    }
    Ok(())
}

fn statement(backend: DbBackend, sql: &str, values: Vec<Value>) -> Statement {
    Statement {
        sql: sql.to_owned(),
        values: Some(Values(values)),
        db_backend: backend,
    }
}

/// Statements of the fixed sizes, each with its values. Waiting for one more statement costs more than its empty places.
fn pieces<E: EntityTrait>(rows: &[E::Model], rule: Rule) -> Vec<(Arc<str>, Vec<Value>)> {
    let [.., largest] = SIZES;
    rows.chunks(largest)
        .map(|chunk| {
            let fits = SIZES.into_iter().find(|size| chunk.len() <= *size);
            let size = fits.unwrap_or(largest);
            let sql = text::<E>(rule, size, || rows_statement::<E>(size, rule));
            let width = E::Column::iter().count();
            let mut values = Vec::with_capacity(size.saturating_mul(width));
            values.extend(cells::<E>(chunk));
            // What has no value is NULL.
            (sql, values)
        })
        .collect()
}

/// What happens to a row whose primary key is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// A statement with a place for every cell. Empty places are told by the first column, which is never NULL: it belongs to
/// the primary key.
fn rows_statement<E: EntityTrait>(size: usize, rule: Rule) -> String {
    let names: Vec<String> = E::Column::iter()
        .map(|column| format!(r#""{}""#, column.as_str()))
        .collect();
    let row = format!("({})", marks(names.len()));
    let rows = vec![row; size].join(", ");
    format!(
        r#"INSERT INTO "{}" ({}) SELECT * FROM (VALUES {rows}) WHERE "column1" IS NOT NULL{}"#,
        E::default().table_name(),
        names.join(", "),
        conflict::<E>(rule),
    )
}

/// So many places on `SQLite`.
fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// What follows the rows of a statement.
fn conflict<E: EntityTrait>(rule: Rule) -> String {
    let Some(clause) = rule.clause::<E>() else {
        return String::new();
    };
    // Only a whole statement can be rendered, the same for both databases; what follows its values is the clause.
    let mut whole = Query::insert();
    whole
        .into_table(E::default().table_ref())
        .on_conflict(clause);
    let whole = whole.to_string(PostgresQueryBuilder);
    let start = whole.find(" ON CONFLICT");
    start
        .and_then(|start| whole.get(start..))
        .unwrap_or_default()
        .to_owned()
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
        Value::Uuid(Some(id)) => {
            push_id(list, id);
            return Some("uuid");
        }
        Value::Uuid(None) => ("uuid", None),
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

/// Ids as PostgreSQL reads an array.
fn array_of(ids: &[Uuid]) -> String {
    let mut list = String::from("{");
    for id in ids {
        if list.len() > 1 {
            list.push(',');
        }
        push_id(&mut list, *id);
    }
    list.push('}');
    list
}

/// The ids of an array that is the value of this number. As a sub-select it is read once; a bare cast would be read again
/// for every row that it is compared with.
fn any_of(number: usize) -> String {
    format!("ANY(ARRAY(SELECT UNNEST(CAST(${number} AS uuid[]))))")
}

fn push_id(list: &mut String, id: Uuid) {
    let mut letters = Uuid::encode_buffer();
    list.push_str(id.hyphenated().encode_lower(&mut letters));
}

/// A statement with a place for every column, numbered from `first`.
fn arrays_statement<E: EntityTrait>(columns: &[Array], rule: Rule, first: usize) -> String {
    let names: Vec<String> = columns
        .iter()
        .map(|column| format!(r#""{}""#, column.name))
        .collect();
    let names = names.join(", ");
    let places: Vec<String> = columns
        .iter()
        .zip(first..)
        .map(|(column, place)| format!("CAST(${place} AS {}[])", column.kind))
        .collect();
    format!(
        r#"INSERT INTO "{}" ({names}) SELECT * FROM UNNEST({}) AS v({names}){}"#,
        E::default().table_name(),
        places.join(", "),
        conflict::<E>(rule),
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
