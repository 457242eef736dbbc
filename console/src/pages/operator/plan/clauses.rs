//! The clauses of which a plan may have several, as rows of a form: quotas and multipliers.

use crate::{
    frame::Faults,
    pages::operator::field,
    words::{Phrase, format, phrase},
};
use billing::plan::{HOURS_MAX, PlanDocument, Quantity, Rule, Window};
use std::collections::BTreeMap;

/// Rows of a kind that a form has at most.
const ROWS_MAX: usize = 12;
/// Empty rows below those that are filled.
const ROWS_SPARE: usize = 2;

const AMOUNTS: [&str; ROWS_MAX] = [
    "quota_amount_1",
    "quota_amount_2",
    "quota_amount_3",
    "quota_amount_4",
    "quota_amount_5",
    "quota_amount_6",
    "quota_amount_7",
    "quota_amount_8",
    "quota_amount_9",
    "quota_amount_10",
    "quota_amount_11",
    "quota_amount_12",
];
const HOURS: [&str; ROWS_MAX] = [
    "quota_hours_1",
    "quota_hours_2",
    "quota_hours_3",
    "quota_hours_4",
    "quota_hours_5",
    "quota_hours_6",
    "quota_hours_7",
    "quota_hours_8",
    "quota_hours_9",
    "quota_hours_10",
    "quota_hours_11",
    "quota_hours_12",
];
const FACTORS: [&str; ROWS_MAX] = [
    "factor_value_1",
    "factor_value_2",
    "factor_value_3",
    "factor_value_4",
    "factor_value_5",
    "factor_value_6",
    "factor_value_7",
    "factor_value_8",
    "factor_value_9",
    "factor_value_10",
    "factor_value_11",
    "factor_value_12",
];
const PATTERNS: [&str; ROWS_MAX] = [
    "factor_models_1",
    "factor_models_2",
    "factor_models_3",
    "factor_models_4",
    "factor_models_5",
    "factor_models_6",
    "factor_models_7",
    "factor_models_8",
    "factor_models_9",
    "factor_models_10",
    "factor_models_11",
    "factor_models_12",
];

const WINDOWS: [(&str, Phrase); 4] = [
    ("day", phrase("window-day")),
    ("week", phrase("window-week")),
    ("month", phrase("window-month")),
    ("first_use", phrase("op-plan-window-first-use")),
];

/// The rows of quotas.
#[derive(Clone, Debug, Default)]
pub(super) struct Quotas(Vec<QuotaRow>);

/// One quota as its fields have it.
#[derive(Clone, Debug, Default)]
pub(super) struct QuotaRow {
    pub(super) name: String,
    pub(super) window: String,
    pub(super) hours: String,
    pub(super) unit: String,
    pub(super) amount: String,
    pub(super) models: String,
}

/// The rows of multipliers.
#[derive(Clone, Debug, Default)]
pub(super) struct Factors(Vec<FactorRow>);

/// One multiplier as its fields have it.
#[derive(Clone, Debug, Default)]
pub(super) struct FactorRow {
    pub(super) models: String,
    pub(super) value: String,
}

/// The rules of a document beyond the rows of a form: they stay as they are.
pub(super) fn without_a_row(document: &PlanDocument) -> Vec<Rule> {
    let (mut quotas, mut factors) = (0, 0);
    let beyond = |rule: &&Rule| {
        let count = match rule {
            Rule::Quota { .. } => &mut quotas,
            Rule::Multiplier { .. } => &mut factors,
            _ => return false,
        };
        *count += 1;
        *count > ROWS_MAX
    };
    document.rules.iter().filter(beyond).cloned().collect()
}

