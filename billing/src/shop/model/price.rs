//! Prices: never changed, only followed by a newer one, so that every usage row keeps the price it was charged at.

use entity::{
    Actor, Credits, Database, ModelId, Platform, PriceVersionId, Timestamp,
    audit_trail::{self, Entry},
    model, price_version,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, LockType},
};
use std::{collections::BTreeSet, time::Duration};

use crate::{
    rating::{self, MAX_TOKENS, RatingError},
    shop::price_table::{ListPrice, PriceSheet},
};

/// The dearest price a class may have: a slip of the decimal point is caught here, not on a bill.
const PRICE_MAX: Credits = Credits::from_nanos(1_000_000_000_000_000);

/// How far ahead a price may be set.
const AHEAD_MAX: Duration = Duration::from_hours(24 * 366 * 10);
/// Prompt lengths with a price of their own.
const TIERS_MAX: usize = 8;
/// Prices of one model that may be set for the same moment.
const SAME_MOMENT_MAX: i64 = 1_000;

/// A price to set: what callers pay, and what the upstream takes where that is known.
#[derive(Clone, Debug)]
pub struct NewPrice {
    /// Of which model.
    pub model: ModelId,
    /// What callers pay.
    pub sale: PriceSheet,
    /// What the upstream takes.
    pub cost: Option<PriceSheet>,
    /// From when; none is now.
    pub effective_at: Option<Timestamp>,
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
    #[error("a price lies between 0 and {PRICE_MAX} credits per million tokens, or for one")]
    OutOfRange,
    /// A prompt length that no prompt has, that is named twice, or that prices searches.
    #[error(
        "prompt lengths are up to {TIERS_MAX}, each above zero and named once, and price tokens alone"
    )]
    Lengths,
    /// It would change what calls of the past cost, or lies too far ahead.
    #[error("a price begins now or within ten years")]
    Moment,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] DbErr),
}

/// Appends a price that holds from its moment on; a hidden model is offered from then on. Of two prices for one moment
/// the one set later holds.
///
/// # Errors
/// [`SetPriceError`].
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
///
/// # Errors
/// [`SetPriceError`]; the caller must then roll back.
pub async fn set_price_in(
    tx: &impl ConnectionTrait,
    price: &NewPrice,
    actor: &Actor,
    now: Timestamp,
) -> Result<PriceVersionId, SetPriceError> {
    let wished = price.effective_at.unwrap_or(now);
    price.check()?;
    if wished < now || wished > now.plus(AHEAD_MAX) {
        return Err(SetPriceError::Moment);
    }
    let known = model::Entity::every()
        .filter(model::Column::Id.eq(price.model))
        .lock(LockType::NoKeyUpdate)
        .one(tx)
        .await?;
    if known.is_none() {
        return Err(SetPriceError::NoModel);
    }

    let effective_at = free_moment(tx, price.model, wished).await?;
    let id = PriceVersionId::fresh();
    let row = price.row(id, effective_at, now)?;
    price_version::Entity::insert(row.into_active_model().reset_all())
        .exec_without_returning(tx)
        .await?;
    model::Entity::change()
        .col_expr(model::Column::Status, Expr::value(model::Status::Active))
        .filter(model::Column::Id.eq(price.model))
        .filter(model::Column::Status.eq(model::Status::Hidden))
        .exec(tx)
        .await?;
    audit_trail::append(tx, price.audit_line(actor, effective_at), now).await?;
    Ok(id)
}

/// The wished moment, or the microsecond after the last price that was set for it.
async fn free_moment(
    tx: &impl ConnectionTrait,
    model: ModelId,
    wished: Timestamp,
) -> Result<Timestamp, DbErr> {
    let until = wished.micros().saturating_add(SAME_MOMENT_MAX);
    let last = price_version::Entity::every()
        .filter(price_version::Column::ModelId.eq(model))
        .filter(price_version::Column::EffectiveAt.gte(wished))
        .filter(price_version::Column::EffectiveAt.lt(until))
        .order_by_desc(price_version::Column::EffectiveAt)
        .one(tx)
        .await?;
    Ok(last.map_or(wished, |row| {
        Timestamp::from_micros(row.effective_at.micros().saturating_add(1))
    }))
}

