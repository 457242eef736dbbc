//! The list of vendors' prices that comes with the product, read without a float.
//!
//! `data/prices.json` is a table of facts: USD per 1,000,000 tokens as decimal text. One credit is one US dollar of
//! list price, so a line's text becomes credits per 1,000,000 tokens unchanged.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use entity::Credits;
use serde::Deserialize;

const SHIPPED: &str = include_str!("../../data/prices.json");
const SANDBOX: &str = include_str!("../../data/sandbox.json");
/// The vendor's word for the models that this process answers itself.
pub const SANDBOX_VENDOR: &str = "sandbox";

/// The whole table, with the day on which it was read from its source.
#[derive(Clone, Debug)]
pub struct PriceTable {
    /// Day of the facts, as `YYYY-MM-DD`.
    pub retrieved: NaiveDate,
    /// One line a model, in the order of the table.
    pub lines: Vec<Line>,
}

/// What one model is listed at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The public name of the model.
    pub model: String,
    /// The vendor's word, such as `openai`.
    pub vendor: String,
    /// Whether the model answers or embeds.
    pub embeds: bool,
    /// The base price; `None` where the vendor's cannot be said in our classes and an operator has to choose.
    pub price: Option<ListPrice>,
    /// Prompts of more tokens than this take the other price, for all their tokens.
    pub long_prompt: Option<(u64, ListPrice)>,
    /// Most tokens of input and output together, where known.
    pub context_window: Option<i64>,
    /// Most tokens of one answer, where known.
    pub output_limit: Option<i64>,
    /// The vendor's word on what the model can do, such as `vision`.
    pub capabilities: Vec<String>,
    /// The day on which the vendor switches the model off.
    pub shutdown: Option<NaiveDate>,
}

/// Credits per 1,000,000 tokens of each class; a class without a price falls back as `rating` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPrice {
    /// Input that no cache held.
    pub input: Credits,
    /// Input read from a cache.
    pub cache_read: Option<Credits>,
    /// Input written to a cache for minutes.
    pub cache_write_short: Option<Credits>,
    /// Input written to a cache for hours.
    pub cache_write_long: Option<Credits>,
    /// Output, reasoning included.
    pub output: Credits,
}

/// Why a text is not a price table.
#[derive(Debug, thiserror::Error)]
pub enum PriceTableError {
    /// Not JSON of the table's form.
    #[error("the price table cannot be read: {0}")]
    Form(#[from] serde_json::Error),
    /// A price that is not decimal text, or finer than a nano-credit.
    #[error("the {class} price of {model} is {text:?}, which is no decimal price")]
    Price {
        /// The line's model.
        model: String,
        /// The class of tokens.
        class: &'static str,
        /// What stood there.
        text: String,
    },
}

impl PriceTable {
    /// The table that comes with this build: the vendors' models, then those of the sandbox.
    pub fn shipped() -> Self {
        let read = |text| Self::parse(text).expect("the shipped tables are parsed by a unit test");
        let mut table = read(SHIPPED);
        table.lines.extend(read(SANDBOX).lines);
        table
    }

    /// Reads a table; fails on the first line that is not exact.
    pub fn parse(text: &str) -> Result<Self, PriceTableError> {
        let document: Document = serde_json::from_str(text)?;
        let lines = document
            .models
            .into_iter()
            .map(RawLine::read)
            .collect::<Result<_, _>>()?;

        Ok(Self {
            retrieved: document.retrieved,
            lines,
        })
    }

    /// The vendors of the table, each once, in alphabetical order.
    pub fn vendors(&self) -> Vec<&str> {
        let mut vendors: Vec<&str> = self.lines.iter().map(|line| line.vendor.as_str()).collect();
        vendors.sort_unstable();
        vendors.dedup();
        vendors
    }

    /// The names of one vendor's models, in the order of the table.
    pub fn names_of(&self, vendor: &str) -> Vec<String> {
        let lines = self.lines.iter().filter(|line| line.vendor == vendor);
        lines.map(|line| line.model.clone()).collect()
    }

    /// The line of a model, by its public name.
    pub fn line(&self, model: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.model == model)
    }
}

