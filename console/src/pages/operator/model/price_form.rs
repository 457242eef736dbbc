//! The form of a price: every class of what callers pay and of what the upstream takes, prompt lengths, and from when.

use crate::{
    frame::{Faults, Page},
    pages::operator::field,
    words::{Phrase, phrase},
};
use billing::shop::{
    model::{NewPrice, cost_of, sale_of},
    price_table::{ListPrice, PriceSheet},
};
use chrono::NaiveDateTime;
use entity::{Credits, ModelId, Timestamp, price_version};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt::Write};

/// The form as sent, by the names of its fields.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Entered(BTreeMap<String, String>);

/// A class with its two fields: what callers pay, and what the upstream takes.
struct Class {
    sale: &'static str,
    cost: &'static str,
    label: &'static str,
    hint: &'static str,
    of: fn(&ListPrice) -> Option<Credits>,
    set: fn(&mut ListPrice, Credits),
}

macro_rules! class {
    ($name:ident, $cost:literal, $label:literal, $hint:literal) => {
        Class {
            sale: stringify!($name),
            cost: $cost,
            label: $label,
            hint: $hint,
            of: |price| price.$name,
            set: |price, credits| price.$name = Some(credits),
        }
    };
}

/// Both are needed.
const NEEDED: [Class; 2] = [
    Class {
        sale: "input",
        cost: "cost_input",
        label: "op-price-input",
        hint: "",
        of: |price| Some(price.input),
        set: |price, credits| price.input = credits,
    },
    Class {
        sale: "output",
        cost: "cost_output",
        label: "op-price-output",
        hint: "",
        of: |price| Some(price.output),
        set: |price, credits| price.output = credits,
    },
];

/// Tokens that every model has.
const CACHE: [Class; 3] = [
    class!(
        cache_read,
        "cost_cache_read",
        "op-price-cache-read",
        "op-price-as-input"
    ),
    class!(
        cache_write_short,
        "cost_cache_write_short",
        "op-price-cache-write-short",
        "op-price-as-input"
    ),
    class!(
        cache_write_long,
        "cost_cache_write_long",
        "op-price-cache-write-long",
        "op-price-as-short"
    ),
];

/// Tokens that some models have.
const FURTHER: [Class; 5] = [
    class!(
        reasoning,
        "cost_reasoning",
        "op-price-reasoning",
        "op-price-as-output"
    ),
    class!(
        input_audio,
        "cost_input_audio",
        "op-price-input-audio",
        "op-price-as-input"
    ),
    class!(
        input_image,
        "cost_input_image",
        "op-price-input-image",
        "op-price-as-input"
    ),
    class!(
        output_audio,
        "cost_output_audio",
        "op-price-output-audio",
        "op-price-as-output"
    ),
    class!(
        output_image,
        "cost_output_image",
        "op-price-output-image",
        "op-price-as-output"
    ),
];

/// What is charged by the piece.
const PIECES: [Class; 2] = [
    class!(
        web_search,
        "cost_web_search",
        "op-price-web-search",
        "op-price-as-web-search"
    ),
    class!(
        file_search,
        "cost_file_search",
        "op-price-file-search",
        "op-price-as-file-search"
    ),
];

fn tokens() -> impl Iterator<Item = &'static Class> {
    NEEDED.iter().chain(&CACHE).chain(&FURTHER)
}

fn all() -> impl Iterator<Item = &'static Class> {
    tokens().chain(&PIECES)
}

/// One field, ready to print.
pub(super) struct Field {
    pub name: &'static str,
    pub label: String,
    pub hint: String,
    pub value: String,
    pub needed: bool,
}

impl Entered {
    /// What was entered in a field.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |text| text.trim())
    }

    /// Filled with a stored price.
    pub(super) fn of(price: &price_version::Model) -> Self {
        let mut form = Self::default();
        if let Ok(sheet) = sale_of(price) {
            form.fill(&sheet, |class| class.sale, ["per_request", "lengths"]);
        }
        if let Ok(Some(sheet)) = cost_of(price) {
            form.fill(
                &sheet,
                |class| class.cost,
                ["cost_per_request", "cost_lengths"],
            );
        }
        form
    }

    fn fill(
        &mut self,
        sheet: &PriceSheet,
        name: fn(&Class) -> &'static str,
        [request, lengths]: [&str; 2],
    ) {
        for class in all() {
            if let Some(credits) = (class.of)(&sheet.base) {
                self.0.insert(name(class).to_owned(), credits.to_string());
            }
        }
        self.0
            .insert(request.to_owned(), sheet.per_request.to_string());
        self.0.insert(lengths.to_owned(), lines(&sheet.long_prompt));
    }

    /// The fields of what callers pay: those of every model, then those that few have.
    pub(super) fn sale(&self, page: &Page) -> [Vec<Field>; 2] {
        let of = |class: &Class| self.field(page, class.sale, class, true);
        [
            NEEDED.iter().chain(&CACHE).map(of).collect(),
            FURTHER.iter().chain(&PIECES).map(of).collect(),
        ]
    }

    /// The fields of what the upstream takes.
    pub(super) fn cost(&self, page: &Page) -> Vec<Field> {
        all()
            .map(|class| self.field(page, class.cost, class, false))
            .collect()
    }

    fn field(&self, page: &Page, name: &'static str, class: &Class, is_sale: bool) -> Field {
        Field {
            name,
            label: page.say(class.label),
            hint: if class.hint.is_empty() {
                String::new()
            } else {
                page.say(class.hint)
            },
            value: self.text(name).to_owned(),
            needed: is_sale && class.hint.is_empty(),
        }
    }

    /// The price, or what is wrong with which field.
    pub(super) fn read(&self, model: ModelId, now: Timestamp) -> Result<NewPrice, Faults> {
        let mut faults = Faults::none();
        let sale = self.sheet(|class| class.sale, ["per_request", "lengths"], &mut faults);
        let has_cost = all().any(|class| !self.text(class.cost).is_empty());
        let cost = has_cost.then(|| {
            self.sheet(
                |class| class.cost,
                ["cost_per_request", "cost_lengths"],
                &mut faults,
            )
        });
        let from = |text: &str| moment(text, now);
        let effective_at = faults.take("from", field::optional(self.text("from"), from));
        let note: String = self.text("note").chars().take(200).collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(NewPrice {
            cost,
            effective_at: effective_at.flatten(),
            note: Some(note).filter(|note| !note.is_empty()),
            ..NewPrice::of(model, sale)
        })
    }

    fn sheet(
        &self,
        name: fn(&Class) -> &'static str,
        [request, lengths]: [&'static str; 2],
        faults: &mut Faults,
    ) -> PriceSheet {
        let mut base = ListPrice::default();
        for class in &NEEDED {
            if let Some(credits) = faults.take(name(class), field::credits(self.text(name(class))))
            {
                (class.set)(&mut base, credits);
            }
        }
        for class in CACHE.iter().chain(&FURTHER).chain(&PIECES) {
            let read = field::optional(self.text(name(class)), field::credits);
            if let Some(Some(credits)) = faults.take(name(class), read) {
                (class.set)(&mut base, credits);
            }
        }
        let per_request = faults.take(request, field::optional(self.text(request), field::credits));
        let long_prompt = faults.take(lengths, read_lines(self.text(lengths)));
        PriceSheet {
            base,
            long_prompt: long_prompt.unwrap_or_default(),
            per_request: per_request.flatten().unwrap_or(Credits::ZERO),
        }
    }
}

