//! What a version of a plan costs and gives, as a form: the rules that most plans need, each in a field of its own.

use crate::{
    Error,
    frame::Faults,
    pages::operator::field,
    words::{Phrase, phrase},
};
use billing::plan::{PlanDocument, Quantity, Rule, SaveError, Terms, VERSION, Window};
use entity::{Credits, plan_version, plan_version::Period};
use serde::Deserialize;

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
    pub(super) allowed: String,
    pub(super) blocked: String,
    pub(super) concurrency: String,
    pub(super) daily_credits: String,
    pub(super) daily_requests: String,
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
            allowed: String::new(),
            blocked: String::new(),
            concurrency: String::new(),
            daily_credits: String::new(),
            daily_requests: String::new(),
        }
    }
}

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
        for rule in document.rules {
            form.fill(rule);
        }
        form
    }

    fn fill(&mut self, rule: Rule) {
        match rule {
            Rule::ModelsAllowed { patterns } => self.allowed = patterns.join("\n"),
            Rule::ModelsBlocked { patterns } => self.blocked = patterns.join("\n"),
            Rule::Concurrency { limit } => self.concurrency = limit.to_string(),
            Rule::Quota {
                limit: Quantity::Credits(credits),
                window: Window::Day,
                models,
                ..
            } if models.is_empty() => {
                self.daily_credits = credits.to_string();
            }
            Rule::Quota {
                limit: Quantity::Requests(calls),
                window: Window::Day,
                models,
                ..
            } if models.is_empty() => {
                self.daily_requests = calls.to_string();
            }
            Rule::Quota { .. }
            | Rule::Rate { .. }
            | Rule::Groups { .. }
            | Rule::Multiplier { .. } => {}
        }
    }

    /// The terms, where every field reads; what does not is noted.
    pub(super) fn read(&self, before: Option<&PlanDocument>, faults: &mut Faults) -> Option<Terms> {
        let price_minor = faults.take("price", field::money(&self.price));
        let currency = faults.take("currency", currency(&self.currency));
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

    /// The rules of the fields, and those of the version before that have no field here.
    fn rules(&self, before: Option<&PlanDocument>, faults: &mut Faults) -> Option<Vec<Rule>> {
        let mut rules = Vec::new();
        let allowed = field::lines(&self.allowed);
        if !allowed.is_empty() {
            rules.push(Rule::ModelsAllowed { patterns: allowed });
        }
        let blocked = field::lines(&self.blocked);
        if !blocked.is_empty() {
            rules.push(Rule::ModelsBlocked { patterns: blocked });
        }
        let calls = |text: &str| field::number(text, 1..=1_000_000_000);
        let concurrency = faults.take("concurrency", field::optional(&self.concurrency, calls))?;
        if let Some(limit) = concurrency.and_then(|limit| u32::try_from(limit).ok()) {
            rules.push(Rule::Concurrency { limit });
        }
        let credits = field::optional(&self.daily_credits, field::some_credits);
        if let Some(credits) = faults.take("daily_credits", credits)? {
            rules.push(daily("daily-credits", Quantity::Credits(credits)));
        }
        let requests = field::optional(&self.daily_requests, calls);
        if let Some(calls) = faults.take("daily_requests", requests)? {
            rules.push(daily("daily-requests", Quantity::Requests(calls)));
        }
        let others = before.into_iter().flat_map(|document| &document.rules);
        rules.extend(others.filter(|rule| has_no_field(rule)).cloned());
        Some(rules)
    }
}

fn daily(name: &str, limit: Quantity) -> Rule {
    Rule::Quota {
        name: name.to_owned(),
        window: Window::Day,
        limit,
        models: Vec::new(),
    }
}

fn has_no_field(rule: &Rule) -> bool {
    match rule {
        Rule::Groups { .. } | Rule::Rate { .. } | Rule::Multiplier { .. } => true,
        Rule::Quota { window, models, .. } => *window != Window::Day || !models.is_empty(),
        Rule::ModelsAllowed { .. } | Rule::ModelsBlocked { .. } | Rule::Concurrency { .. } => false,
    }
}

fn currency(text: &str) -> Result<String, Phrase> {
    let text = text.trim().to_lowercase();
    if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_lowercase()) {
        Ok(text)
    } else {
        Err(phrase("op-fault-currency"))
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

    #[test]
    fn a_version_starts_from_the_one_before_and_loses_no_rule() {
        let kept = Rule::Multiplier {
            patterns: vec!["gpt-*".to_owned()],
            ppm: 500_000,
        };
        let before = PlanDocument {
            version: VERSION,
            rules: vec![kept.clone()],
        };
        let form = Entered {
            price: "19.90".to_owned(),
            allowance: "20".to_owned(),
            allowed: "claude-*\n".to_owned(),
            concurrency: "4".to_owned(),
            daily_requests: "100".to_owned(),
            ..Entered::default()
        };
        let mut faults = Faults::none();

        let terms = form
            .read(Some(&before), &mut faults)
            .expect("every field reads");

        assert!(faults.is_empty());
        assert_eq!(terms.price_minor, 1_990);
        assert_eq!(
            terms.document.rules,
            [
                Rule::ModelsAllowed {
                    patterns: vec!["claude-*".to_owned()]
                },
                Rule::Concurrency { limit: 4 },
                daily("daily-requests", Quantity::Requests(100)),
                kept,
            ]
        );
    }

    #[test]
    fn a_field_that_does_not_read_is_noted() {
        let form = Entered {
            price: "free".to_owned(),
            allowance: "20".to_owned(),
            ..Entered::default()
        };
        let mut faults = Faults::none();

        assert!(form.read(None, &mut faults).is_none());
        assert!(faults.about("price").is_some());
    }
}