impl ListPrice {
    /// The stated prices, in the order of the fields.
    pub fn classes(&self) -> impl Iterator<Item = Credits> {
        [
            Some(self.input),
            self.cache_read,
            self.cache_write_short,
            self.cache_write_long,
            Some(self.output),
        ]
        .into_iter()
        .flatten()
    }
}

impl Line {
    /// Whether the vendor has switched the model off on or before `today`.
    pub fn is_shut_down(&self, today: NaiveDate) -> bool {
        self.shutdown.is_some_and(|day| day <= today)
    }
}

#[derive(Deserialize)]
struct Document {
    retrieved: NaiveDate,
    models: Vec<RawLine>,
}

#[derive(Deserialize)]
struct RawLine {
    model: String,
    provider: String,
    mode: String,
    usd_per_million: Rates,
    #[serde(default)]
    long_context: Vec<RawTier>,
    context_window: Option<i64>,
    max_output: Option<i64>,
    #[serde(default)]
    capabilities: BTreeMap<String, bool>,
    shutdown_date: Option<NaiveDate>,
}

#[derive(Deserialize)]
struct RawTier {
    above_prompt_tokens: u64,
    comparison: Comparison,
    usd_per_million: Rates,
}

#[derive(Clone, Copy, Deserialize)]
enum Comparison {
    #[serde(rename = ">")]
    Above,
    #[serde(rename = ">=")]
    From,
}

/// Decimal text by class, in USD per 1,000,000 tokens.
#[derive(Deserialize)]
#[serde(transparent)]
struct Rates(BTreeMap<String, String>);

impl RawLine {
    fn read(self) -> Result<Line, PriceTableError> {
        let embeds = self.mode == "embedding";
        let named = |fault: ClassFault| PriceTableError::Price {
            model: self.model.clone(),
            class: fault.class,
            text: fault.text,
        };
        let price = self.usd_per_million.price(embeds).map_err(named)?;
        let tiers: Vec<_> = self
            .long_context
            .iter()
            .map(|tier| tier.read(embeds))
            .collect::<Result<_, _>>()
            .map_err(named)?;
        // One threshold is what a price version can say; a line with more is left to the operator, like one without.
        let (price, long_prompt) = match tiers.as_slice() {
            [] => (price, None),
            [Some(tier)] => (price, Some(*tier)),
            _ => (None, None),
        };

        Ok(Line {
            embeds,
            price,
            long_prompt,
            context_window: self.context_window,
            output_limit: self.max_output.filter(|_| !embeds),
            capabilities: self
                .capabilities
                .into_iter()
                .filter_map(|(word, can)| can.then_some(word))
                .chain((self.mode == "responses").then(|| "responses_only".to_owned()))
                .collect(),
            shutdown: self.shutdown_date,
            model: self.model,
            vendor: self.provider,
        })
    }
}

impl RawTier {
    fn read(&self, embeds: bool) -> Result<Option<(u64, ListPrice)>, ClassFault> {
        let above = match self.comparison {
            Comparison::Above => self.above_prompt_tokens,
            Comparison::From => self.above_prompt_tokens.saturating_sub(1),
        };
        let price = self.usd_per_million.price(embeds)?;
        Ok(price.map(|price| (above, price)))
    }
}

struct ClassFault {
    class: &'static str,
    text: String,
}

impl Rates {
    fn price(&self, embeds: bool) -> Result<Option<ListPrice>, ClassFault> {
        let Some(input) = self.class(&["input"])? else {
            return Ok(None);
        };
        let output = match self.class(&["output"])? {
            Some(output) => output,
            None if embeds => Credits::ZERO,
            None => return Ok(None),
        };
        // Reasoning is billed as output; where the vendor takes more for it, no price of ours says so.
        if self
            .class(&["reasoning_output"])?
            .is_some_and(|reasoning| reasoning > output)
        {
            return Ok(None);
        }

        Ok(Some(ListPrice {
            input,
            cache_read: self.class(&["cache_read"])?,
            cache_write_short: self.class(&["cache_write_5m", "cache_write_30m", "cache_write"])?,
            cache_write_long: self.class(&["cache_write_1h", "cache_write_12h"])?,
            output,
        }))
    }

