//! What a version of a plan costs and gives, as a form: every clause has fields of its own.

use super::clauses::{Factors, Quotas};
use crate::{
    Error,
    frame::Faults,
    pages::{key::pay, operator::field},
    words::{Phrase, phrase},
};
use billing::plan::{PlanDocument, Rule, SaveError, Terms, VERSION};
use entity::{
    Credits, GroupId,
    key::PayOrder,
    plan_version::{self, Period},
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The form as sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Entered {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) price: String,
    pub(super) currency: String,
    pub(super) period: String,
    pub(super) allowance: String,
    pub(super) lasts: String,
    pub(super) rollover: String,
    pub(super) pay_order: String,
    pub(super) stacking: String,
    pub(super) allowed: String,
    pub(super) blocked: String,
    pub(super) groups: String,
    pub(super) concurrency: String,
    pub(super) requests_per_minute: String,
    pub(super) tokens_per_minute: String,
    /// The rows of quotas and multipliers: `quota_amount_1` and so on.
    #[serde(flatten)]
    pub(super) rows: BTreeMap<String, String>,
}

impl Default for Entered {
    fn default() -> Self {
        Self {
            name: String::new(),
            title: String::new(),
            description: String::new(),
            price: String::new(),
            currency: "usd".to_owned(),
            period: "month".to_owned(),
            allowance: String::new(),
            lasts: String::new(),
            rollover: String::new(),
            pay_order: String::new(),
            stacking: String::new(),
            allowed: String::new(),
            blocked: String::new(),
            groups: String::new(),
            concurrency: String::new(),
            requests_per_minute: String::new(),
            tokens_per_minute: String::new(),
            rows: BTreeMap::new(),
        }
    }
}

/// Choices of what pays, each with its word in the form.
const PAY_ORDERS: [(PayOrder, &str); 3] = [
    (PayOrder::PlanThenWallet, "plan_then_wallet"),
    (PayOrder::PlanOnly, "plan_only"),
    (PayOrder::WalletOnly, "wallet_only"),
];

const PERIODS: [(Period, &str); 4] = [
    (Period::Day, "day"),
    (Period::Week, "week"),
    (Period::Month, "month"),
    (Period::Year, "year"),
];

/// What a period is called.
pub(super) const fn period_word(period: Period) -> Phrase {
    match period {
        Period::Day => phrase("op-plan-period-day"),
        Period::Week => phrase("op-plan-period-week"),
        Period::Month => phrase("op-plan-period-month"),
        Period::Year => phrase("op-plan-period-year"),
    }
}

impl Entered {
    /// Each period: its word in the form, its name, and whether it is chosen.
    pub(super) fn periods(&self) -> Vec<(&'static str, Phrase, bool)> {
        PERIODS
            .into_iter()
            .map(|(period, word)| (word, period_word(period), word == self.period))
            .collect()
    }

    /// Each choice of what pays, the first of which leaves it unsaid.
    pub(super) fn pay_orders(&self) -> Vec<(&'static str, Phrase, bool)> {
        let unsaid = ("", phrase("op-plan-pay-unsaid"), self.pay_order.is_empty());
        let others = PAY_ORDERS
            .into_iter()
            .map(|(order, word)| (word, pay::label(order), word == self.pay_order));
        std::iter::once(unsaid).chain(others).collect()
    }

    /// The rows of quotas.
    pub(super) fn quotas(&self) -> Quotas {
        Quotas::of(&self.rows)
    }

    /// The rows of multipliers.
    pub(super) fn factors(&self) -> Factors {
        Factors::of(&self.rows)
    }

    /// Whether a group is chosen.
    pub(super) fn has_group(&self, id: &str) -> bool {
        self.groups.lines().any(|line| line.trim() == id)
    }

    /// The form filled with a version's terms, for the next version to start from.
    pub(super) fn of(version: &plan_version::Model) -> Self {
        let word = PERIODS
            .into_iter()
            .find(|(period, _)| *period == version.period);
        let mut form = Self {
            price: Credits::from_nanos(version.price_minor.saturating_mul(10_000_000)).to_string(),
            currency: version.currency.clone(),
            period: word.map_or("month", |(_, word)| word).to_owned(),
            allowance: version.allowance.to_string(),
            ..Self::default()
        };
        let document =
            PlanDocument::from_json(&version.document).unwrap_or_else(|_| PlanDocument::open());
        let (mut quotas, mut factors) = (Quotas::default(), Factors::default());
        for rule in document.rules {
            form.fill(rule, &mut quotas, &mut factors);
        }
        quotas.write(&mut form.rows);
        factors.write(&mut form.rows);
        form
    }

