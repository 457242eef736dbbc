//! The list that comes with the product: facts as decimal text, USD per 1,000,000 tokens.

use super::{Line, ListPrice, PriceSheet, PriceTable, PriceTableError};
use chrono::NaiveDate;
use entity::Credits;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

const SHIPPED: &str = include_str!("../../../data/prices.json");
const SANDBOX: &str = include_str!("../../../data/sandbox.json");

/// The vendors' models, then those of the sandbox.
pub(super) fn tables() -> PriceTable {
    let read = |text| parse(text).expect("the shipped tables are parsed by a unit test");
    let mut table = read(SHIPPED);
    table.lines.extend(read(SANDBOX).lines);
    table
}

/// Whether a text is a table of this form: it lists its models, where the community's names them.
pub(super) fn is_of_form(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Front {
        #[serde(rename = "models")]
        _models: Vec<serde::de::IgnoredAny>,
    }
    serde_json::from_str::<Front>(text).is_ok()
}

/// Reads a table; fails on the first line that is not exact.
pub(super) fn parse(text: &str) -> Result<PriceTable, PriceTableError> {
    let document: Document = serde_json::from_str(text)?;
    let lines = document
        .models
        .into_iter()
        .map(RawLine::read)
        .collect::<Result<_, _>>()?;

    Ok(PriceTable {
        retrieved: document.retrieved,
        lines,
        skipped: 0,
    })
}