    fn class(&self, names: &[&'static str]) -> Result<Option<Credits>, ClassFault> {
        let found = names
            .iter()
            .find_map(|name| self.0.get(*name).map(|text| (*name, text)));
        let Some((class, text)) = found else {
            return Ok(None);
        };

        match Credits::parse(text) {
            Ok(price) if !price.is_negative() => Ok(Some(price)),
            _ => Err(ClassFault {
                class,
                text: text.clone(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credits(text: &str) -> Credits {
        Credits::parse(text).expect("a decimal")
    }

    fn table(models: &str) -> Result<PriceTable, PriceTableError> {
        PriceTable::parse(&format!(
            r#"{{"retrieved":"2026-11-21","models":[{models}]}}"#
        ))
    }

    #[test]
    fn the_shipped_table_is_exact() {
        let table = PriceTable::shipped();

        assert_eq!(table.lines.len(), 173 + 3);
        assert!(table.vendors().contains(&"anthropic"));
        let sonnet = table
            .line("claude-sonnet-4-5")
            .and_then(|line| line.price)
            .expect("a listed price");
        assert_eq!(
            sonnet,
            ListPrice {
                input: credits("3"),
                cache_read: Some(credits("0.3")),
                cache_write_short: Some(credits("3.75")),
                cache_write_long: Some(credits("6")),
                output: credits("15"),
            }
        );
    }

    #[test]
    fn a_price_keeps_every_digit() {
        let table = table(r#"{"model":"m","provider":"v","mode":"chat","usd_per_million":{"input":"0.388126","output":"0.000000001"},"context_window":1,"max_output":null}"#)
            .expect("a table");

        let price = table.lines[0].price.expect("a price");
        assert_eq!(price.input.nanos(), 388_126_000);
        assert_eq!(price.output.nanos(), 1);
    }

    #[test]
    fn a_price_that_is_no_decimal_is_named() {
        for text in ["-1", "1e-7", "free", "", "0.0000000001"] {
            let refused = table(&format!(
                r#"{{"model":"m","provider":"v","mode":"chat","usd_per_million":{{"input":"{text}","output":"1"}},"context_window":1,"max_output":1}}"#
            ));

            assert!(
                matches!(refused, Err(PriceTableError::Price { class: "input", .. })),
                "{text:?} was taken"
            );
        }
    }

    #[test]
    fn a_model_priced_by_the_size_of_its_prompt_is_left_to_the_operator() {
        assert_eq!(
            PriceTable::shipped()
                .line("qwen3-max")
                .expect("listed")
                .price,
            None
        );
    }

    #[test]
    fn a_model_whose_reasoning_costs_more_than_its_output_is_left_to_the_operator() {
        assert_eq!(
            PriceTable::shipped()
                .line("qwen-turbo")
                .expect("listed")
                .price,
            None
        );
    }

    #[test]
    fn a_long_prompt_takes_its_own_price_from_the_first_token_past_the_threshold() {
        let table = PriceTable::shipped();
        let tier = |model: &str| {
            table
                .line(model)
                .and_then(|line| line.long_prompt)
                .expect("a tier")
        };

        let (above, price) = tier("gpt-5.4");
        assert_eq!(
            (above, price.input, price.output),
            (272_000, credits("5"), credits("22.5"))
        );
        assert_eq!(
            tier("grok-4.3").0,
            199_999,
            "this vendor's tier begins at the threshold itself"
        );
    }

    #[test]
    fn the_sandbox_has_priced_models() {
        let table = PriceTable::shipped();

        let names = table.names_of(SANDBOX_VENDOR);

        assert_eq!(
            names,
            ["sandbox/echo", "sandbox/story", "sandbox/embedding"]
        );
        let priced = |name: &String| table.line(name).is_some_and(|line| line.price.is_some());
        assert!(names.iter().all(priced));
    }

    #[test]
    fn an_embedding_has_free_output() {
        let table = PriceTable::shipped();
        let line = table.line("text-embedding-3-small").expect("listed");

        assert!(line.embeds);
        assert_eq!(line.price.map(|price| price.output), Some(Credits::ZERO));
    }

    #[test]
    fn a_model_is_shut_down_from_its_day_on() {
        let table = PriceTable::shipped();
        let line = table.line("claude-sonnet-4-5").expect("listed");
        let day = |text: &str| text.parse::<NaiveDate>().expect("a day");

        assert!(!line.is_shut_down(day("2026-11-29")));
        assert!(line.is_shut_down(day("2026-11-30")));
    }
}
