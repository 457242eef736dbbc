//! The form of limits: for a tenant with its credit line, for a member without.

use crate::{
    frame::{Faults, Page},
    pages::{limit::Fields, operator::field},
    words::Phrase,
};
use askama::Template;
use billing::cap::Limit;
use entity::Credits;
use identity::Reason;
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/operator/limits.html")]
pub(super) struct LimitsPage {
    pub(super) page: Page,
    pub(super) title: Phrase,
    pub(super) back: String,
    /// Whether there is a credit line to set.
    pub(super) has_line: bool,
    pub(super) form: Entered,
    pub(super) limits: Fields,
    pub(super) faults: Faults,
}

/// The form as sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Entered {
    pub(super) line: String,
    pub(super) monthly: String,
    pub(super) open_holds: String,
    pub(super) reason: String,
    #[serde(flatten)]
    pub(super) limits: Fields,
}

/// What an operator wishes.
pub(super) struct Wish {
    pub(super) line: Credits,
    pub(super) monthly: Option<Credits>,
    pub(super) open_holds: Option<u32>,
    pub(super) limits: Vec<Limit>,
    pub(super) reason: Reason,
}

impl Entered {
    pub(super) fn filled(limits: Fields) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    pub(super) fn read(&self) -> Result<Wish, Faults> {
        let mut faults = Faults::none();
        let line = faults.take("line", field::optional(&self.line, field::credits));
        let monthly = field::optional(&self.monthly, field::some_credits);
        let monthly = faults.take("monthly", monthly);
        let most = |text: &str| field::number(text, 1..=1_000_000);
        let open_holds = faults.take("open_holds", field::optional(&self.open_holds, most));
        let limits = self.limits.read(&mut faults);
        let reason = faults.take("reason", field::reason(&self.reason));
        match (line, monthly, open_holds, limits, reason) {
            (Some(line), Some(monthly), Some(open_holds), Some(limits), Some(reason)) => Ok(Wish {
                line: line.unwrap_or(Credits::ZERO),
                monthly,
                open_holds: open_holds.and_then(|most| u32::try_from(most).ok()),
                limits,
                reason,
            }),
            _ => Err(faults),
        }
    }
}