    fn fill(&mut self, rule: Rule, quotas: &mut Quotas, factors: &mut Factors) {
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        match rule {
            Rule::ModelsAllowed { patterns } => self.allowed = patterns.join("\n"),
            Rule::ModelsBlocked { patterns } => self.blocked = patterns.join("\n"),
            Rule::Groups { groups } => {
                let ids: Vec<String> = groups.iter().map(GroupId::to_string).collect();
                self.groups = ids.join("\n");
            }
            Rule::Concurrency { limit } => self.concurrency = limit.to_string(),
            Rule::Rate {
                requests_per_minute,
                tokens_per_minute,
            } => {
                self.requests_per_minute = number(requests_per_minute).unwrap_or_default();
                self.tokens_per_minute = number(tokens_per_minute).unwrap_or_default();
            }
            Rule::Rollover { cap } => self.rollover = cap.to_string(),
            Rule::AllowanceLasts { days } => self.lasts = days.to_string(),
            Rule::PayOrder { order } => {
                let known = PAY_ORDERS.into_iter().find(|(known, _)| *known == order);
                known
                    .map_or("", |(_, word)| word)
                    .clone_into(&mut self.pay_order);
            }
            Rule::Stacking { priority } => self.stacking = priority.to_string(),
            quota @ Rule::Quota { .. } => quotas.add(quota),
            factor @ Rule::Multiplier { .. } => factors.add(factor),
        }
    }

    /// The terms, where every field reads; what does not is noted.
    pub(super) fn read(&self, before: Option<&PlanDocument>, faults: &mut Faults) -> Option<Terms> {
        let price_minor = faults.take("price", field::money(&self.price));
        let currency = faults.take("currency", field::currency(&self.currency));
        let allowance = faults.take("allowance", field::credits(&self.allowance));
        let rules = self.rules(before, faults);
        let period = PERIODS.into_iter().find(|(_, word)| *word == self.period);
        Some(Terms {
            price_minor: price_minor?,
            currency: currency?,
            period: period.map_or(Period::Month, |(period, _)| period),
            allowance: allowance?,
            document: PlanDocument {
                version: VERSION,
                rules: rules?,
            },
        })
    }

    /// The rules of the fields, and those of the version before for which there were too few rows.
    fn rules(&self, before: Option<&PlanDocument>, faults: &mut Faults) -> Option<Vec<Rule>> {
        let mut rules = self.models_and_groups();
        let count = |text: &str| field::number(text, 1..=1_000_000_000);
        let mut number = |name: &'static str, text: &str| {
            let number = faults.take(name, field::optional(text, count));
            number.map(|number| number.and_then(|number| u64::try_from(number).ok()))
        };
        let concurrency = number("concurrency", &self.concurrency);
        let requests = number("requests_per_minute", &self.requests_per_minute);
        let tokens = number("tokens_per_minute", &self.tokens_per_minute);
        let lasts = number("lasts", &self.lasts);
        let rollover = field::optional(&self.rollover, field::some_credits);
        let rollover = faults.take("rollover", rollover);
        let place = field::optional(&self.stacking, |text| field::number(text, 0..=100));
        let place = faults.take("stacking", place);
        let quotas = self.quotas().read(faults);
        let factors = self.factors().read(faults);

        let small = |number: u64| u32::try_from(number).ok();
        if let Some(limit) = concurrency?.and_then(small) {
            rules.push(Rule::Concurrency { limit });
        }
        rules.extend(quotas?);
        let (requests_per_minute, tokens_per_minute) = (requests?, tokens?);
        if requests_per_minute.is_some() || tokens_per_minute.is_some() {
            rules.push(Rule::Rate {
                requests_per_minute,
                tokens_per_minute,
            });
        }
        rules.extend(factors?);
        if let Some(cap) = rollover? {
            rules.push(Rule::Rollover { cap });
        }
        if let Some(days) = lasts?.and_then(small) {
            rules.push(Rule::AllowanceLasts { days });
        }
        let order = PAY_ORDERS
            .into_iter()
            .find(|(_, word)| *word == self.pay_order);
        rules.extend(order.map(|(order, _)| Rule::PayOrder { order }));
        let place = place?.and_then(|place| u8::try_from(place).ok());
        rules.extend(place.map(|priority| Rule::Stacking { priority }));
        rules.extend(before.into_iter().flat_map(super::clauses::without_a_row));
        Some(rules)
    }

    fn models_and_groups(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        let allowed = field::lines(&self.allowed);
        if !allowed.is_empty() {
            rules.push(Rule::ModelsAllowed { patterns: allowed });
        }
        let blocked = field::lines(&self.blocked);
        if !blocked.is_empty() {
            rules.push(Rule::ModelsBlocked { patterns: blocked });
        }
        let groups = field::ids::<GroupId>(&self.groups);
        if !groups.is_empty() {
            rules.push(Rule::Groups { groups });
        }
        rules
    }
}

