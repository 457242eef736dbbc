//! Prices: never changed, only followed by a newer one, so that every usage row keeps the price it was charged at.

use entity::{
    Actor, Credits, Database, ModelId, Platform, PriceVersionId, Timestamp,
    audit_trail::{self, Entry},
    model, price_version,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, Set, sea_query::Expr,
};

use crate::{rating, shop::price_table::ListPrice};

/// The dearest price a class may have: a slip of the decimal point is caught here, not on a bill.
const PRICE_MAX: Credits = Credits::from_nanos(1_000_000_000_000_000);

/// A price to set: what callers pay, and what the upstream takes where that is known.
#[derive(Clone, Debug)]
pub struct NewPrice {
    /// Of which model.
    pub model: ModelId,
    /// What callers pay.
    pub sale: ListPrice,
    /// What callers pay for all tokens of a request whose prompt is longer than this.
    pub long_prompt: Option<(u64, ListPrice)>,
    /// What callers pay for the call itself.
    pub per_request: Credits,
    /// What the upstream takes.
    pub cost: Option<ListPrice>,
    /// Who set it.
    pub source: price_version::Source,
    /// The table's day, or the operator's note.
    pub note: Option<String>,
}

/// Why a price was not set.
#[derive(Debug, thiserror::Error)]
pub enum SetPriceError {
    /// There is no such model.
    #[error("no such model")]
    NoModel,
    /// A class is below zero or above what any vendor takes.
    #[error("a price lies between 0 and {PRICE_MAX} credits per million tokens")]
    OutOfRange,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] DbErr),
}

/// Appends a price that holds from `now` on; a hidden model is offered from then on.
pub async fn set_price(
    db: &Database,
    price: NewPrice,
    actor: Actor,
    now: Timestamp,
) -> Result<PriceVersionId, SetPriceError> {
    db.write(move |tx| Box::pin(async move { set_price_in(tx, &price, &actor, now).await }))
        .await
}

/// As [`set_price`], in the caller's transaction.
pub async fn set_price_in(
    tx: &impl ConnectionTrait,
    price: &NewPrice,
    actor: &Actor,
    now: Timestamp,
) -> Result<PriceVersionId, SetPriceError> {
    price.check()?;
    let known = model::Entity::every()
        .filter(model::Column::Id.eq(price.model))
        .one(tx)
        .await?;
    if known.is_none() {
        return Err(SetPriceError::NoModel);
    }

    let id = PriceVersionId::fresh();
    price_version::Entity::insert(price.row(id, now)?)
        .exec_without_returning(tx)
        .await?;
    model::Entity::change()
        .col_expr(model::Column::Status, Expr::value(model::Status::Active))
        .filter(model::Column::Id.eq(price.model))
        .filter(model::Column::Status.eq(model::Status::Hidden))
        .exec(tx)
        .await?;
    audit_trail::append(tx, price.audit_line(actor), now).await?;
    Ok(id)
}

/// The price of a model that holds at `now`.
pub async fn latest_in(
    db: &impl ConnectionTrait,
    model: ModelId,
    now: Timestamp,
) -> Result<Option<price_version::Model>, DbErr> {
    price_version::Entity::every()
        .filter(price_version::Column::ModelId.eq(model))
        .filter(price_version::Column::EffectiveAt.lte(now))
        .order_by_desc(price_version::Column::EffectiveAt)
        .order_by_desc(price_version::Column::Id)
        .one(db)
        .await
}

impl NewPrice {
    fn check(&self) -> Result<(), SetPriceError> {
        let long = self.long_prompt.iter().map(|(_, price)| price);
        let classes = [&self.sale]
            .into_iter()
            .chain(long)
            .chain(self.cost.iter())
            .flat_map(ListPrice::classes)
            .chain([self.per_request]);
        for class in classes {
            if class.is_negative() || class > PRICE_MAX {
                return Err(SetPriceError::OutOfRange);
            }
        }
        Ok(())
    }

    fn row(&self, id: PriceVersionId, now: Timestamp) -> Result<price_version::ActiveModel, DbErr> {
        let nanos = |class: Option<Credits>| class.map(Credits::nanos);
        let cost = self.cost.as_ref();
        Ok(price_version::ActiveModel {
            id: Set(id),
            model_id: Set(self.model),
            effective_at: Set(now),
            input: Set(self.sale.input.nanos()),
            output: Set(self.sale.output.nanos()),
            cache_read: Set(nanos(self.sale.cache_read)),
            cache_write_short: Set(nanos(self.sale.cache_write_short)),
            cache_write_long: Set(nanos(self.sale.cache_write_long)),
            per_request: Set(self.per_request.nanos()),
            tiers: Set(self.tiers()?),
            cost_input: Set(cost.map(|cost| cost.input.nanos())),
            cost_output: Set(cost.map(|cost| cost.output.nanos())),
            cost_cache_read: Set(nanos(cost.and_then(|cost| cost.cache_read))),
            cost_cache_write_short: Set(nanos(cost.and_then(|cost| cost.cache_write_short))),
            cost_cache_write_long: Set(nanos(cost.and_then(|cost| cost.cache_write_long))),
            cost_per_request: Set(None),
            source: Set(self.source),
            source_detail: Set(self.note.clone()),
            created_at: Set(now),
        })
    }

    fn tiers(&self) -> Result<Option<String>, DbErr> {
        let Some((above, price)) = &self.long_prompt else {
            return Ok(None);
        };
        let tiers = rating::Tiers {
            long_context: Some(rating::LongContext {
                above: *above,
                input: price.input.nanos(),
                output: price.output.nanos(),
                cache_read: price.cache_read.map(Credits::nanos),
                cache_write_short: price.cache_write_short.map(Credits::nanos),
                cache_write_long: price.cache_write_long.map(Credits::nanos),
            }),
        };
        serde_json::to_string(&tiers)
            .map(Some)
            .map_err(|fault| DbErr::Type(format!("price_version.tiers: {fault}")))
    }

    fn audit_line(&self, actor: &Actor) -> Entry {
        Entry {
            actor: actor.clone(),
            action: "model.price",
            subject: ("model", self.model.to_string()),
            tenant: None,
            reason: self.note.clone(),
            detail: Some(serde_json::json!({
                "source": self.source,
                "input": self.sale.input,
                "output": self.sale.output,
                "cache_read": self.sale.cache_read,
                "cache_write_short": self.sale.cache_write_short,
                "cache_write_long": self.sale.cache_write_long,
                "per_request": self.per_request,
            })),
        }
    }
}