fn get(fields: &BTreeMap<String, String>, stem: &str, row: usize) -> String {
    let value = fields.get(&format!("{stem}_{}", row + 1));
    value.map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn put(fields: &mut BTreeMap<String, String>, stem: &str, row: usize, value: &str) {
    fields.insert(format!("{stem}_{}", row + 1), value.to_owned());
}

impl Quotas {
    pub(super) fn of(fields: &BTreeMap<String, String>) -> Self {
        let row = |row| QuotaRow {
            name: get(fields, "quota_name", row),
            window: get(fields, "quota_window", row),
            hours: get(fields, "quota_hours", row),
            unit: get(fields, "quota_unit", row),
            amount: get(fields, "quota_amount", row),
            models: get(fields, "quota_models", row),
        };
        Self((0..ROWS_MAX).map(row).collect())
    }

    pub(super) fn add(&mut self, rule: Rule) {
        let Rule::Quota {
            name,
            window,
            limit,
            models,
        } = rule
        else {
            return;
        };
        let (window, hours) = match window {
            Window::Day => ("day", String::new()),
            Window::Week => ("week", String::new()),
            Window::Month => ("month", String::new()),
            Window::FirstUse { hours } => ("first_use", hours.to_string()),
        };
        let (unit, amount) = match limit {
            Quantity::Credits(credits) => ("credits", credits.to_string()),
            Quantity::Requests(calls) => ("requests", calls.to_string()),
        };
        self.0.push(QuotaRow {
            name,
            window: window.to_owned(),
            hours,
            unit: unit.to_owned(),
            amount,
            models: models.join(" "),
        });
    }

    pub(super) fn write(&self, fields: &mut BTreeMap<String, String>) {
        for (n, row) in self.0.iter().take(ROWS_MAX).enumerate() {
            put(fields, "quota_name", n, &row.name);
            put(fields, "quota_window", n, &row.window);
            put(fields, "quota_hours", n, &row.hours);
            put(fields, "quota_unit", n, &row.unit);
            put(fields, "quota_amount", n, &row.amount);
            put(fields, "quota_models", n, &row.models);
        }
    }

    /// The rows to show: those that are filled, and a few more.
    pub(super) fn shown(&self) -> Vec<(usize, QuotaRow)> {
        let filled = self.0.iter().rposition(|row| !row.is_empty());
        let shown = filled.map_or(0, |last| last + 1) + ROWS_SPARE;
        let rows = self.0.iter().cloned().enumerate();
        rows.take(shown).map(|(n, row)| (n + 1, row)).collect()
    }

    /// The quotas, where every row reads; what does not is noted.
    pub(super) fn read(&self, faults: &mut Faults) -> Option<Vec<Rule>> {
        let mut rules = Vec::new();
        let mut whole = true;
        let rows = self.0.iter().zip(AMOUNTS).zip(HOURS);
        for ((row, amount), hours) in rows.filter(|((row, _), _)| !row.is_empty()) {
            match row.read(amount, hours, faults) {
                Some(rule) => rules.push(rule),
                None => whole = false,
            }
        }
        whole.then_some(rules)
    }
}

impl QuotaRow {
    /// What is chosen without being typed does not fill a row.
    fn is_empty(&self) -> bool {
        let typed = [&self.name, &self.amount, &self.models, &self.hours];
        typed.into_iter().all(String::is_empty)
    }

    /// Each window: its word in the form, its name, and whether it is chosen.
    pub(super) fn windows(&self) -> Vec<(&'static str, Phrase, bool)> {
        WINDOWS
            .into_iter()
            .map(|(word, name)| (word, name, word == self.window))
            .collect()
    }

    pub(super) fn counts_requests(&self) -> bool {
        self.unit == "requests"
    }

    fn read(&self, amount: &'static str, hours: &'static str, faults: &mut Faults) -> Option<Rule> {
        let limit = if self.counts_requests() {
            field::number(&self.amount, 1..=1_000_000_000_000).map(Quantity::Requests)
        } else {
            field::some_credits(&self.amount).map(Quantity::Credits)
        };
        let limit = faults.take(amount, limit);
        let window = match self.window.as_str() {
            "first_use" => {
                let length = field::number(&self.hours, 1..=i64::from(HOURS_MAX));
                let length = faults.take(hours, length)?;
                Window::FirstUse {
                    hours: u32::try_from(length).ok()?,
                }
            }
            "week" => Window::Week,
            "month" => Window::Month,
            _ => Window::Day,
        };
        let limit = limit?;
        Some(Rule::Quota {
            name: self.name_for(window, limit),
            window,
            limit,
            models: field::patterns(&self.models),
        })
    }

    /// What refusals call it: the name typed, or one made of the window and the unit.
    fn name_for(&self, window: Window, limit: Quantity) -> String {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        let window = match window {
            Window::Day => "daily".to_owned(),
            Window::Week => "weekly".to_owned(),
            Window::Month => "monthly".to_owned(),
            Window::FirstUse { hours } => format!("{hours}h"),
        };
        let unit = match limit {
            Quantity::Credits(_) => "credits",
            Quantity::Requests(_) => "requests",
        };
        format!("{window}-{unit}")
    }
}

impl Factors {
    pub(super) fn of(fields: &BTreeMap<String, String>) -> Self {
        let row = |row| FactorRow {
            models: get(fields, "factor_models", row),
            value: get(fields, "factor_value", row),
        };
        Self((0..ROWS_MAX).map(row).collect())
    }

    pub(super) fn add(&mut self, rule: Rule) {
        if let Rule::Multiplier { patterns, ppm } = rule {
            self.0.push(FactorRow {
                models: patterns.join(" "),
                value: format::factor(i64::from(ppm)),
            });
        }
    }

    pub(super) fn write(&self, fields: &mut BTreeMap<String, String>) {
        for (n, row) in self.0.iter().take(ROWS_MAX).enumerate() {
            put(fields, "factor_models", n, &row.models);
            put(fields, "factor_value", n, &row.value);
        }
    }

    /// The rows to show: those that are filled, and a few more.
    pub(super) fn shown(&self) -> Vec<(usize, FactorRow)> {
        let filled = self.0.iter().rposition(|row| !row.is_empty());
        let shown = filled.map_or(0, |last| last + 1) + ROWS_SPARE;
        let rows = self.0.iter().cloned().enumerate();
        rows.take(shown).map(|(n, row)| (n + 1, row)).collect()
    }

    /// The multipliers, where every row reads; what does not is noted.
    pub(super) fn read(&self, faults: &mut Faults) -> Option<Vec<Rule>> {
        let mut rules = Vec::new();
        let mut whole = true;
        let rows = self.0.iter().zip(FACTORS).zip(PATTERNS);
        for ((row, value), models) in rows.filter(|((row, _), _)| !row.is_empty()) {
            let patterns = field::patterns(&row.models);
            if patterns.is_empty() {
                faults.add(models, phrase("op-fault-required"));
            }
            let ppm = faults.take(value, field::factor(&row.value));
            match ppm.and_then(|ppm| u32::try_from(ppm).ok()) {
                Some(ppm) if !patterns.is_empty() => rules.push(Rule::Multiplier { patterns, ppm }),
                _ => whole = false,
            }
        }
        whole.then_some(rules)
    }
}

impl FactorRow {
    fn is_empty(&self) -> bool {
        self.models.is_empty() && self.value.is_empty()
    }
}
