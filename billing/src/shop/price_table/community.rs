//! The table that the community keeps: one object a model, prices in US dollars for one token as JSON numbers.
//!
//! Numbers are read from their text, never as floats. A model is listed by many resellers; the vendor's own entry stands
//! under its bare name, a reseller's under its whole key.

use super::{Line, ListPrice, PriceSheet, PriceTable, PriceTableError, decimal};
use entity::Credits;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// Vendors whose entries lose the prefix that names them.
const FIRST_HAND: &[&str] = &[
    "anthropic",
    "openai",
    "gemini",
    "deepseek",
    "xai",
    "mistral",
    "moonshot",
    "minimax",
    "dashscope",
    "zai",
    "cohere",
    "volcengine",
];
/// Ends of the names of prices for a service tier, which the gateway does not offer.
const SERVICE_TIERS: &[&str] = &[
    "_batches",
    "_flex",
    "_priority",
    "_ultrafast",
    "_balanced",
    "_decisions",
];
/// A price for one token, as one for a million.
const PER_MILLION: i32 = 6;
/// A price for one.
const EACH: i32 = 0;
/// A price for a thousand, as one for one.
const PER_THOUSAND: i32 = -3;

type Entry = BTreeMap<String, Box<RawValue>>;

/// Reads the whole table or some entries of it.
pub(super) fn parse(text: &str) -> Result<PriceTable, PriceTableError> {
    let entries: BTreeMap<String, Entry> = serde_json::from_str(text)?;
    let mut lines: BTreeMap<String, (bool, Line)> = BTreeMap::new();
    let mut skipped: usize = 0;
    for (key, entry) in entries.iter().filter(|(key, _)| *key != "sample_spec") {
        let read = Reading {
            key,
            entry,
            taken: BTreeSet::new(),
        };
        let Some((first_hand, line)) = read.line()? else {
            skipped = skipped.saturating_add(1);
            continue;
        };
        // Of two entries of one name the vendor's own stands.
        let stands = lines
            .get(&line.model)
            .is_none_or(|(of_vendor, _)| first_hand && !of_vendor);
        if stands {
            lines.insert(line.model.clone(), (first_hand, line));
        }
    }
    Ok(PriceTable {
        retrieved: None,
        lines: lines.into_values().map(|(_, line)| line).collect(),
        skipped,
    })
}

/// One entry while it is read; what was looked at is no unknown price.
struct Reading<'a> {
    key: &'a str,
    entry: &'a Entry,
    taken: BTreeSet<String>,
}

