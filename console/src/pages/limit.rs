//! The fields of a limit: so many credits in a window, so many calls at once.

use crate::{
    frame::Faults,
    pages::operator::field,
    words::{Phrase, phrase},
};
use billing::{
    cap::{Cap, Limit},
    plan::{Quantity, Window},
};

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
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    pub(crate) spend: String,
    pub(crate) window: String,
    pub(crate) calls: String,
}

impl Fields {
    /// The fields filled with limits that are set, and those that have no field here.
    pub(crate) fn of(caps: Vec<Cap>) -> (Self, Vec<Limit>) {
        let mut fields = Self::default();
        let mut others = Vec::new();
        for cap in caps {
            match &cap.limit {
                Limit::OpenCalls(calls) => fields.calls = calls.to_string(),
                Limit::Quota {
                    window,
                    most: Quantity::Credits(most),
                    models,
                } if models.is_empty() && fields.spend.is_empty() && word(*window).is_some() => {
                    fields.spend = most.to_string();
                    word(*window)
                        .unwrap_or_default()
                        .clone_into(&mut fields.window);
                }
                _ => others.push(cap.limit),
            }
        }
        (fields, others)
    }

    /// Each window, and whether it is chosen.
    pub(crate) fn windows(&self) -> Vec<WindowChoice> {
        WINDOWS
            .into_iter()
            .map(|(window, value)| WindowChoice {
                value,
                label: label(window),
                chosen: value == self.window,
            })
            .collect()
    }

    /// The limits, where every field reads; what does not is noted.
    pub(crate) fn read(&self, faults: &mut Faults) -> Option<Vec<Limit>> {
        let spend = field::optional(&self.spend, field::some_credits);
        let spend = faults.take("spend", spend);
        let calls = field::optional(&self.calls, |text| field::number(text, 1..=1_000_000));
        let calls = faults.take("calls", calls);
        let window = WINDOWS.into_iter().find(|(_, value)| *value == self.window);
        let window = window.map_or(Window::Month, |(window, _)| window);
        let spend = spend?.map(|most| Limit::credits(window, most));
        let calls = calls?
            .and_then(|calls| u32::try_from(calls).ok())
            .map(Limit::OpenCalls);
        Some(spend.into_iter().chain(calls).collect())
    }
}

fn word(window: Window) -> Option<&'static str> {
    WINDOWS
        .into_iter()
        .find(|(known, _)| *known == window)
        .map(|(_, value)| value)
}

const fn label(window: Window) -> Phrase {
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

    #[test]
    fn what_is_set_fills_the_fields_and_reads_as_it_was() {
        let set = [
            Limit::OpenCalls(3),
            Limit::credits(
                Window::FirstUse { hours: 5 },
                Credits::from_nanos(2_500_000_000),
            ),
            Limit::RequestsPerMinute(60),
        ];
        let caps = set.iter().map(|limit| Cap {
            id: RuleId::fresh(),
            bearer: Bearer::Key,
            subject: KeyId::fresh().uuid(),
            limit: limit.clone(),
        });

        let (fields, others) = Fields::of(caps.collect());
        let mut faults = Faults::none();
        let read = fields.read(&mut faults).expect("every field reads");

        assert_eq!(fields.spend, "2.5");
        assert_eq!(read, [set[1].clone(), set[0].clone()]);
        assert_eq!(others, [set[2].clone()]);
        assert!(faults.is_empty());
    }

    #[test]
    fn a_limit_of_nothing_is_noted() {
        for (spend, calls, at) in [
            ("0", "", "spend"),
            ("much", "", "spend"),
            ("", "0", "calls"),
        ] {
            let fields = Fields {
                spend: spend.to_owned(),
                calls: calls.to_owned(),
                window: "day".to_owned(),
            };
            let mut faults = Faults::none();

            assert!(fields.read(&mut faults).is_none());
            assert!(faults.about(at).is_some());
        }
    }
}
