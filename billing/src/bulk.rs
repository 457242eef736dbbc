//! Statements over many rows in a few fixed sizes, so that each connection's cache of prepared statements holds
//! them all.

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    Iterable, PrimaryKeyToColumn, sea_query::OnConflict,
};

/// Rows a statement takes: the largest that fits goes first.
const SIZES: [usize; 3] = [64, 8, 1];

/// Adds rows.
pub(crate) async fn insert<E>(tx: &impl ConnectionTrait, rows: Vec<E::Model>) -> Result<(), DbErr>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: ActiveModelBehavior + Send,
{
    write::<E>(tx, rows, None).await
}

/// Adds rows and replaces those that are there, by their primary key. Their locks must be held.
pub(crate) async fn replace<E>(tx: &impl ConnectionTrait, rows: Vec<E::Model>) -> Result<(), DbErr>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: ActiveModelBehavior + Send,
{
    let keys: Vec<E::Column> = E::PrimaryKey::iter()
        .map(PrimaryKeyToColumn::into_column)
        .collect();
    let is_key = |column: &E::Column| E::PrimaryKey::from_column(*column).is_some();
    let rest = E::Column::iter().filter(|column| !is_key(column));
    let rule = OnConflict::columns(keys).update_columns(rest).to_owned();
    write::<E>(tx, rows, Some(rule)).await
}

/// Adds the rows that are not there yet, by their primary key.
pub(crate) async fn add<E>(tx: &impl ConnectionTrait, rows: Vec<E::Model>) -> Result<(), DbErr>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: ActiveModelBehavior + Send,
{
    let keys: Vec<E::Column> = E::PrimaryKey::iter()
        .map(PrimaryKeyToColumn::into_column)
        .collect();
    let rule = OnConflict::columns(keys).do_nothing().to_owned();
    write::<E>(tx, rows, Some(rule)).await
}

async fn write<E>(
    tx: &impl ConnectionTrait,
    rows: Vec<E::Model>,
    rule: Option<OnConflict>,
) -> Result<(), DbErr>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: ActiveModelBehavior + Send,
{
    let mut rows = rows
        .into_iter()
        .map(|row| row.into_active_model().reset_all())
        .collect::<Vec<_>>();
    while let Some(size) = SIZES.into_iter().find(|size| *size <= rows.len()) {
        let rest = rows.split_off(size);
        let mut statement = E::insert_many(rows);
        if let Some(rule) = &rule {
            statement = statement.on_conflict(rule.clone());
        }
        statement.exec_without_returning(tx).await?;
        rows = rest;
    }
    Ok(())
}

/// Sorted ids in lists of the fixed sizes; the last list repeats its last id to fill up.
pub(crate) fn lists<T: Copy + Ord>(ids: impl IntoIterator<Item = T>) -> Vec<Vec<T>> {
    let mut ids: Vec<T> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    let [largest, ..] = SIZES;
    ids.chunks(largest)
        .map(|chunk| {
            let fits = SIZES.into_iter().filter(|size| chunk.len() <= *size);
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