impl Reading<'_> {
    fn line(mut self) -> Result<Option<(bool, Line)>, PriceTableError> {
        let vendor = self.text("litellm_provider").unwrap_or_default();
        let (embeds, only_responses) = match self.text("mode").as_deref() {
            Some("chat") => (false, false),
            Some("responses") => (false, true),
            Some("embedding") => (true, false),
            _ => return Ok(None),
        };
        let first_hand = FIRST_HAND.contains(&vendor.as_str());
        let bare = self
            .key
            .strip_prefix(vendor.as_str())
            .and_then(|rest| rest.strip_prefix('/'));
        let model = match bare {
            Some(bare) if first_hand => bare,
            _ => self.key,
        };
        let price = self.sheet(embeds, vendor == "xai")?;
        let capabilities = self
            .entry
            .iter()
            .filter(|(_, value)| value.get() == "true")
            .filter_map(|(name, _)| name.strip_prefix("supports_"))
            .map(str::to_owned)
            .chain(only_responses.then(|| "responses_only".to_owned()));
        let line = Line {
            model: model.to_owned(),
            embeds,
            uncharged: self.uncharged(),
            context_window: self.whole("max_input_tokens"),
            output_limit: self.whole("max_output_tokens").filter(|_| !embeds),
            capabilities: capabilities.collect(),
            shutdown: self
                .text("deprecation_date")
                .and_then(|day| day.parse().ok()),
            price,
            vendor,
        };
        Ok(Some((first_hand, line)))
    }

    fn sheet(
        &mut self,
        embeds: bool,
        from_threshold: bool,
    ) -> Result<Option<PriceSheet>, PriceTableError> {
        if let Some(bands) = self.entry.get("tiered_pricing") {
            return self.bands(bands, embeds);
        }
        let Some(base) = self.list_price("", embeds)? else {
            return Ok(None);
        };
        let mut long_prompt = Vec::new();
        for thousands in self.thresholds() {
            let suffix = format!("_above_{thousands}k_tokens");
            let Some(mut price) = self.list_price(&suffix, embeds)? else {
                // A length that prices no input or no output cannot be charged whole.
                return Ok(None);
            };
            (price.web_search, price.file_search) = (None, None);
            let tokens = thousands.saturating_mul(1_000);
            // This vendor's longer price begins at the threshold itself.
            let above = tokens.saturating_sub(u64::from(from_threshold));
            long_prompt.push((above, price));
        }
        let request = self.price("input_cost_per_request", EACH)?;
        let query = self.price("input_cost_per_query", EACH)?;
        Ok(Some(PriceSheet {
            base,
            long_prompt,
            per_request: request.or(query).unwrap_or(Credits::ZERO),
        }))
    }

    /// Prices at one prompt length, by the end that their fields' names have there.
    fn list_price(
        &mut self,
        suffix: &str,
        embeds: bool,
    ) -> Result<Option<ListPrice>, PriceTableError> {
        let mut tokens = |names: &[&str]| -> Result<Option<Credits>, PriceTableError> {
            let mut found = None;
            for name in names {
                let price = self.price(&format!("{name}{suffix}"), PER_MILLION)?;
                found = found.or(price);
            }
            Ok(found)
        };
        let input = tokens(&["input_cost_per_token"])?;
        let output = tokens(&["output_cost_per_token"])?;
        let mut price = ListPrice {
            cache_read: tokens(&[
                "cache_read_input_token_cost",
                "input_cost_per_token_cache_hit",
            ])?,
            cache_write_short: tokens(&["cache_creation_input_token_cost"])?,
            cache_write_long: tokens(&[
                "cache_creation_input_token_cost_above_1hr",
                "cache_creation_input_token_cost_above_12hr",
            ])?,
            reasoning: tokens(&["output_cost_per_reasoning_token"])?,
            input_audio: tokens(&["input_cost_per_audio_token"])?,
            input_image: tokens(&["input_cost_per_image_token"])?,
            output_audio: tokens(&["output_cost_per_audio_token"])?,
            output_image: tokens(&["output_cost_per_image_token"])?,
            ..ListPrice::default()
        };
        price.web_search = self.web_search()?;
        price.file_search = self.price("file_search_cost_per_1k_calls", PER_THOUSAND)?;
        let output = output.or(embeds.then_some(Credits::ZERO));
        let (Some(input), Some(output)) = (input, output) else {
            return Ok(None);
        };
        Ok(Some(ListPrice {
            input,
            output,
            ..price
        }))
    }

    /// Prices by the size of the prompt: one band decides for the whole request.
    fn bands(
        &mut self,
        bands: &RawValue,
        embeds: bool,
    ) -> Result<Option<PriceSheet>, PriceTableError> {
        self.taken.insert("tiered_pricing".to_owned());
        let bands: Vec<Entry> = serde_json::from_str(bands.get())?;
        let mut sheets = Vec::with_capacity(bands.len());
        for band in &bands {
            let mut read = Reading {
                key: self.key,
                entry: band,
                taken: BTreeSet::new(),
            };
            let from = band.get("range").and_then(|range| {
                let ends: Vec<Box<RawValue>> = serde_json::from_str(range.get()).ok()?;
                u64::try_from(whole(ends.first()?)?).ok()
            });
            let (Some(from), Some(price)) = (from, read.list_price("", embeds)?) else {
                return Ok(None);
            };
            sheets.push((from, price));
        }
        sheets.sort_by_key(|(from, _)| *from);
        let mut sheets = sheets.into_iter();
        let Some((0, base)) = sheets.next() else {
            return Ok(None);
        };
        Ok(Some(PriceSheet {
            base,
            long_prompt: sheets.collect(),
            per_request: Credits::ZERO,
        }))
    }

    /// The dearest of the sizes of a search, for an answer does not say which it was.
    fn web_search(&mut self) -> Result<Option<Credits>, PriceTableError> {
        const NAME: &str = "search_context_cost_per_query";
        let Some(raw) = self.entry.get(NAME) else {
            return Ok(None);
        };
        self.taken.insert(NAME.to_owned());
        let Ok(sizes) = serde_json::from_str::<Entry>(raw.get()) else {
            return Err(self.fault(NAME, raw));
        };
        let mut dearest = None;
        for size in sizes.values() {
            dearest = dearest.max(Some(self.read(NAME, size, EACH)?));
        }
        Ok(dearest)
    }

    /// Prompt lengths, in thousands of tokens, past which some class has another price.
    fn thresholds(&self) -> BTreeSet<u64> {
        let names = self.entry.keys();
        names
            .filter_map(|name| {
                let (_, rest) = name.rsplit_once("_above_")?;
                rest.strip_suffix("k_tokens")?.parse().ok()
            })
            .collect()
    }

    /// Fields that name a price which nothing above looked at.
    fn uncharged(&self) -> Vec<String> {
        let unknown = self.entry.iter().filter(|(name, value)| {
            let is_price = name.contains("_cost")
                || name.contains("cost_per")
                || name.contains("pricing")
                || name.ends_with("_multiplier")
                || name.contains("_uplift_");
            let is_nothing = matches!(value.get(), "null" | "0" | "0.0" | "{}" | "[]");
            is_price && !is_nothing && !self.taken.contains(*name)
        });
        let names: BTreeSet<String> = unknown
            .map(|(name, _)| {
                let tier = SERVICE_TIERS.iter().find(|tier| name.ends_with(**tier));
                tier.map_or_else(|| name.clone(), |tier| format!("*{tier}"))
            })
            .collect();
        names.into_iter().collect()
    }

    fn price(&mut self, name: &str, shift: i32) -> Result<Option<Credits>, PriceTableError> {
        let Some(raw) = self.entry.get(name).filter(|raw| raw.get() != "null") else {
            return Ok(None);
        };
        self.taken.insert(name.to_owned());
        self.read(name, raw, shift).map(Some)
    }

    fn read(&self, name: &str, raw: &RawValue, shift: i32) -> Result<Credits, PriceTableError> {
        decimal::credits(raw.get().trim_matches('"'), shift).ok_or_else(|| self.fault(name, raw))
    }

    fn fault(&self, name: &str, raw: &RawValue) -> PriceTableError {
        PriceTableError::Price {
            model: self.key.to_owned(),
            class: name.to_owned(),
            text: raw.get().chars().take(40).collect(),
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.entry.get(name)?.get()).ok()
    }

    fn whole(&self, name: &str) -> Option<i64> {
        whole(self.entry.get(name)?).filter(|count| *count > 0)
    }
}

