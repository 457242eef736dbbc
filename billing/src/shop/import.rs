//! Takes models and prices over from the price table. A price that an operator set by hand is never overwritten.

use std::collections::HashMap;

use chrono::NaiveDate;
use entity::{Actor, Database, ModelId, Platform, Timestamp, Tx, model, price_version};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, QueryFilter, QueryOrder};

use crate::rating;

use super::{
    model::{AddModel, AddModelError, NewPrice, SetPriceError, add_in, set_price_in},
    price_table::{Line, PriceTable},
};

/// How many models one transaction takes over, so that a long import never holds the writer.
const SLICE: usize = 32;

/// What an import would do with one line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The line.
    pub line: Line,
    /// What would happen to it.
    pub verdict: Verdict,
}

/// What an import does with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The model is not here yet.
    Add,
    /// The model is here and has no price.
    Price,
    /// The model has another price from the table.
    Reprice,
    /// The model has this price.
    Same,
    /// An operator set the price by hand; it stays.
    KeepManual,
    /// The vendor's price cannot be said in our classes; an operator sets it by hand.
    Unpriced,
    /// The vendor has switched the model off.
    ShutDown,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Models added, each with its price.
    pub added: u32,
    /// Models that were here and got a price.
    pub priced: u32,
    /// Lines that asked for no change, or may not be changed.
    pub kept: u32,
}

