//! The rules of a plan as an operator saves them, and the checked form that the engine reads.
//!
//! A [`Plan`] in hand holds no contradiction: parsing refuses one and names the clause, so that nobody sells a plan
//! that can never admit a call.

use std::fmt;

use entity::quota_counter::Metric;
use entity::{Credits, GroupId, RuleId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::pattern::{Pattern, PatternFault};
use super::window::Window;

/// The one version of the format there is; a later format gets the next number and a migration of its own.
pub const VERSION: u32 = 1;
/// Most rules in a plan.
const RULES_MAX: usize = 64;
/// Most patterns or groups in one rule.
const LIST_MAX: usize = 256;
/// Largest multiplier, a thousand-fold.
const PPM_MAX: u32 = 1_000_000_000;
/// Longest window from first use: a leap year.
pub(crate) const HOURS_MAX: u32 = 8_784;
/// Largest quota: 4e18 nano-credits or requests, the bound of every balance.
const QUOTA_MAX: i64 = 4_000_000_000_000_000_000;

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
    fn of(index: usize, rule: &Rule) -> Self {
        let label = match rule {
            Rule::ModelsAllowed { .. } => "models_allowed".to_owned(),
            Rule::ModelsBlocked { .. } => "models_blocked".to_owned(),
            Rule::Groups { .. } => "groups".to_owned(),
            Rule::Concurrency { .. } => "concurrency".to_owned(),
            Rule::Quota { name, .. } => format!("quota {name}"),
            Rule::Rate { .. } => "rate".to_owned(),
            Rule::Multiplier { .. } => "multiplier".to_owned(),
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

/// A plan's rules, checked. Parsed once, read at every call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub(super) blocked: Option<(Clause, Vec<Pattern>)>,
    pub(super) allowed: Option<(Clause, Vec<Pattern>)>,
    pub(super) groups: Option<(Clause, Vec<GroupId>)>,
    pub(super) concurrency: Option<(Clause, u32)>,
    pub(super) quotas: Vec<Quota>,
    pub(super) rate: Option<(Clause, Rate)>,
    pub(super) multipliers: Vec<Multiplier>,
}

/// A checked quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The rule it stands in.
    pub clause: Clause,
    /// Counters are kept under it, with the subscription as their subject. Made of name, window and unit, so that the
    /// next version of a plan counts on where the last one stood.
    pub rule: RuleId,
    /// Unique within the plan.
    pub name: String,
    /// When it starts anew.
    pub window: Window,
    /// How much; above zero.
    pub limit: Quantity,
    /// For which models; empty is all.
    pub models: Vec<Pattern>,
}

impl Quota {
    /// Whether calls of a model count.
    pub fn counts(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| pattern.matches(model))
    }
}

/// What may pass in a minute, approximately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Calls.
    pub requests: Option<u64>,
    /// Tokens, input and output.
    pub tokens: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Multiplier {
    pub(super) clause: Clause,
    pub(super) patterns: Vec<Pattern>,
    pub(super) ppm: u32,
}

/// Why a document is no plan. Every variant that concerns a clause names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanFault {
    /// Not JSON, a field missing, unknown or of the wrong kind.
    #[error("the document does not read: {0}")]
    Form(String),
    /// A format that this release does not know.
    #[error("version {0} of the format is not known; this release knows {VERSION}")]
    Version(u32),
    /// Too many rules to read at every call.
    #[error("more than {RULES_MAX} rules")]
    TooManyRules,
    /// A list is empty, so that nothing would ever fit, or too long.
    #[error("{0} needs between 1 and {LIST_MAX} items")]
    List(Clause),
    /// A pattern is no pattern.
    #[error("{clause}: {fault}")]
    Pattern {
        /// Where.
        clause: Clause,
        /// Why.
        fault: PatternFault,
    },
    /// A limit of nothing, or beyond every balance.
    #[error("{0}: the limit must be above zero and within bounds")]
    Limit(Clause),
    /// A window of no length, or of more than a year.
    #[error("{0}: a window from first use is between 1 and {HOURS_MAX} hours")]
    Window(Clause),
    /// A multiplier that gives calls away, or beyond a thousand-fold.
    #[error("{0}: a multiplier is between 1 and {PPM_MAX} parts per million")]
    Multiplier(Clause),
    /// A quota's name is empty, too long or holds other characters.
    #[error("{0}: a name is 1 to 40 lower-case letters, digits, `-` or `_`")]
    Name(Clause),
    /// Two clauses that speak of the same thing.
    #[error("{second} says again what {first} says")]
    Twice {
        /// The first of them.
        first: Clause,
        /// The one to remove.
        second: Clause,
    },
    /// A model that is allowed and blocked.
    #[error("{allowed} allows `{pattern}`, which {blocked} blocks altogether")]
    AllowedAndBlocked {
        /// Where it is allowed.
        allowed: Clause,
        /// What is allowed.
        pattern: String,
        /// Where it is blocked.
        blocked: Clause,
    },
    /// A short window that lets through more than a longer one of the same kind.
    #[error("{short} can never bind, because {long} lets less through in a longer window")]
    NeverBinds {
        /// The pointless clause.
        short: Clause,
        /// The one that always binds first.
        long: Clause,
    },
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