/// Longer prices, one a line: `272000 input=5 output=22.5 cache_read=0.5`.
fn lines(longer: &[(u64, ListPrice)]) -> String {
    let mut text = String::new();
    for (above, price) in longer {
        let _ = write!(text, "{above}");
        for class in tokens() {
            if let Some(credits) = (class.of)(price) {
                let _ = write!(text, " {}={credits}", class.sale);
            }
        }
        text.push('\n');
    }
    text
}

fn read_lines(text: &str) -> Result<Vec<(u64, ListPrice)>, Phrase> {
    field::lines(text)
        .iter()
        .map(|line| read_line(line))
        .collect()
}

fn read_line(line: &str) -> Result<(u64, ListPrice), Phrase> {
    let wrong =
        || phrase("op-fault-lengths").with("line", line.chars().take(80).collect::<String>());
    let mut words = line.split_whitespace();
    let above = words
        .next()
        .and_then(|word| word.parse().ok())
        .ok_or_else(wrong)?;
    let mut price = ListPrice::default();
    let mut needed = 0;
    for word in words {
        let (name, value) = word.split_once('=').ok_or_else(wrong)?;
        let class = tokens()
            .find(|class| class.sale == name)
            .ok_or_else(wrong)?;
        let credits = field::credits(value).map_err(|_| wrong())?;
        (class.set)(&mut price, credits);
        needed += usize::from(matches!(name, "input" | "output"));
    }
    if needed == 2 {
        Ok((above, price))
    } else {
        Err(wrong())
    }
}

/// A moment written `YYYY-MM-DDTHH:MM`, in UTC; it has to lie ahead.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Phrase> {
    let at = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M")
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S"))
        .map_err(|_| phrase("op-fault-moment"))?;
    let at = Timestamp::from_datetime(at.and_utc());
    if at > now {
        Ok(at)
    } else {
        Err(phrase("op-fault-moment"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);

    fn form(fields: &[(&str, &str)]) -> Entered {
        let pairs = fields
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Entered(pairs.collect())
    }

    #[test]
    fn longer_prices_read_as_they_are_written() {
        let text =
            "272000 input=5 output=22.5 cache_read=0.5\n500000 input=6 output=30 input_audio=9\n";
        let longer = read_lines(text).expect("two prices");

        assert_eq!(longer.len(), 2);
        assert_eq!(lines(&longer), text);
        for wrong in [
            "272000",
            "272000 input=5",
            "input=5 output=1",
            "272000 input=5 output=x",
            "-1 input=5 output=1",
            "272000 input=5 output=1 web_search=1",
        ] {
            assert!(read_lines(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_price_is_read_whole_and_a_fault_names_its_field() {
        let good = form(&[
            ("input", "3"),
            ("output", "15"),
            ("web_search", "0.01"),
            ("cost_input", "2"),
            ("cost_output", "10"),
            ("from", "2027-01-01T00:00"),
        ]);
        let price = good.read(ModelId::fresh(), NOW).expect("a price");
        assert_eq!(
            price.sale.base.web_search,
            Some(Credits::from_nanos(10_000_000))
        );
        assert_eq!(
            price.cost.map(|cost| cost.base.output),
            Some(Credits::from_nanos(10_000_000_000))
        );
        assert!(price.effective_at.is_some());

        for (name, text) in [
            ("input", "-3"),
            ("output", ""),
            ("reasoning", "much"),
            ("from", "2020-01-01T00:00"),
            ("from", "soon"),
            ("lengths", "5"),
            ("cost_input", "1e3"),
        ] {
            let mut bad = good.clone();
            bad.0.insert(name.to_owned(), text.to_owned());
            let faults = bad.read(ModelId::fresh(), NOW).expect_err("a fault");
            assert!(faults.about(name).is_some(), "{name}={text}");
        }
    }
}