/// A whole number, which some entries write as `32000.0`.
fn whole(raw: &RawValue) -> Option<i64> {
    let text = raw.get().trim_matches('"');
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let nothing = fraction.bytes().all(|byte| byte == b'0');
    nothing.then(|| whole.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(entry: &str) -> Line {
        let text = format!(r#"{{"sample_spec":{{"mode":"chat"}},"m":{entry}}}"#);
        let mut table = PriceTable::parse(&text).expect("a table");
        table.lines.remove(0)
    }

    fn credits(text: &str) -> Credits {
        Credits::parse(text).expect("a decimal")
    }

    #[test]
    fn every_class_that_can_be_charged_is_read_to_the_digit() {
        let line = one(
            r#"{"litellm_provider":"v","mode":"chat","max_input_tokens":200000,"max_output_tokens":"64000.0",
            "input_cost_per_token":3e-06,"output_cost_per_token":1.5e-05,"cache_read_input_token_cost":3e-07,
            "cache_creation_input_token_cost":3.75e-06,"cache_creation_input_token_cost_above_1hr":6e-06,
            "output_cost_per_reasoning_token":"0.00002","input_cost_per_audio_token":3.2e-05,"input_cost_per_image_token":0.000005,
            "output_cost_per_audio_token":6.4e-05,"output_cost_per_image_token":3e-5,"input_cost_per_request":0.002,
            "file_search_cost_per_1k_calls":2.5,
            "search_context_cost_per_query":{"search_context_size_low":0.01,"search_context_size_high":0.025},
            "input_cost_per_token_above_200k_tokens":6e-06,"output_cost_per_token_above_200k_tokens":2.25e-05,
            "cache_read_input_token_cost_above_200k_tokens":6e-07,"supports_vision":true,"supports_audio_input":false}"#,
        );

        let sheet = line.price.expect("a price");
        assert_eq!(
            sheet.base,
            ListPrice {
                input: credits("3"),
                cache_read: Some(credits("0.3")),
                cache_write_short: Some(credits("3.75")),
                cache_write_long: Some(credits("6")),
                output: credits("15"),
                reasoning: Some(credits("20")),
                input_audio: Some(credits("32")),
                input_image: Some(credits("5")),
                output_audio: Some(credits("64")),
                output_image: Some(credits("30")),
                web_search: Some(credits("0.025")),
                file_search: Some(credits("0.0025")),
            }
        );
        assert_eq!(sheet.per_request, credits("0.002"));
        let [(above, long)] = sheet.long_prompt.as_slice() else {
            panic!("one longer price");
        };
        assert_eq!(
            (*above, long.input, long.output, long.cache_read),
            (200_000, credits("6"), credits("22.5"), Some(credits("0.6")))
        );
        assert_eq!(line.uncharged, Vec::<String>::new());
        assert_eq!(line.capabilities, ["vision"]);
        assert_eq!(
            (line.context_window, line.output_limit),
            (Some(200_000), Some(64_000))
        );
    }

    #[test]
    fn prices_that_cannot_be_charged_are_named() {
        let line = one(
            r#"{"litellm_provider":"v","mode":"chat","input_cost_per_token":1e-06,"output_cost_per_token":1e-06,
            "output_cost_per_image":0.04,"input_cost_per_token_batches":5e-07,"output_cost_per_token_batches":5e-07,
            "input_cost_per_character":0.0,"code_interpreter_cost_per_session":0.03,"off_peak_pricing":{"windows":[]}}"#,
        );

        assert_eq!(
            line.uncharged,
            [
                "*_batches",
                "code_interpreter_cost_per_session",
                "off_peak_pricing",
                "output_cost_per_image"
            ]
        );
    }

    #[test]
    fn a_model_without_both_prices_is_left_to_the_operator() {
        for entry in [
            r#"{"litellm_provider":"v","mode":"chat","input_cost_per_second":0.1}"#,
            r#"{"litellm_provider":"v","mode":"chat","input_cost_per_token":1e-6}"#,
            r#"{"litellm_provider":"v","mode":"chat","input_cost_per_token":1e-6,"output_cost_per_token":1e-6,"input_cost_per_token_above_128k_tokens":2e-6}"#,
        ] {
            assert_eq!(one(entry).price, None, "{entry}");
        }
        let embedding =
            one(r#"{"litellm_provider":"v","mode":"embedding","input_cost_per_token":1e-6}"#);
        assert_eq!(
            embedding.price.map(|sheet| sheet.base.output),
            Some(Credits::ZERO)
        );
    }

    #[test]
    fn a_price_that_is_none_is_named_with_its_model() {
        for text in ["-1e-06", "\"free\"", "true", "[1]", "1e60"] {
            let table = format!(
                r#"{{"m":{{"litellm_provider":"v","mode":"chat","input_cost_per_token":{text},"output_cost_per_token":1}}}}"#
            );
            let fault = PriceTable::parse(&table);
            assert!(
                matches!(&fault, Err(PriceTableError::Price { model, class, .. }) if model == "m" && class == "input_cost_per_token"),
                "{text}: {fault:?}"
            );
        }
    }

    #[test]
    fn the_vendors_own_entry_stands_under_its_bare_name() {
        let entry = |vendor: &str, price: &str| {
            format!(
                r#"{{"litellm_provider":"{vendor}","mode":"chat","input_cost_per_token":{price},"output_cost_per_token":0}}"#
            )
        };
        let table = PriceTable::parse(&format!(
            r#"{{"gemini-x":{},"gemini/gemini-x":{},"other/gemini-x":{},"dall":{{"mode":"image_generation"}}}}"#,
            entry("vertex", "2e-06"),
            entry("gemini", "1e-06"),
            entry("other", "3e-06")
        ))
        .expect("a table");

        let found: Vec<_> = table
            .lines
            .iter()
            .map(|line| {
                (
                    line.model.as_str(),
                    line.price.as_ref().map(|sheet| sheet.base.input),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("gemini-x", Some(credits("1"))),
                ("other/gemini-x", Some(credits("3")))
            ]
        );
        assert_eq!(table.skipped, 1);
    }

    #[test]
    fn bands_by_prompt_size_become_longer_prices() {
        let line = one(
            r#"{"litellm_provider":"dashscope","mode":"chat","tiered_pricing":[
            {"range":[32000.0,128000.0],"input_cost_per_token":2.4e-06,"output_cost_per_token":1.2e-05},
            {"range":[0,32000.0],"input_cost_per_token":1.2e-06,"output_cost_per_token":6e-06}]}"#,
        );

        let sheet = line.price.expect("a price");
        assert_eq!(sheet.base.input, credits("1.2"));
        assert_eq!(sheet.long_prompt.len(), 1);
        assert_eq!(
            (sheet.long_prompt[0].0, sheet.long_prompt[0].1.input),
            (32_000, credits("2.4"))
        );
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for text in ["", "[]", "{}", r#"{"m":1}"#, r#"{"m":{"mode":"ocr"}}"#] {
            assert!(PriceTable::parse(text).is_err(), "{text}");
        }
    }
}