impl TryFrom<&PlanDocument> for Plan {
    type Error = PlanFault;

    fn try_from(document: &PlanDocument) -> Result<Self, PlanFault> {
        if document.version != VERSION {
            return Err(PlanFault::Version(document.version));
        }
        if document.rules.len() > RULES_MAX {
            return Err(PlanFault::TooManyRules);
        }
        let mut plan = Self::default();
        for (index, rule) in document.rules.iter().enumerate() {
            plan.take(Clause::of(index, rule), rule)?;
        }
        plan.refuse_contradictions()?;
        Ok(plan)
    }
}

impl Plan {
    /// Reads stored JSON text.
    pub fn from_json(text: &str) -> Result<Self, PlanFault> {
        Self::try_from(&PlanDocument::from_json(text)?)
    }

    /// What may pass in a minute.
    pub fn rate(&self) -> Option<Rate> {
        self.rate.as_ref().map(|(_, rate)| *rate)
    }

    /// The quotas, in the order they are written.
    pub fn quotas(&self) -> &[Quota] {
        &self.quotas
    }

    fn take(&mut self, clause: Clause, rule: &Rule) -> Result<(), PlanFault> {
        match rule {
            Rule::ModelsAllowed { patterns } => {
                let patterns = parse_patterns(&clause, patterns)?;
                once(&mut self.allowed, clause, patterns)
            }
            Rule::ModelsBlocked { patterns } => {
                let patterns = parse_patterns(&clause, patterns)?;
                once(&mut self.blocked, clause, patterns)
            }
            Rule::Groups { groups } => {
                sized(&clause, groups.len())?;
                once(&mut self.groups, clause, groups.clone())
            }
            Rule::Concurrency { limit: 0 } => Err(PlanFault::Limit(clause)),
            Rule::Concurrency { limit } => once(&mut self.concurrency, clause, *limit),
            Rule::Quota {
                name,
                window,
                limit,
                models,
            } => {
                if !window.is_in_range() {
                    return Err(PlanFault::Window(clause));
                }
                if !(1..=QUOTA_MAX).contains(&limit.units()) {
                    return Err(PlanFault::Limit(clause));
                }
                if !is_name(name) {
                    return Err(PlanFault::Name(clause));
                }
                let patterns = if models.is_empty() {
                    Vec::new()
                } else {
                    parse_patterns(&clause, models)?
                };
                self.quotas.push(Quota {
                    clause,
                    rule: rule_id(name, *window, limit.metric(), models),
                    models: patterns,
                    name: name.clone(),
                    window: *window,
                    limit: *limit,
                });
                Ok(())
            }
            Rule::Rate {
                requests_per_minute,
                tokens_per_minute,
            } => {
                let limits = [requests_per_minute, tokens_per_minute];
                if limits.iter().all(|limit| limit.is_none())
                    || limits.into_iter().flatten().any(|limit| *limit == 0)
                {
                    return Err(PlanFault::Limit(clause));
                }
                let rate = Rate {
                    requests: *requests_per_minute,
                    tokens: *tokens_per_minute,
                };
                once(&mut self.rate, clause, rate)
            }
            Rule::Multiplier { patterns, ppm } => {
                if !(1..=PPM_MAX).contains(ppm) {
                    return Err(PlanFault::Multiplier(clause));
                }
                let patterns = parse_patterns(&clause, patterns)?;
                self.multipliers.push(Multiplier {
                    clause,
                    patterns,
                    ppm: *ppm,
                });
                Ok(())
            }
        }
    }

    fn refuse_contradictions(&self) -> Result<(), PlanFault> {
        self.refuse_allowed_and_blocked()?;
        self.refuse_quotas_at_odds()?;
        self.refuse_unreachable_multipliers()
    }

