//! The rules of a plan as an operator saves them. [`super::Plan`] is their checked form.

use std::fmt;

use entity::key::PayOrder;
use entity::quota_counter::Metric;
use entity::{Credits, GroupId};
use serde::{Deserialize, Serialize};

use super::fault::PlanFault;
use super::window::Window;

/// The one version of the format there is; a later format gets the next number and a migration of its own.
pub const VERSION: u32 = 1;

/// A plan's rules as stored and edited: JSON, versioned, unknown fields refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanDocument {
    /// [`VERSION`].
    pub version: u32,
    /// The clauses, in the order an operator reads them.
    pub rules: Vec<Rule>,
}

/// One typed clause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// Only models that fit one of the patterns.
    ModelsAllowed {
        /// Model names, with `*`.
        patterns: Vec<String>,
    },
    /// No model that fits one of the patterns, whatever else allows it.
    ModelsBlocked {
        /// Model names, with `*`.
        patterns: Vec<String>,
    },
    /// Only keys of these groups.
    Groups {
        /// The groups' ids.
        groups: Vec<GroupId>,
    },
    /// At most this many calls at the same time.
    Concurrency {
        /// Calls.
        limit: u32,
    },
    /// At most this much in each window.
    Quota {
        /// What refusals and pages call it; lower-case letters, digits, `-` and `_`.
        name: String,
        /// When it starts anew.
        window: Window,
        /// How much.
        limit: Quantity,
        /// For models that fit one of these names, with `*`; without any, for every model.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        models: Vec<String>,
    },
    /// At most this much in a minute, approximately: each process of the gateway counts by itself, in memory.
    Rate {
        /// Calls.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requests_per_minute: Option<u64>,
        /// Tokens, input and output.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens_per_minute: Option<u64>,
    },
    /// Calls of these models cost so many parts per million of the list price; the first that fits counts.
    Multiplier {
        /// Model names, with `*`.
        patterns: Vec<String>,
        /// Parts per million: 1,000,000 is the list price.
        ppm: u32,
    },
    /// What the period's allowance does not use moves to the next period, up to a cap.
    Rollover {
        /// How many credits move at most; what moved before counts with it.
        cap: Credits,
    },
    /// The allowance lasts so many days from the start of its period, instead of to the period's end.
    AllowanceLasts {
        /// How many.
        days: u32,
    },
    /// What pays for calls of keys that are made under this plan and say nothing else.
    PayOrder {
        /// In which order.
        order: PayOrder,
    },
    /// Where the plan stands among others: the lower number is asked first, and its allowance is drawn first.
    Stacking {
        /// From 0 to 100; 10 where no clause says so.
        priority: u8,
    },
}

/// An amount of what a quota counts: `{"credits": "1.5"}` or `{"requests": 100}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Credits charged.
    Credits(Credits),
    /// Calls made.
    Requests(i64),
}

impl Quantity {
    /// A counter's number with its unit.
    pub fn of(metric: Metric, units: i64) -> Self {
        match metric {
            Metric::Credits => Self::Credits(Credits::from_nanos(units)),
            Metric::Requests => Self::Requests(units),
        }
    }

    /// What is counted.
    pub fn metric(self) -> Metric {
        match self {
            Self::Credits(_) => Metric::Credits,
            Self::Requests(_) => Metric::Requests,
        }
    }

    /// The number as counters store it: nano-credits, or calls.
    pub fn units(self) -> i64 {
        match self {
            Self::Credits(credits) => credits.nanos(),
            Self::Requests(calls) => calls,
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credits(credits) => write!(f, "{credits} credits"),
            Self::Requests(calls) => write!(f, "{calls} requests"),
        }
    }
}

/// Which rule of a document: its place and a word for people, such as `rule 3 (quota daily)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Place in the document, from 1.
    pub number: usize,
    /// Kind of the rule, with its name where it has one.
    pub label: String,
}

impl Clause {
    pub(super) fn of(index: usize, rule: &Rule) -> Self {
        let label = match rule {
            Rule::ModelsAllowed { .. } => "models_allowed".to_owned(),
            Rule::ModelsBlocked { .. } => "models_blocked".to_owned(),
            Rule::Groups { .. } => "groups".to_owned(),
            Rule::Concurrency { .. } => "concurrency".to_owned(),
            Rule::Quota { name, .. } => format!("quota {name}"),
            Rule::Rate { .. } => "rate".to_owned(),
            Rule::Multiplier { .. } => "multiplier".to_owned(),
            Rule::Rollover { .. } => "rollover".to_owned(),
            Rule::AllowanceLasts { .. } => "allowance_lasts".to_owned(),
            Rule::PayOrder { .. } => "pay_order".to_owned(),
            Rule::Stacking { .. } => "stacking".to_owned(),
        };
        Self {
            number: index.saturating_add(1),
            label,
        }
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} ({})", self.number, self.label)
    }
}

impl PlanDocument {
    /// A plan without any rule: it admits every call.
    pub fn open() -> Self {
        Self {
            version: VERSION,
            rules: Vec::new(),
        }
    }

    /// Reads a document from JSON text.
    pub fn from_json(text: &str) -> Result<Self, PlanFault> {
        serde_json::from_str(text).map_err(|fault| PlanFault::Form(fault.to_string()))
    }

    /// The document as JSON text, the form that is stored.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a document holds only strings, numbers and lists")
    }
}
