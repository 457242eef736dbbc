//! Which process does a job that repeats, until when.

use crate::{Database, Platform, Timestamp};
use sea_orm::{ExprTrait, Set, entity::prelude::*, sea_query::OnConflict};
use std::time::Duration;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lease")]
pub struct Model {
    /// Which job.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// Which process.
    pub holder: String,
    /// Until when, unless renewed.
    pub expires_at: Timestamp,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}

/// Claims or renews the right to do a job until `ttl` from `now`. One holder at a time, whoever asks first
/// after the last one's time ran out.
///
/// # Errors
/// When the database does not answer.
pub async fn claim(
    db: &Database,
    name: &'static str,
    holder: &str,
    ttl: Duration,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let holder = holder.to_owned();
    db.write_first(move |tx| {
        Box::pin(async move {
            let row = ActiveModel {
                name: Set(name.to_owned()),
                holder: Set(holder.clone()),
                expires_at: Set(now.plus(ttl)),
            };
            let inserted = Entity::insert(row)
                .on_conflict(OnConflict::column(Column::Name).do_nothing().to_owned())
                .exec_without_returning(tx)
                .await?;
            if inserted == 1 {
                return Ok(true);
            }
            let taken = Entity::change()
                .col_expr(Column::Holder, holder.clone().into())
                .col_expr(Column::ExpiresAt, now.plus(ttl).micros().into())
                .filter(Column::Name.eq(name))
                .filter(Column::Holder.eq(holder).or(Column::ExpiresAt.lt(now)))
                .exec(tx)
                .await?;
            Ok(taken.rows_affected == 1)
        })
    })
    .await
}

/// Gives a job up early, so that another process may take it at once.
///
/// # Errors
/// When the database does not answer.
pub async fn release(db: &Database, name: &'static str, holder: &str) -> Result<(), DbErr> {
    let holder = holder.to_owned();
    db.write_first(move |tx| {
        Box::pin(async move {
            Entity::remove()
                .filter(Column::Name.eq(name))
                .filter(Column::Holder.eq(holder))
                .exec(tx)
                .await?;
            Ok(())
        })
    })
    .await
}
