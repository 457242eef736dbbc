//! Rows of finished calls as pages print them, and the sum over a filter.

use crate::words::{Phrase, format, phrase};
use entity::{
    Credits, Database, HoldId, KeyId, ModelId, Platform, Scoped, TenantId, Timestamp, key, model,
    usage::{Column, Entity, Finish, Model},
};
use sea_orm::{
    ColumnTrait, DbErr, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Alias, Expr, ExprTrait},
};

/// One finished call in a table.
pub(crate) struct Call {
    pub id: String,
    pub time: format::Moment,
    pub model: String,
    pub key: String,
    pub input: String,
    pub output: String,
    pub cost: format::Amount,
    /// How it ended, where not as it should.
    pub trouble: Option<Phrase>,
}

/// Which calls.
#[derive(Clone, Default)]
pub(crate) struct Filter {
    pub key: Option<KeyId>,
    pub model: Option<ModelId>,
    /// Ended at or after this moment.
    pub from: Option<Timestamp>,
    /// Ended before this moment.
    pub until: Option<Timestamp>,
}

impl Filter {
    fn on(&self, mut query: Select<Entity>) -> Select<Entity> {
        if let Some(key) = self.key {
            query = query.filter(Column::KeyId.eq(key));
        }
        if let Some(model) = self.model {
            query = query.filter(Column::ModelId.eq(model));
        }
        if let Some(from) = self.from {
            query = query.filter(Column::EndedAt.gte(from));
        }
        if let Some(until) = self.until {
            query = query.filter(Column::EndedAt.lt(until));
        }
        query
    }
}

/// Where a page of rows begins; ids are made in the order of time.
#[derive(Clone, Copy)]
pub(crate) enum Cursor {
    Newest,
    /// Rows older than this one.
    Before(HoldId),
    /// Rows newer than this one.
    After(HoldId),
}

/// At most `limit` calls, the newest first.
pub(crate) async fn find(
    db: &Database,
    tenant: TenantId,
    filter: &Filter,
    (cursor, limit): (Cursor, u64),
) -> Result<Vec<Model>, DbErr> {
    let query = filter.on(Entity::of(tenant)).limit(limit);
    match cursor {
        Cursor::Newest => query.order_by_desc(Column::Id).all(db.read()).await,
        Cursor::Before(id) => {
            query
                .filter(Column::Id.lt(id))
                .order_by_desc(Column::Id)
                .all(db.read())
                .await
        }
        Cursor::After(id) => {
            let rows = query.filter(Column::Id.gt(id)).order_by_asc(Column::Id);
            let mut rows = rows.all(db.read()).await?;
            rows.reverse();
            Ok(rows)
        }
    }
}

/// How many calls and what they cost together.
#[derive(Clone, Copy, Debug, Default, FromQueryResult)]
pub(crate) struct Sum {
    pub calls: i64,
    pub charge: Credits,
}

/// The sum over a filter.
pub(crate) async fn sum(db: &Database, tenant: TenantId, filter: &Filter) -> Result<Sum, DbErr> {
    let charge = Expr::expr(
        Column::Charge
            .into_expr()
            .sum()
            .cast_as(Alias::new("BIGINT")),
    )
    .if_null(0);
    let sum = filter
        .on(Entity::of(tenant))
        .select_only()
        .column_as(Column::Id.count(), "calls")
        .column_as(charge, "charge")
        .into_model::<Sum>()
        .one(db.read())
        .await?;
    Ok(sum.unwrap_or_default())
}

/// The rows with the names of their models and keys.
pub(crate) async fn read(
    db: &Database,
    tenant: TenantId,
    rows: Vec<Model>,
) -> Result<Vec<Call>, DbErr> {
    let models = model::Entity::every()
        .filter(model::Column::Id.is_in(rows.iter().map(|row| row.model_id)))
        .all(db.read())
        .await?;
    let keys = key::Entity::of(tenant)
        .filter(key::Column::Id.is_in(rows.iter().map(|row| row.key_id)))
        .all(db.read())
        .await?;
    let calls = rows.into_iter().map(|row| Call {
        id: row.id.to_string(),
        time: format::moment(row.ended_at),
        model: models
            .iter()
            .find(|model| model.id == row.model_id)
            .map_or_else(String::new, |model| model.name.clone()),
        key: keys
            .iter()
            .find(|key| key.id == row.key_id)
            .map_or_else(String::new, |key| key.name.clone()),
        input: format::count(input_tokens(&row)),
        output: format::count(row.output_tokens),
        cost: format::amount(row.charge),
        trouble: (row.finish != Finish::Complete).then(|| finish(row.finish)),
    });
    Ok(calls.collect())
}

/// All input, cached or not.
pub(super) fn input_tokens(row: &Model) -> i64 {
    row.input_tokens
        .saturating_add(row.cache_read_tokens)
        .saturating_add(row.cache_write_short_tokens)
        .saturating_add(row.cache_write_long_tokens)
}

/// How a call ended.
pub(super) fn finish(finish: Finish) -> Phrase {
    match finish {
        Finish::Complete => phrase("finish-complete"),
        Finish::ClientGone => phrase("finish-client-gone"),
        Finish::UpstreamCut => phrase("finish-upstream-cut"),
        Finish::UpstreamError => phrase("finish-upstream-error"),
        Finish::Stalled => phrase("finish-stalled"),
        Finish::CreditExhausted => phrase("finish-credit-exhausted"),
        Finish::Shutdown => phrase("finish-shutdown"),
        Finish::Lost => phrase("finish-lost"),
    }
}