#[derive(Deserialize)]
struct Document {
    retrieved: Option<NaiveDate>,
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
    #[serde(default)]
    prompt_size_bands: Vec<RawBand>,
    #[serde(default)]
    service_tiers: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    multipliers: BTreeMap<String, serde_json::Value>,
    off_peak: Option<serde::de::IgnoredAny>,
    /// USD each, by the size of what is searched.
    #[serde(default)]
    web_search_usd_per_call: BTreeMap<String, String>,
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

#[derive(Deserialize)]
struct RawBand {
    from_tokens: u64,
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

/// The names of classes that are charged.
const CHARGED: &[&str] = &[
    "input",
    "output",
    "cache_read",
    "cache_write_5m",
    "cache_write_30m",
    "cache_write",
    "cache_write_1h",
    "cache_write_12h",
    "reasoning_output",
    "audio_input",
    "image_input",
    "audio_output",
    "image_output",
];

impl RawLine {
    fn read(self) -> Result<Line, PriceTableError> {
        let embeds = self.mode == "embedding";
        let named = |fault: ClassFault| PriceTableError::Price {
            model: self.model.clone(),
            class: fault.class,
            text: fault.text,
        };
        let price = self.sheet(embeds).map_err(named)?;
        let uncharged = self.uncharged();

        Ok(Line {
            embeds,
            price,
            uncharged,
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

    fn sheet(&self, embeds: bool) -> Result<Option<PriceSheet>, ClassFault> {
        let mut longer: Vec<(u64, &Rates)> = self
            .long_context
            .iter()
            .map(|tier| (tier.above(), &tier.usd_per_million))
            .collect();
        let mut base = &self.usd_per_million;
        for band in &self.prompt_size_bands {
            if band.from_tokens == 0 {
                base = &band.usd_per_million;
            } else {
                longer.push((band.from_tokens, &band.usd_per_million));
            }
        }
        let Some(mut base) = base.price(embeds)? else {
            return Ok(None);
        };
        base.web_search = self.web_search()?;
        let mut long_prompt = Vec::with_capacity(longer.len());
        for (above, rates) in longer {
            let Some(price) = rates.price(embeds)? else {
                return Ok(None);
            };
            long_prompt.push((above, price));
        }
        Ok(Some(PriceSheet {
            base,
            long_prompt,
            per_request: Credits::ZERO,
        }))
    }

    /// The dearest of the sizes, for an answer does not say which it was.
    fn web_search(&self) -> Result<Option<Credits>, ClassFault> {
        let mut dearest = None;
        for text in self.web_search_usd_per_call.values() {
            dearest = dearest.max(Some(credits("web_search_usd_per_call", text)?));
        }
        Ok(dearest)
    }

    fn uncharged(&self) -> Vec<String> {
        let tiers = self.long_context.iter().map(|tier| &tier.usd_per_million);
        let bands = self
            .prompt_size_bands
            .iter()
            .map(|band| &band.usd_per_million);
        let classes = std::iter::once(&self.usd_per_million)
            .chain(tiers)
            .chain(bands)
            .flat_map(|rates| rates.0.keys())
            .filter(|class| !CHARGED.contains(&class.as_str()))
            .cloned();
        let names: BTreeSet<String> = classes
            .chain(self.service_tiers.keys().map(|tier| format!("*_{tier}")))
            .chain(self.multipliers.keys().cloned())
            .chain(self.off_peak.is_some().then(|| "off_peak".to_owned()))
            .collect();
        names.into_iter().collect()
    }
}

impl RawTier {
    fn above(&self) -> u64 {
        match self.comparison {
            Comparison::Above => self.above_prompt_tokens,
            Comparison::From => self.above_prompt_tokens.saturating_sub(1),
        }
    }
}

struct ClassFault {
    class: String,
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

        Ok(Some(ListPrice {
            input,
            cache_read: self.class(&["cache_read"])?,
            cache_write_short: self.class(&["cache_write_5m", "cache_write_30m", "cache_write"])?,
            cache_write_long: self.class(&["cache_write_1h", "cache_write_12h"])?,
            output,
            reasoning: self.class(&["reasoning_output"])?,
            input_audio: self.class(&["audio_input"])?,
            input_image: self.class(&["image_input"])?,
            output_audio: self.class(&["audio_output"])?,
            output_image: self.class(&["image_output"])?,
            ..ListPrice::default()
        }))
    }

    fn class(&self, names: &[&str]) -> Result<Option<Credits>, ClassFault> {
        let found = names
            .iter()
            .find_map(|name| self.0.get(*name).map(|text| (*name, text)));
        found.map(|(class, text)| credits(class, text)).transpose()
    }
}

fn credits(class: &str, text: &str) -> Result<Credits, ClassFault> {
    match Credits::parse(text) {
        Ok(price) if !price.is_negative() => Ok(price),
        _ => Err(ClassFault {
            class: class.to_owned(),
            text: text.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::price_table::SANDBOX_VENDOR;

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
            .and_then(|line| line.price.clone())
            .expect("a listed price");
        assert_eq!(
            sonnet.base,
            ListPrice {
                input: credits("3"),
                cache_read: Some(credits("0.3")),
                cache_write_short: Some(credits("3.75")),
                cache_write_long: Some(credits("6")),
                output: credits("15"),
                web_search: Some(credits("0.01")),
                ..ListPrice::default()
            }
        );
    }

    #[test]
    fn a_price_keeps_every_digit() {
        let table = table(r#"{"model":"m","provider":"v","mode":"chat","usd_per_million":{"input":"0.388126","output":"0.000000001"},"context_window":1,"max_output":null}"#)
            .expect("a table");

        let price = table.lines[0].price.clone().expect("a price").base;
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
                matches!(&refused, Err(PriceTableError::Price { class, .. }) if class == "input"),
                "{text:?} was taken"
            );
        }
    }

    #[test]
    fn a_model_priced_by_the_size_of_its_prompt_has_a_price_for_each() {
        let table = PriceTable::shipped();
        let sheet = table
            .line("qwen3-max")
            .and_then(|line| line.price.clone())
            .expect("a price");

        let inputs: Vec<_> = sheet
            .long_prompt
            .iter()
            .map(|(above, price)| (*above, price.input))
            .collect();
        assert_eq!(sheet.base.input, credits("1.2"));
        assert_eq!(inputs, [(32_000, credits("2.4")), (128_000, credits("3"))]);
    }

    #[test]
    fn sound_and_dearer_reasoning_are_listed_and_what_is_not_charged_is_named() {
        let table = PriceTable::shipped();
        let base = |model: &str| {
            let line = table.line(model).expect("listed");
            line.price.as_ref().expect("a price").base
        };

        assert_eq!(base("qwen-turbo").reasoning, Some(credits("0.5")));
        let audio = base("gpt-audio");
        assert_eq!(
            (audio.input_audio, audio.output_audio),
            (Some(credits("32")), Some(credits("64")))
        );
        let flash = table.line("gemini-2.5-flash").expect("listed");
        assert_eq!(
            flash.uncharged,
            ["*_batch", "*_flex", "*_priority", "cached_audio_input"]
        );
    }

    #[test]
    fn a_long_prompt_takes_its_own_price_from_the_first_token_past_the_threshold() {
        let table = PriceTable::shipped();
        let tier = |model: &str| {
            let line = table.line(model).expect("listed");
            let sheet = line.price.as_ref().expect("a price");
            sheet.long_prompt.first().copied().expect("a tier")
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
        assert_eq!(
            line.price.as_ref().map(|price| price.base.output),
            Some(Credits::ZERO)
        );
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
