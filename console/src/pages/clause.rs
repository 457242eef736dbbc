//! The clauses of a plan in words, for members who choose one and operators who look at one.

use crate::{
    pages::key::pay,
    words::{Phrase, format, phrase},
};
use billing::plan::{PlanDocument, Quantity, Rule, Window};

/// One sentence a clause, in the order of the plan.
pub(crate) fn words(document: &str) -> Vec<Phrase> {
    let document = PlanDocument::from_json(document).unwrap_or_else(|_| PlanDocument::open());
    document.rules.iter().map(sentence).collect()
}

fn sentence(rule: &Rule) -> Phrase {
    match rule {
        Rule::ModelsAllowed { patterns } => {
            phrase("clause-allowed").with("models", patterns.join(", "))
        }
        Rule::ModelsBlocked { patterns } => {
            phrase("clause-blocked").with("models", patterns.join(", "))
        }
        Rule::Groups { groups } => phrase("clause-groups").count("count", number(groups.len())),
        Rule::Concurrency { limit } => {
            phrase("clause-concurrency").count("count", i64::from(*limit))
        }
        Rule::Quota {
            window,
            limit,
            models,
            ..
        } => quota(*window, *limit, models),
        Rule::Rate {
            requests_per_minute,
            tokens_per_minute,
        } => rate(*requests_per_minute, *tokens_per_minute),
        Rule::Multiplier { patterns, ppm } => phrase("clause-multiplier")
            .with("models", patterns.join(", "))
            .with("factor", format::factor(i64::from(*ppm))),
        Rule::Rollover { cap } => phrase("clause-rollover").with("cap", format::credits(*cap)),
        Rule::AllowanceLasts { days } => phrase("clause-lasts").count("count", i64::from(*days)),
        Rule::PayOrder { order } => pay::label(*order),
        Rule::Stacking { priority } => {
            phrase("clause-stacking").with("place", priority.to_string())
        }
    }
}

fn quota(window: Window, limit: Quantity, models: &[String]) -> Phrase {
    let (all, some) = match (limit, window) {
        (Quantity::Credits(_), Window::Day) => ("clause-credits-day", "clause-credits-day-of"),
        (Quantity::Credits(_), Window::Week) => ("clause-credits-week", "clause-credits-week-of"),
        (Quantity::Credits(_), Window::Month) => {
            ("clause-credits-month", "clause-credits-month-of")
        }
        (Quantity::Credits(_), Window::FirstUse { .. }) => {
            ("clause-credits-hours", "clause-credits-hours-of")
        }
        (Quantity::Requests(_), Window::Day) => ("clause-calls-day", "clause-calls-day-of"),
        (Quantity::Requests(_), Window::Week) => ("clause-calls-week", "clause-calls-week-of"),
        (Quantity::Requests(_), Window::Month) => ("clause-calls-month", "clause-calls-month-of"),
        (Quantity::Requests(_), Window::FirstUse { .. }) => {
            ("clause-calls-hours", "clause-calls-hours-of")
        }
    };
    let amount = match limit {
        Quantity::Credits(credits) => format::credits(credits),
        Quantity::Requests(calls) => format::count(calls),
    };
    let hours = match window {
        Window::FirstUse { hours } => hours.to_string(),
        Window::Day | Window::Week | Window::Month => String::new(),
    };
    let said = phrase(if models.is_empty() { all } else { some })
        .with("amount", amount)
        .with("hours", hours);
    if models.is_empty() {
        said
    } else {
        said.with("models", models.join(", "))
    }
}

fn rate(requests: Option<u64>, tokens: Option<u64>) -> Phrase {
    let text = |count: u64| format::count(i64::try_from(count).unwrap_or(i64::MAX));
    match (requests, tokens) {
        (Some(requests), Some(tokens)) => phrase("clause-rate-both")
            .with("requests", text(requests))
            .with("tokens", text(tokens)),
        (None, Some(tokens)) => phrase("clause-rate-tokens").with("tokens", text(tokens)),
        (requests, None) => {
            phrase("clause-rate-requests").with("requests", text(requests.unwrap_or(0)))
        }
    }
}

fn number(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
