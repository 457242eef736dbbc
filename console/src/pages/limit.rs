//! The fields of limits: so many credits and calls in a window, so many calls at once, so much a minute.

use crate::{
    frame::Faults,
    pages::operator::field,
    words::{Phrase, phrase},
};
use billing::{
    cap::{Cap, Limit},
    plan::{Pattern, Quantity, Window},
};
use serde::Deserialize;

/// The windows to choose from, with their words in a form.
const WINDOWS: [(Window, &str); 4] = [
    (Window::Month, "month"),
    (Window::Week, "week"),
    (Window::Day, "day"),
    (Window::FirstUse { hours: 5 }, "hours"),
];

/// One window to choose.
pub(crate) struct WindowChoice {
    pub(crate) value: &'static str,
    pub(crate) label: Phrase,
    pub(crate) chosen: bool,
}

/// The fields as sent; empty ones limit nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Fields {
    pub(crate) spend: String,
    pub(crate) window: String,
    /// For which models the credits are counted.
    pub(crate) models: String,
    pub(crate) requests: String,
    pub(crate) requests_window: String,
    pub(crate) calls: String,
    pub(crate) requests_per_minute: String,
    pub(crate) tokens_per_minute: String,
}

impl Fields {
    /// The fields filled with limits that are set, and those that have no field here.
    pub(crate) fn of(caps: Vec<Cap>) -> (Self, Vec<Limit>) {
        let mut fields = Self::default();
        let mut others = Vec::new();
        for cap in caps {
            if !fields.fill(&cap.limit) {
                others.push(cap.limit);
            }
        }
        (fields, others)
    }

    /// Whether there was a field for the limit.
    fn fill(&mut self, limit: &Limit) -> bool {
        let (field, value) = match limit {
            Limit::OpenCalls(calls) => (&mut self.calls, calls.to_string()),
            Limit::RequestsPerMinute(most) => (&mut self.requests_per_minute, most.to_string()),
            Limit::TokensPerMinute(most) => (&mut self.tokens_per_minute, most.to_string()),
            Limit::Quota {
                window,
                most,
                models,
            } => return self.fill_quota(*window, *most, models),
        };
        if !field.is_empty() {
            return false;
        }
        *field = value;
        true
    }

    fn fill_quota(&mut self, window: Window, most: Quantity, models: &[Pattern]) -> bool {
        let Some(word) = word(window) else {
            return false;
        };
        match most {
            Quantity::Credits(most) if self.spend.is_empty() => {
                let models: Vec<&str> = models.iter().map(Pattern::as_str).collect();
                self.spend = most.to_string();
                self.models = models.join(" ");
                word.clone_into(&mut self.window);
                true
            }
            Quantity::Requests(most) if self.requests.is_empty() && models.is_empty() => {
                self.requests = most.to_string();
                word.clone_into(&mut self.requests_window);
                true
            }
            Quantity::Credits(_) | Quantity::Requests(_) => false,
        }
    }

    /// Each window of the credits, and whether it is chosen.
    pub(crate) fn windows(&self) -> Vec<WindowChoice> {
        choices(&self.window)
    }

    /// Each window of the calls, and whether it is chosen.
    pub(crate) fn requests_windows(&self) -> Vec<WindowChoice> {
        choices(&self.requests_window)
    }

    /// The limits, where every field reads; what does not is noted.
    pub(crate) fn read(&self, faults: &mut Faults) -> Option<Vec<Limit>> {
        let spend = field::optional(&self.spend, field::some_credits);
        let spend = faults.take("spend", spend);
        let models = faults.take("models", patterns(&self.models));
        let mut number = |name: &'static str, text: &str| {
            let read = |text: &str| field::number(text, 1..=1_000_000_000);
            faults.take(name, field::optional(text, read))
        };
        let requests = number("requests", &self.requests);
        let calls = number("calls", &self.calls);
        let per_minute = number("requests_per_minute", &self.requests_per_minute);
        let tokens = number("tokens_per_minute", &self.tokens_per_minute);