    fn refuse_allowed_and_blocked(&self) -> Result<(), PlanFault> {
        let Some((blocked, bans)) = &self.blocked else {
            return Ok(());
        };
        let everything = Pattern::parse("*").expect("a star is a pattern");
        let (allowed, patterns) = match &self.allowed {
            Some((clause, patterns)) => (clause, patterns.as_slice()),
            None => (blocked, std::slice::from_ref(&everything)),
        };
        match patterns
            .iter()
            .find(|pattern| bans.iter().any(|ban| ban.covers(pattern)))
        {
            None => Ok(()),
            Some(pattern) => Err(PlanFault::AllowedAndBlocked {
                allowed: allowed.clone(),
                pattern: pattern.to_string(),
                blocked: blocked.clone(),
            }),
        }
    }

    fn refuse_quotas_at_odds(&self) -> Result<(), PlanFault> {
        for (index, second) in self.quotas.iter().enumerate() {
            for first in self.quotas.iter().take(index) {
                let same_kind =
                    first.limit.metric() == second.limit.metric() && first.models == second.models;
                if first.name == second.name || (same_kind && first.window == second.window) {
                    return Err(PlanFault::Twice {
                        first: first.clause.clone(),
                        second: second.clause.clone(),
                    });
                }
                let (short, long) = if first.window < second.window {
                    (first, second)
                } else {
                    (second, first)
                };
                // A window from first use may lie across two of the calendar's, so it can let more through.
                let nested = short.window.is_calendar() && long.window.is_calendar();
                if same_kind && nested && short.limit.units() > long.limit.units() {
                    return Err(PlanFault::NeverBinds {
                        short: short.clause.clone(),
                        long: long.clause.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    fn refuse_unreachable_multipliers(&self) -> Result<(), PlanFault> {
        for (index, second) in self.multipliers.iter().enumerate() {
            for first in self.multipliers.iter().take(index) {
                let covered =
                    |pattern: &Pattern| first.patterns.iter().any(|wide| wide.covers(pattern));
                if second.patterns.iter().any(covered) {
                    return Err(PlanFault::Twice {
                        first: first.clause.clone(),
                        second: second.clause.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

fn rule_id(name: &str, window: Window, metric: Metric, models: &[String]) -> RuleId {
    let mut seed = format!("plan quota {name} {window:?} {metric:?}");
    for model in models {
        seed.push(' ');
        seed.push_str(model);
    }
    let mut bytes = [0_u8; 16];
    for (byte, hashed) in bytes.iter_mut().zip(Sha256::digest(seed.as_bytes())) {
        *byte = hashed;
    }
    RuleId::from_uuid(Uuid::from_bytes(bytes))
}

fn once<T>(slot: &mut Option<(Clause, T)>, clause: Clause, value: T) -> Result<(), PlanFault> {
    if let Some((first, _)) = slot {
        return Err(PlanFault::Twice {
            first: first.clone(),
            second: clause,
        });
    }
    *slot = Some((clause, value));
    Ok(())
}

fn parse_patterns(clause: &Clause, texts: &[String]) -> Result<Vec<Pattern>, PlanFault> {
    sized(clause, texts.len())?;
    texts
        .iter()
        .map(|text| {
            Pattern::parse(text).map_err(|fault| PlanFault::Pattern {
                clause: clause.clone(),
                fault,
            })
        })
        .collect()
}

fn sized(clause: &Clause, length: usize) -> Result<(), PlanFault> {
    if (1..=LIST_MAX).contains(&length) {
        Ok(())
    } else {
        Err(PlanFault::List(clause.clone()))
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=40).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rules: &str) -> Result<Plan, PlanFault> {
        Plan::from_json(&format!(r#"{{"version":1,"rules":[{rules}]}}"#))
    }

    fn refusal(rules: &str) -> String {
        parse(rules).expect_err("a contradiction").to_string()
    }

    #[test]
    fn a_document_survives_the_way_to_text_and_back() {
        let text = r#"{"version":1,"rules":[{"rule":"models_allowed","patterns":["gpt-*"]},{"rule":"models_blocked","patterns":["gpt-4*"]},{"rule":"concurrency","limit":4},{"rule":"quota","name":"daily","window":"day","limit":{"credits":"2.5"}},{"rule":"quota","name":"calls","window":"month","limit":{"requests":1000}},{"rule":"quota","name":"burst","window":{"first_use":{"hours":5}},"limit":{"credits":"1"},"models":["claude-opus-*"]},{"rule":"rate","requests_per_minute":60},{"rule":"multiplier","patterns":["gpt-5"],"ppm":1500000}]}"#;

        let document = PlanDocument::from_json(text).expect("a document");

        assert_eq!(document.to_json(), text);
        let plan = Plan::try_from(&document).expect("a plan");
        assert_eq!(plan.quotas()[0].limit.units(), 2_500_000_000);
    }

    #[test]
    fn unknown_fields_rules_and_versions_are_refused() {
        assert!(matches!(
            PlanDocument::from_json(r#"{"version":1,"rules":[],"discount":1}"#),
            Err(PlanFault::Form(_))
        ));
        assert!(matches!(
            parse(r#"{"rule":"concurrency","limit":1,"per":"key"}"#),
            Err(PlanFault::Form(_))
        ));
        assert!(matches!(
            parse(r#"{"rule":"everything"}"#),
            Err(PlanFault::Form(_))
        ));
        assert!(matches!(
            parse(r#"{"rule":"concurrency","limit":-1}"#),
            Err(PlanFault::Form(_))
        ));
        assert_eq!(
            Plan::from_json(r#"{"version":2,"rules":[]}"#),
            Err(PlanFault::Version(2))
        );
    }

    #[test]
    fn a_contradiction_is_refused_and_names_the_clause() {
        let table = [
            (
                r#"{"rule":"models_allowed","patterns":["gpt-5"]},{"rule":"models_blocked","patterns":["gpt-*"]}"#,
                "rule 1 (models_allowed) allows `gpt-5`, which rule 2 (models_blocked) blocks altogether",
            ),
            (
                r#"{"rule":"models_blocked","patterns":["*"]}"#,
                "rule 1 (models_blocked) allows `*`, which rule 1 (models_blocked) blocks altogether",
            ),
            (
                r#"{"rule":"concurrency","limit":1},{"rule":"concurrency","limit":2}"#,
                "rule 2 (concurrency) says again what rule 1 (concurrency) says",
            ),
            (
                r#"{"rule":"concurrency","limit":0}"#,
                "rule 1 (concurrency): the limit must be above zero and within bounds",
            ),
            (
                r#"{"rule":"quota","name":"daily","window":"day","limit":{"credits":"0"}}"#,
                "rule 1 (quota daily): the limit must be above zero and within bounds",
            ),
            (
                r#"{"rule":"quota","name":"Daily!","window":"day","limit":{"requests":1}}"#,
                "rule 1 (quota Daily!): a name is 1 to 40 lower-case letters, digits, `-` or `_`",
            ),
            (
                r#"{"rule":"quota","name":"a","window":"day","limit":{"requests":1}},{"rule":"quota","name":"a","window":"week","limit":{"requests":9}}"#,
                "rule 2 (quota a) says again what rule 1 (quota a) says",
            ),
            (
                r#"{"rule":"quota","name":"m","window":"month","limit":{"requests":5}},{"rule":"quota","name":"d","window":"day","limit":{"requests":6}}"#,
                "rule 2 (quota d) can never bind, because rule 1 (quota m) lets less through in a longer window",
            ),
            (
                r#"{"rule":"quota","name":"a","window":{"first_use":{"hours":0}},"limit":{"requests":1}}"#,
                "rule 1 (quota a): a window from first use is between 1 and 8784 hours",
            ),
            (
                r#"{"rule":"quota","name":"a","window":"day","limit":{"requests":1},"models":["a b"]}"#,
                "rule 1 (quota a): a pattern holds a space or a control character",
            ),
            (
                r#"{"rule":"rate"}"#,
                "rule 1 (rate): the limit must be above zero and within bounds",
            ),
            (
                r#"{"rule":"models_allowed","patterns":[]}"#,
                "rule 1 (models_allowed) needs between 1 and 256 items",
            ),
            (
                r#"{"rule":"models_allowed","patterns":["a b"]}"#,
                "rule 1 (models_allowed): a pattern holds a space or a control character",
            ),
            (
                r#"{"rule":"multiplier","patterns":["gpt-*"],"ppm":1},{"rule":"multiplier","patterns":["gpt-5"],"ppm":2}"#,
                "rule 2 (multiplier) says again what rule 1 (multiplier) says",
            ),
            (
                r#"{"rule":"multiplier","patterns":["*"],"ppm":0}"#,
                "rule 1 (multiplier): a multiplier is between 1 and 1000000000 parts per million",
            ),
        ];

        for (rules, message) in table {
            assert_eq!(refusal(rules), message);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,200}") {
            proptest::prop_assert!(Plan::from_json(&text).is_err());
        }
    }
}