/// Why an import stopped; what it had taken over by then stays.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A line's name cannot be a model's.
    #[error(transparent)]
    Model(#[from] AddModelError),
    /// A line's price cannot be set.
    #[error(transparent)]
    Price(#[from] SetPriceError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] DbErr),
}

/// What the import of each of these lines would do, in their order.
pub async fn preview(
    db: &impl ConnectionTrait,
    lines: &[Line],
    now: Timestamp,
) -> Result<Vec<Proposal>, DbErr> {
    let known = Known::of(db, lines, now).await?;

    Ok(lines
        .iter()
        .map(|line| Proposal {
            line: line.clone(),
            verdict: verdict(line, known.here(line), now.to_datetime().date_naive()),
        })
        .collect())
}

/// Takes over the lines of these models. Doing it twice changes nothing the second time.
pub async fn import(
    db: &Database,
    table: &PriceTable,
    models: &[String],
    actor: Actor,
    now: Timestamp,
) -> Result<Imported, ImportError> {
    let mut sum = Imported::default();
    for names in models.chunks(SLICE) {
        let lines: Vec<Line> = names
            .iter()
            .filter_map(|name| table.line(name).cloned())
            .collect();
        let note = table.retrieved.map(|day| day.to_string());
        let actor = actor.clone();
        let slice = db
            .write(move |tx| {
                Box::pin(async move { import_in(tx, &lines, note.as_deref(), &actor, now).await })
            })
            .await?;
        sum.added = sum.added.saturating_add(slice.added);
        sum.priced = sum.priced.saturating_add(slice.priced);
        sum.kept = sum.kept.saturating_add(slice.kept);
    }
    Ok(sum)
}

/// As [`import`] for at most a slice of lines, in the caller's transaction; `note` names the table's day.
pub async fn import_in(
    tx: &Tx,
    lines: &[Line],
    note: Option<&str>,
    actor: &Actor,
    now: Timestamp,
) -> Result<Imported, ImportError> {
    let known = Known::of(tx, lines, now).await?;
    let today = now.to_datetime().date_naive();
    let mut done = Imported::default();
    for line in lines {
        let here = known.here(line);
        let (model, count) = match (verdict(line, here, today), here) {
            (Verdict::Add, _) => {
                let model = add_in(tx, &addition(line), actor, now).await?;
                (model, &mut done.added)
            }
            (Verdict::Price | Verdict::Reprice, Some(here)) => (here.model, &mut done.priced),
            _ => {
                done.kept = done.kept.saturating_add(1);
                continue;
            }
        };
        if let Some(price) = priced(line, model, note) {
            set_price_in(tx, &price, actor, now).await?;
            *count = count.saturating_add(1);
        }
    }
    Ok(done)
}

fn addition(line: &Line) -> AddModel {
    AddModel {
        name: line.model.clone(),
        kind: if line.embeds {
            model::Kind::Embedding
        } else {
            model::Kind::Chat
        },
        context_window: line.context_window,
        max_output: line.output_limit,
        capabilities: line.capabilities.clone(),
    }
}

fn priced(line: &Line, model: ModelId, note: Option<&str>) -> Option<NewPrice> {
    let sheet = line.price.clone()?;
    Some(NewPrice {
        cost: Some(sheet.clone()),
        source: price_version::Source::Table,
        note: note.map(str::to_owned),
        ..NewPrice::of(model, sheet)
    })
}

/// A model that is here already.
#[derive(Clone, Debug)]
struct Here {
    model: ModelId,
    price: Option<price_version::Model>,
}

/// The models here that bear the names of some lines, by name.
struct Known(HashMap<String, Here>);

impl Known {
    async fn of(db: &impl ConnectionTrait, lines: &[Line], now: Timestamp) -> Result<Self, DbErr> {
        let mut known = HashMap::new();
        for slice in lines.chunks(SLICE) {
            let names = slice.iter().map(|line| line.model.as_str());
            let models = model::Entity::every()
                .filter(model::Column::Name.is_in(names))
                .all(db)
                .await?;
            let ids = models.iter().map(|model| model.id);
            // The oldest first, so that the newest of a model is what the map keeps.
            let prices = price_version::Entity::every()
                .filter(price_version::Column::ModelId.is_in(ids))
                .filter(price_version::Column::EffectiveAt.lte(now))
                .order_by_asc(price_version::Column::EffectiveAt)
                .order_by_asc(price_version::Column::Id)
                .all(db)
                .await?;
            let mut latest: HashMap<_, _> = prices
                .into_iter()
                .map(|price| (price.model_id, price))
                .collect();
            known.extend(models.into_iter().map(|model| {
                let price = latest.remove(&model.id);
                (
                    model.name,
                    Here {
                        model: model.id,
                        price,
                    },
                )
            }));
        }
        Ok(Self(known))
    }

    fn here(&self, line: &Line) -> Option<&Here> {
        self.0.get(&line.model)
    }
}

fn verdict(line: &Line, here: Option<&Here>, today: NaiveDate) -> Verdict {
    if line.price.is_none() {
        return Verdict::Unpriced;
    }
    let Some(here) = here else {
        return if line.is_shut_down(today) {
            Verdict::ShutDown
        } else {
            Verdict::Add
        };
    };
    match &here.price {
        None => Verdict::Price,
        Some(price) if price.source != price_version::Source::Table => Verdict::KeepManual,
        Some(price) if is_at(price, line) => Verdict::Same,
        Some(_) => Verdict::Reprice,
    }
}

/// Whether a price charges what the line lists, in every class and at every length, and costs what it lists.
fn is_at(price: &price_version::Model, line: &Line) -> bool {
    let listed = priced(line, price.model_id, None).and_then(|listed| {
        listed
            .row(price.id, price.effective_at, price.created_at)
            .ok()
    });
    listed.is_some_and(|listed| {
        rating::Price::of(price) == rating::Price::of(&listed)
            && rating::Price::upstream(price) == rating::Price::upstream(&listed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::PriceVersionId;

    fn line(model: &str) -> Line {
        PriceTable::shipped()
            .line(model)
            .cloned()
            .expect("a line of the shipped table")
    }

    fn price(line: &Line, source: price_version::Source) -> price_version::Model {
        let start = Timestamp::from_micros(0);
        let price = NewPrice {
            source,
            ..priced(line, ModelId::fresh(), None).expect("a priced line")
        };
        price
            .row(PriceVersionId::fresh(), start, start)
            .expect("a row")
    }

    #[test]
    fn what_an_import_does_follows_from_what_is_here() {
        let today = NaiveDate::from_ymd_opt(2026, 11, 21).expect("a day");
        let sonnet = line("claude-sonnet-4-5");
        let same = price(&sonnet, price_version::Source::Table);
        let older = price_version::Model {
            input: 1,
            ..same.clone()
        };
        let without_searches = price_version::Model {
            classes: None,
            input: same.input,
            ..same.clone()
        };
        let cheaper_search = price_version::Model {
            classes: Some(r#"{"web_search":1}"#.to_owned()),
            ..same.clone()
        };
        let by_hand = price_version::Model {
            source: price_version::Source::Manual,
            ..older.clone()
        };

        let here = |price: Option<price_version::Model>| Here {
            model: ModelId::fresh(),
            price,
        };

        assert_eq!(verdict(&sonnet, None, today), Verdict::Add);
        assert_eq!(verdict(&sonnet, Some(&here(None)), today), Verdict::Price);
        assert_eq!(
            verdict(&sonnet, Some(&here(Some(same))), today),
            Verdict::Same
        );
        assert_eq!(
            verdict(&sonnet, Some(&here(Some(older))), today),
            Verdict::Reprice
        );
        assert_eq!(
            verdict(&sonnet, Some(&here(Some(by_hand))), today),
            Verdict::KeepManual
        );
        // A search that is not stated costs what this line lists anyhow.
        assert_eq!(
            verdict(&sonnet, Some(&here(Some(without_searches))), today),
            Verdict::Same
        );
        assert_eq!(
            verdict(&sonnet, Some(&here(Some(cheaper_search))), today),
            Verdict::Reprice
        );
        let unpriced = Line {
            price: None,
            ..line("qwen3-max")
        };
        assert_eq!(verdict(&unpriced, None, today), Verdict::Unpriced);
        assert_eq!(
            verdict(&line("gpt-5.2-codex"), None, today),
            Verdict::ShutDown
        );
    }
}
