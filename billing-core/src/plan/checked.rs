//! The checked form of a plan's rules, which the engine reads.
//!
//! A [`Plan`] in hand holds no contradiction: parsing refuses one and names the clause, so that nobody sells a plan
//! that can never admit a call.

use entity::key::PayOrder;
use entity::quota_counter::Metric;
use entity::{Credits, GroupId, RuleId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::document::{Clause, PlanDocument, Quantity, Rule, VERSION};
use super::fault::PlanFault;
use super::pattern::Pattern;
use super::window::Window;

/// Most rules in a plan.
pub(super) const RULES_MAX: usize = 64;
/// Most patterns or groups in one rule.
pub(super) const LIST_MAX: usize = 256;
/// Largest multiplier, a thousand-fold.
pub(super) const PPM_MAX: u32 = 1_000_000_000;
/// Largest quota: 4e18 nano-credits or requests, the bound of every balance.
const QUOTA_MAX: i64 = 4_000_000_000_000_000_000;
/// Longest that an allowance may last, in days: ten years.
const ALLOWANCE_DAYS_MAX: u32 = 3_660;
/// Last place among stacked plans.
const PRIORITY_MAX: u8 = 100;
/// The place of a plan that says nothing, which is that of allowances (ledger.md 6.3).
const PRIORITY_USUAL: u8 = 10;

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
    pub(super) rollover: Option<(Clause, Credits)>,
    pub(super) lasts: Option<(Clause, u32)>,
    pub(super) pay_order: Option<(Clause, PayOrder)>,
    pub(super) stacking: Option<(Clause, u8)>,
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

impl Rate {
    fn is_in_range(self) -> bool {
        let limits = [self.requests, self.tokens];
        limits.iter().any(Option::is_some) && !limits.contains(&Some(0))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Multiplier {
    pub(super) clause: Clause,
    pub(super) patterns: Vec<Pattern>,
    pub(super) ppm: u32,
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

    /// How much of what a period did not use moves to the next.
    pub fn rollover_cap(&self) -> Credits {
        self.rollover
            .as_ref()
            .map_or(Credits::ZERO, |(_, cap)| *cap)
    }

    /// How many days the allowance lasts, where that is not its period.
    pub fn allowance_days(&self) -> Option<u32> {
        self.lasts.as_ref().map(|(_, days)| *days)
    }

    /// What pays for calls of keys that say nothing else.
    pub fn pay_order(&self) -> Option<PayOrder> {
        self.pay_order.as_ref().map(|(_, order)| *order)
    }

    /// Its place among stacked plans; the lower is asked and drawn first.
    pub fn priority(&self) -> u8 {
        self.stacking
            .as_ref()
            .map_or(PRIORITY_USUAL, |(_, priority)| *priority)
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
            } => self.take_quota(clause, (name, models), *window, *limit),
            Rule::Rate {
                requests_per_minute,
                tokens_per_minute,
            } => {
                let rate = Rate {
                    requests: *requests_per_minute,
                    tokens: *tokens_per_minute,
                };
                if !rate.is_in_range() {
                    return Err(PlanFault::Limit(clause));
                }
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
            Rule::Rollover { cap } => {
                if !cap.is_positive() || *cap > Credits::MAX {
                    return Err(PlanFault::Limit(clause));
                }
                once(&mut self.rollover, clause, *cap)
            }
            Rule::AllowanceLasts { days } => {
                if !(1..=ALLOWANCE_DAYS_MAX).contains(days) {
                    return Err(PlanFault::Limit(clause));
                }
                once(&mut self.lasts, clause, *days)
            }
            Rule::PayOrder { order } => once(&mut self.pay_order, clause, *order),
            Rule::Stacking { priority } => {
                if *priority > PRIORITY_MAX {
                    return Err(PlanFault::Limit(clause));
                }
                once(&mut self.stacking, clause, *priority)
            }
        }
    }

    fn take_quota(
        &mut self,
        clause: Clause,
        (name, models): (&str, &[String]),
        window: Window,
        limit: Quantity,
    ) -> Result<(), PlanFault> {
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
            rule: rule_id(name, window, limit.metric(), models),
            models: patterns,
            name: name.to_owned(),
            window,
            limit,
        });
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
        let text = r#"{"version":1,"rules":[{"rule":"models_allowed","patterns":["gpt-*"]},{"rule":"models_blocked","patterns":["gpt-4*"]},{"rule":"concurrency","limit":4},{"rule":"quota","name":"daily","window":"day","limit":{"credits":"2.5"}},{"rule":"quota","name":"calls","window":"month","limit":{"requests":1000}},{"rule":"quota","name":"burst","window":{"first_use":{"hours":5}},"limit":{"credits":"1"},"models":["claude-opus-*"]},{"rule":"rate","requests_per_minute":60},{"rule":"multiplier","patterns":["gpt-5"],"ppm":1500000},{"rule":"rollover","cap":"5"},{"rule":"pay_order","order":"plan_only"},{"rule":"stacking","priority":3}]}"#;

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
        ];

        for (rules, message) in table {
            assert_eq!(refusal(rules), message);
        }
    }

    #[test]
    fn a_contradiction_about_credits_and_prices_is_refused_and_names_the_clause() {
        let table = [
            (
                r#"{"rule":"rollover","cap":"0"}"#,
                "rule 1 (rollover): the limit must be above zero and within bounds",
            ),
            (
                r#"{"rule":"rollover","cap":"1"},{"rule":"allowance_lasts","days":90}"#,
                "rule 2 (allowance_lasts) leaves nothing for rule 1 (rollover) to move: credits that lapse by the day are not left over at a period's end",
            ),
            (
                r#"{"rule":"allowance_lasts","days":0}"#,
                "rule 1 (allowance_lasts): the limit must be above zero and within bounds",
            ),
            (
                r#"{"rule":"pay_order","order":"plan_only"},{"rule":"pay_order","order":"wallet_only"}"#,
                "rule 2 (pay_order) says again what rule 1 (pay_order) says",
            ),
            (
                r#"{"rule":"stacking","priority":101}"#,
                "rule 1 (stacking): the limit must be above zero and within bounds",
            ),
            (
                r#"{"rule":"models_blocked","patterns":["gpt-*"]},{"rule":"quota","name":"a","window":"day","limit":{"requests":1},"models":["gpt-5"]}"#,
                "rule 2 (quota a) speaks of `gpt-5`, which rule 1 (models_blocked) blocks altogether",
            ),
            (
                r#"{"rule":"models_blocked","patterns":["gpt-*"]},{"rule":"multiplier","patterns":["claude-*","gpt-5*"],"ppm":2000000}"#,
                "rule 2 (multiplier) speaks of `gpt-5*`, which rule 1 (models_blocked) blocks altogether",
            ),
            (
                r#"{"rule":"multiplier","patterns":["*"],"ppm":1000000001}"#,
                "rule 1 (multiplier): a multiplier is between 1 and 1000000000 parts per million",
            ),
            (
                r#"{"rule":"quota","name":"a","window":"day","limit":{"requests":1}},{"rule":"quota","name":"b","window":"day","limit":{"requests":2}}"#,
                "rule 2 (quota b) says again what rule 1 (quota a) says",
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

    #[test]
    fn a_rule_about_an_allowance_needs_one() {
        let rules = |text| parse(text).expect("a plan");
        let some = Credits::from_nanos(1);

        for text in [
            r#"{"rule":"rollover","cap":"1"}"#,
            r#"{"rule":"allowance_lasts","days":9}"#,
            r#"{"rule":"pay_order","order":"plan_only"}"#,
        ] {
            assert!(matches!(
                rules(text).check_allowance(Credits::ZERO),
                Err(PlanFault::NoAllowance(_))
            ));
            assert_eq!(rules(text).check_allowance(some), Ok(()));
        }
        let wallet = rules(r#"{"rule":"pay_order","order":"wallet_only"}"#);
        assert_eq!(wallet.check_allowance(Credits::ZERO), Ok(()));
        assert!(matches!(
            wallet.check_allowance(some),
            Err(PlanFault::NeverSpent(_))
        ));
    }

    #[test]
    fn what_a_plan_leaves_unsaid_has_a_usual_answer() {
        let plan = parse("").expect("a plan");

        assert_eq!(plan.priority(), 10);
        assert_eq!(plan.rollover_cap(), Credits::ZERO);
        assert_eq!((plan.pay_order(), plan.allowance_days()), (None, None));
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,200}") {
            proptest::prop_assert!(Plan::from_json(&text).is_err());
        }
    }
}