/// What a refusal to save says beside which field.
pub(super) fn fault(error: SaveError) -> Result<Faults, Error> {
    Ok(match error {
        SaveError::Name => Faults::of("name", phrase("op-fault-group-name")),
        SaveError::NameTaken => Faults::of("name", phrase("op-fault-taken")),
        SaveError::Title => Faults::of("title", phrase("op-fault-required")),
        SaveError::Price => Faults::of("price", phrase("op-fault-money")),
        SaveError::Allowance => Faults::of("allowance", phrase("op-fault-range")),
        SaveError::Rules(fault) => Faults::of(
            "rules",
            phrase("op-plan-fault").with("detail", fault.to_string()),
        ),
        SaveError::TooLong => Faults::of("allowed", phrase("op-fault-long")),
        SaveError::Raced => Faults::of("rules", phrase("op-done-nothing")),
        SaveError::NoSuchPlan => return Err(Error::NotFound),
        SaveError::Store(error) => return Err(Error::Store(error)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::{PlanId, PlanVersionId, Timestamp};

    fn stored(terms: &Terms) -> plan_version::Model {
        plan_version::Model {
            id: PlanVersionId::fresh(),
            plan_id: PlanId::fresh(),
            version: 1,
            price_minor: terms.price_minor,
            currency: terms.currency.clone(),
            period: terms.period,
            allowance: terms.allowance,
            document: terms.document.to_json(),
            created_at: Timestamp::from_micros(0),
        }
    }

    #[test]
    fn every_clause_comes_back_out_of_its_fields() {
        let group = GroupId::fresh();
        let text = format!(
            r#"{{"version":1,"rules":[{{"rule":"models_allowed","patterns":["claude-*","gpt-*"]}},{{"rule":"models_blocked","patterns":["gpt-4*"]}},{{"rule":"groups","groups":["{group}"]}},{{"rule":"concurrency","limit":4}},{{"rule":"quota","name":"burst","window":{{"first_use":{{"hours":5}}}},"limit":{{"credits":"1.5"}},"models":["claude-opus-*","gpt-5"]}},{{"rule":"quota","name":"calls","window":"week","limit":{{"requests":100}}}},{{"rule":"rate","requests_per_minute":60,"tokens_per_minute":90000}},{{"rule":"multiplier","patterns":["gpt-5*"],"ppm":1500000}},{{"rule":"multiplier","patterns":["*"],"ppm":500000}},{{"rule":"rollover","cap":"5"}},{{"rule":"pay_order","order":"plan_only"}},{{"rule":"stacking","priority":3}}]}}"#
        );
        let terms = Terms {
            price_minor: 1_990,
            currency: "usd".to_owned(),
            period: Period::Month,
            allowance: Credits::from_nanos(20_000_000_000),
            document: PlanDocument::from_json(&text).expect("a document"),
        };
        let mut faults = Faults::none();

        let form = Entered::of(&stored(&terms));
        let read = form.read(Some(&terms.document), &mut faults);

        let read = read.expect("every field reads");
        assert!(faults.is_empty());
        assert_eq!(read.document, terms.document);
        assert_eq!(read.price_minor, 1_990);
    }

    #[test]
    fn a_field_that_does_not_read_is_noted() {
        let rows = [("quota_amount_2", "many"), ("factor_value_1", "-1")];
        let form = Entered {
            price: "free".to_owned(),
            allowance: "20".to_owned(),
            rollover: "0".to_owned(),
            stacking: "101".to_owned(),
            rows: rows
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..Entered::default()
        };
        let mut faults = Faults::none();

        assert!(form.read(None, &mut faults).is_none());
        for name in [
            "price",
            "rollover",
            "stacking",
            "quota_amount_2",
            "factor_value_1",
        ] {
            assert!(faults.about(name).is_some(), "{name}");
        }
    }
}