        let mut limits = Vec::new();
        let (spend, models) = (spend?, models?);
        if spend.is_none() && !models.is_empty() {
            faults.add("spend", phrase("limit-models-without"));
            return None;
        }
        limits.extend(spend.map(|most| Limit::Quota {
            window: chosen(&self.window),
            most: Quantity::Credits(most),
            models,
        }));
        limits.extend(requests?.map(|most| Limit::Quota {
            window: chosen(&self.requests_window),
            most: Quantity::Requests(most),
            models: Vec::new(),
        }));
        let calls = calls?.and_then(|calls| u32::try_from(calls).ok());
        limits.extend(calls.map(Limit::OpenCalls));
        let per_minute = per_minute?.and_then(|most| u64::try_from(most).ok());
        limits.extend(per_minute.map(Limit::RequestsPerMinute));
        let tokens = tokens?.and_then(|most| u64::try_from(most).ok());
        limits.extend(tokens.map(Limit::TokensPerMinute));
        Some(limits)
    }
}

fn patterns(text: &str) -> Result<Vec<Pattern>, Phrase> {
    field::patterns(text)
        .iter()
        .map(|text| Pattern::parse(text))
        .collect::<Result<_, _>>()
        .map_err(|_| phrase("limit-models-fault"))
}

fn choices(chosen: &str) -> Vec<WindowChoice> {
    WINDOWS
        .into_iter()
        .map(|(window, value)| WindowChoice {
            value,
            label: label(window),
            chosen: value == chosen,
        })
        .collect()
}

fn chosen(word: &str) -> Window {
    let known = WINDOWS.into_iter().find(|(_, value)| *value == word);
    known.map_or(Window::Month, |(window, _)| window)
}

fn word(window: Window) -> Option<&'static str> {
    WINDOWS
        .into_iter()
        .find(|(known, _)| *known == window)
        .map(|(_, value)| value)
}

/// What a window is called.
pub(crate) const fn label(window: Window) -> Phrase {
    match window {
        Window::FirstUse { .. } => phrase("window-hours"),
        Window::Day => phrase("window-day"),
        Window::Week => phrase("window-week"),
        Window::Month => phrase("window-month"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::{Credits, KeyId, RuleId, cap::Bearer};

    fn caps(limits: &[Limit]) -> Vec<Cap> {
        let caps = limits.iter().map(|limit| Cap {
            id: RuleId::fresh(),
            bearer: Bearer::Key,
            subject: KeyId::fresh().uuid(),
            limit: limit.clone(),
        });
        caps.collect()
    }

    #[test]
    fn what_is_set_fills_the_fields_and_reads_as_it_was() {
        let set = [
            Limit::Quota {
                window: Window::FirstUse { hours: 5 },
                most: Quantity::Credits(Credits::from_nanos(2_500_000_000)),
                models: vec![Pattern::parse("claude-*").expect("a pattern")],
            },
            Limit::Quota {
                window: Window::Day,
                most: Quantity::Requests(100),
                models: Vec::new(),
            },
            Limit::OpenCalls(3),
            Limit::RequestsPerMinute(60),
            Limit::TokensPerMinute(90_000),
        ];
        let second = Limit::credits(Window::Day, Credits::from_nanos(1));

        let (fields, others) = Fields::of(
            caps(&set)
                .into_iter()
                .chain(caps(std::slice::from_ref(&second)))
                .collect(),
        );
        let mut faults = Faults::none();
        let read = fields.read(&mut faults).expect("every field reads");

        assert_eq!(
            (fields.spend.as_str(), fields.models.as_str()),
            ("2.5", "claude-*")
        );
        assert_eq!(read, set);
        assert_eq!(others, [second], "there is one field for credits");
        assert!(faults.is_empty());
    }

    #[test]
    fn a_limit_of_nothing_is_noted() {
        let with = |fill: fn(&mut Fields)| {
            let mut fields = Fields::default();
            fill(&mut fields);
            fields
        };
        for (fields, at) in [
            (with(|fields| fields.spend = "0".to_owned()), "spend"),
            (with(|fields| fields.spend = "much".to_owned()), "spend"),
            (with(|fields| fields.calls = "0".to_owned()), "calls"),
            (with(|fields| fields.requests = "-1".to_owned()), "requests"),
            (with(|fields| fields.models = "gpt-*".to_owned()), "spend"),
            (
                with(|fields| fields.tokens_per_minute = "many".to_owned()),
                "tokens_per_minute",
            ),
        ] {
            let mut faults = Faults::none();

            assert!(fields.read(&mut faults).is_none());
            assert!(faults.about(at).is_some(), "{at}");
        }
    }
}