/// Whether a model has a price now or will have one.
pub(crate) async fn is_priced_in(db: &impl ConnectionTrait, model: ModelId) -> Result<bool, DbErr> {
    let any = price_version::Entity::every()
        .filter(price_version::Column::ModelId.eq(model))
        .one(db)
        .await?;
    Ok(any.is_some())
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
    /// A price set by hand that holds from now on, whose cost is not known.
    pub fn of(model: ModelId, sale: PriceSheet) -> Self {
        Self {
            model,
            sale,
            cost: None,
            effective_at: None,
            source: price_version::Source::Manual,
            note: None,
        }
    }

    fn check(&self) -> Result<(), SetPriceError> {
        for sheet in std::iter::once(&self.sale).chain(&self.cost) {
            let longer = || sheet.long_prompt.iter().map(|(_, price)| price);
            let classes = std::iter::once(&sheet.base)
                .chain(longer())
                .flat_map(ListPrice::classes)
                .chain([sheet.per_request]);
            for class in classes {
                if class.is_negative() || class > PRICE_MAX {
                    return Err(SetPriceError::OutOfRange);
                }
            }
            let lengths: BTreeSet<u64> =
                sheet.long_prompt.iter().map(|(above, _)| *above).collect();
            let in_range = |above: &u64| (1..=MAX_TOKENS).contains(above);
            let by_piece =
                |price: &ListPrice| price.web_search.is_some() || price.file_search.is_some();
            if lengths.len() != sheet.long_prompt.len()
                || lengths.len() > TIERS_MAX
                || !lengths.iter().all(in_range)
                || longer().any(by_piece)
            {
                return Err(SetPriceError::Lengths);
            }
        }
        Ok(())
    }

    /// The row it becomes.
    pub(crate) fn row(
        &self,
        id: PriceVersionId,
        effective_at: Timestamp,
        now: Timestamp,
    ) -> Result<price_version::Model, DbErr> {
        let nanos = |class: Option<Credits>| class.map(Credits::nanos);
        let sale = &self.sale.base;
        let cost = self.cost.as_ref().map(|sheet| &sheet.base);
        Ok(price_version::Model {
            id,
            model_id: self.model,
            effective_at,
            input: sale.input.nanos(),
            output: sale.output.nanos(),
            cache_read: nanos(sale.cache_read),
            cache_write_short: nanos(sale.cache_write_short),
            cache_write_long: nanos(sale.cache_write_long),
            per_request: self.sale.per_request.nanos(),
            tiers: tiers(Some(&self.sale))?,
            cost_input: cost.map(|cost| cost.input.nanos()),
            cost_output: cost.map(|cost| cost.output.nanos()),
            cost_cache_read: nanos(cost.and_then(|cost| cost.cache_read)),
            cost_cache_write_short: nanos(cost.and_then(|cost| cost.cache_write_short)),
            cost_cache_write_long: nanos(cost.and_then(|cost| cost.cache_write_long)),
            cost_per_request: self.cost.as_ref().map(|sheet| sheet.per_request.nanos()),
            source: self.source,
            source_detail: self.note.clone(),
            created_at: now,
            classes: classes(Some(sale))?,
            cost_classes: classes(cost)?,
            cost_tiers: tiers(self.cost.as_ref())?,
        })
    }

    fn audit_line(&self, actor: &Actor, effective_at: Timestamp) -> Entry {
        let sale = &self.sale.base;
        Entry {
            actor: actor.clone(),
            action: "model.price",
            subject: ("model", self.model.to_string()),
            tenant: None,
            reason: self.note.clone(),
            detail: Some(serde_json::json!({
                "source": self.source,
                "effective_at": effective_at.to_string(),
                "input": sale.input,
                "output": sale.output,
                "cache_read": sale.cache_read,
                "cache_write_short": sale.cache_write_short,
                "cache_write_long": sale.cache_write_long,
                "reasoning": sale.reasoning,
                "input_audio": sale.input_audio,
                "input_image": sale.input_image,
                "output_audio": sale.output_audio,
                "output_image": sale.output_image,
                "web_search": sale.web_search,
                "file_search": sale.file_search,
                "per_request": self.sale.per_request,
                "lengths": self.sale.long_prompt.iter().map(|(above, _)| *above).collect::<Vec<_>>(),
            })),
        }
    }
}

/// What callers pay by a stored price.
///
/// # Errors
/// As [`rating::Price::of`]: such a price is not sold.
pub fn sale_of(price: &price_version::Model) -> Result<PriceSheet, RatingError> {
    let base = ListPrice::stored(
        [price.input, price.output],
        [
            price.cache_read,
            price.cache_write_short,
            price.cache_write_long,
        ],
        rating::Classes::parse(price.classes.as_deref())?,
    );
    sheet(base, price.tiers.as_deref(), price.per_request)
}

/// What the upstream takes by a stored price, where it says so.
///
/// # Errors
/// As [`sale_of`].
pub fn cost_of(price: &price_version::Model) -> Result<Option<PriceSheet>, RatingError> {
    let (Some(input), Some(output)) = (price.cost_input, price.cost_output) else {
        return Ok(None);
    };
    let base = ListPrice::stored(
        [input, output],
        [
            price.cost_cache_read,
            price.cost_cache_write_short,
            price.cost_cache_write_long,
        ],
        rating::Classes::parse(price.cost_classes.as_deref())?,
    );
    let per_request = price.cost_per_request.unwrap_or(0);
    sheet(base, price.cost_tiers.as_deref(), per_request).map(Some)
}

fn sheet(
    base: ListPrice,
    tiers: Option<&str>,
    per_request: i64,
) -> Result<PriceSheet, RatingError> {
    let tiers = rating::Tiers::parse(tiers)?;
    Ok(PriceSheet {
        base,
        long_prompt: tiers
            .long_context
            .into_iter()
            .map(|tier| (tier.above, ListPrice::from(tier)))
            .collect(),
        per_request: Credits::from_nanos(per_request),
    })
}

fn classes(price: Option<&ListPrice>) -> Result<Option<String>, DbErr> {
    let further = price.map(ListPrice::further);
    let stated = further.filter(|classes| !classes.is_empty());
    stated.map(|classes| json("classes", &classes)).transpose()
}

fn tiers(sheet: Option<&PriceSheet>) -> Result<Option<String>, DbErr> {
    let longer = sheet.filter(|sheet| !sheet.long_prompt.is_empty());
    longer
        .map(|sheet| json("tiers", &sheet.tiers()))
        .transpose()
}

fn json(column: &str, value: &impl serde::Serialize) -> Result<String, DbErr> {
    serde_json::to_string(value)
        .map_err(|fault| DbErr::Type(format!("price_version.{column}: {fault}")))
}
