//! The engine: whether a plan admits a call, and which clause decided. Pure; the same answer for the same question.

use entity::quota_counter::Metric;
use entity::{Credits, GroupId, Timestamp};

use super::checked::{Multiplier, Plan, Quota};
use super::decision::{
    Admission, Decision, Finding, Outcome, PPM_LIST, Reason, Refusal, Request, Reserve, Step, Usage,
};
use super::document::{Clause, Quantity};

impl Plan {
    /// The multiplier for a model, in parts per million of its list price: the first clause that fits.
    pub fn multiplier_ppm(&self, model: &str) -> u32 {
        self.multiplier(model)
            .map_or(PPM_LIST, |multiplier| multiplier.ppm)
    }

    /// Whether the rules on groups and models let this call through, whatever was used: what a list of usable models
    /// needs to know.
    pub fn offers(&self, model: &str, group: GroupId) -> bool {
        let mut trace = Vec::new();
        judge_group(self, group, &mut trace).is_ok() && judge_model(self, model, &mut trace).is_ok()
    }

    fn multiplier(&self, model: &str) -> Option<&Multiplier> {
        let fits = |multiplier: &&Multiplier| {
            multiplier
                .patterns
                .iter()
                .any(|pattern| pattern.matches(model))
        };
        self.multipliers.iter().find(fits)
    }
}

/// Whether `plan` may pay for `request` at `now`, given what was used.
///
/// Clauses are asked in a fixed order: groups, blocked models, allowed models, concurrency, quotas. Of several
/// exhausted quotas the one that resets last decides, for the caller has to wait for it anyway.
pub fn evaluate(plan: &Plan, usage: &Usage, request: &Request<'_>, now: Timestamp) -> Decision {
    let mut trace = Vec::new();
    let outcome = match judge(plan, usage, request, now, &mut trace) {
        Ok(admission) => Outcome::Admit(admission),
        Err(refusal) => {
            trace.push(Step {
                clause: refusal.clause.clone(),
                finding: Finding::Refuses(refusal.reason.clone()),
            });
            Outcome::Refuse(refusal)
        }
    };
    Decision { outcome, trace }
}

fn judge(
    plan: &Plan,
    usage: &Usage,
    request: &Request<'_>,
    now: Timestamp,
    trace: &mut Vec<Step>,
) -> Result<Admission, Refusal> {
    judge_group(plan, request.group, trace)?;
    judge_model(plan, request.model, trace)?;
    if let Some((clause, limit)) = &plan.concurrency {
        if usage.open_calls >= *limit {
            return Err(refusal(clause, Reason::ConcurrencyLimit { limit: *limit }));
        }
        pass(clause, trace);
    }
    let reserves = judge_quotas(plan, usage, request, now, trace)?;
    if let Some(multiplier) = plan.multiplier(request.model) {
        trace.push(Step {
            clause: multiplier.clause.clone(),
            finding: Finding::Multiplies {
                ppm: multiplier.ppm,
            },
        });
    }
    let of_credits = reserves
        .iter()
        .filter(|reserve| reserve.metric == Metric::Credits)
        .map(|reserve| Credits::from_nanos(reserve.units));
    let room = of_credits.fold(request.amount, Ord::min);
    Ok(Admission {
        room,
        multiplier_ppm: plan.multiplier_ppm(request.model),
        reserves,
    })
}

fn judge_group(plan: &Plan, group: GroupId, trace: &mut Vec<Step>) -> Result<(), Refusal> {
    let Some((clause, groups)) = &plan.groups else {
        return Ok(());
    };
    if !groups.contains(&group) {
        return Err(refusal(clause, Reason::GroupNotInPlan));
    }
    pass(clause, trace);
    Ok(())
}

fn judge_model(plan: &Plan, model: &str, trace: &mut Vec<Step>) -> Result<(), Refusal> {
    if let Some((clause, patterns)) = &plan.blocked {
        if let Some(pattern) = patterns.iter().find(|pattern| pattern.matches(model)) {
            let pattern = pattern.clone();
            return Err(refusal(clause, Reason::ModelBlocked { pattern }));
        }
        pass(clause, trace);
    }
    if let Some((clause, patterns)) = &plan.allowed {
        if !patterns.iter().any(|pattern| pattern.matches(model)) {
            return Err(refusal(clause, Reason::ModelNotInPlan));
        }
        pass(clause, trace);
    }
    Ok(())
}

fn judge_quotas(
    plan: &Plan,
    usage: &Usage,
    request: &Request<'_>,
    now: Timestamp,
    trace: &mut Vec<Step>,
) -> Result<Vec<Reserve>, Refusal> {
    let mut reserves = Vec::with_capacity(plan.quotas.len());
    let mut binding: Option<(Timestamp, Box<Refusal>)> = None;
    let counting = plan
        .quotas
        .iter()
        .filter(|quota| quota.counts(request.model));
    for quota in counting {
        match judge_quota(quota, usage, request, now, trace) {
            Ok(reserve) => reserves.push(reserve),
            Err((resets_at, refusal)) => {
                if binding
                    .as_ref()
                    .is_none_or(|(latest, _)| resets_at > *latest)
                {
                    binding = Some((resets_at, refusal));
                }
            }
        }
    }
    match binding {
        None => Ok(reserves),
        Some((_, refusal)) => Err(*refusal),
    }
}

fn judge_quota(
    quota: &Quota,
    usage: &Usage,
    request: &Request<'_>,
    now: Timestamp,
    trace: &mut Vec<Step>,
) -> Result<Reserve, (Timestamp, Box<Refusal>)> {
    let metric = quota.limit.metric();
    let latest = usage.windows.get(&quota.rule);
    let span = quota
        .window
        .span(now, usage.zone, latest.map(|counted| counted.span));
    let current = latest.filter(|counted| counted.span == span);
    let held = current.map_or(0, |counted| counted.reserved);
    let used = current.map_or(0, |counted| counted.used.saturating_add(held));
    let (wanted, needed) = match metric {
        Metric::Credits => (request.amount.nanos(), request.least.nanos()),
        Metric::Requests => (1, 1),
    };
    let left = quota.limit.units().saturating_sub(used).max(0);
    if needed > left {
        let reason = Reason::QuotaExhausted {
            quota: quota.name.clone(),
            limit: quota.limit,
            used: Quantity::of(metric, used),
            held,
            needed: Quantity::of(metric, needed),
            resets_at: span.ends_at,
        };
        return Err((span.ends_at, Box::new(refusal(&quota.clause, reason))));
    }
    trace.push(Step {
        clause: quota.clause.clone(),
        finding: Finding::HasRoom {
            left: Quantity::of(metric, left),
            resets_at: span.ends_at,
        },
    });
    Ok(Reserve {
        rule: quota.rule,
        span,
        metric,
        units: wanted.min(left),
    })
}

fn pass(clause: &Clause, trace: &mut Vec<Step>) {
    trace.push(Step {
        clause: clause.clone(),
        finding: Finding::Passes,
    });
}

fn refusal(clause: &Clause, reason: Reason) -> Refusal {
    Refusal {
        clause: clause.clone(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono_tz::Tz;

    use super::*;
    use crate::plan::{Counted, Span};

    fn plan(rules: &str) -> Plan {
        Plan::from_json(&format!(r#"{{"version":1,"rules":[{rules}]}}"#)).expect("a plan")
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_datetime(
            text.parse::<chrono::DateTime<chrono::Utc>>()
                .expect("a time"),
        )
    }

    fn noon() -> Timestamp {
        at("2026-11-21T12:00:00Z")
    }

    fn today() -> Span {
        Span {
            starts_at: at("2026-11-21T00:00:00Z"),
            ends_at: at("2026-11-22T00:00:00Z"),
        }
    }

    fn unused() -> Usage {
        Usage {
            zone: Tz::UTC,
            open_calls: 0,
            windows: BTreeMap::new(),
        }
    }

    fn used(quota: &Quota, span: Span, used: i64, reserved: i64) -> Usage {
        Usage {
            windows: BTreeMap::from([(
                quota.rule,
                Counted {
                    span,
                    used,
                    reserved,
                },
            )]),
            ..unused()
        }
    }

    fn ask(model: &str) -> Request<'_> {
        Request {
            model,
            group: GroupId::fresh(),
            amount: Credits::from_nanos(10),
            least: Credits::from_nanos(10),
        }
    }

    fn reason(decision: Decision) -> (String, Reason) {
        match decision.outcome {
            Outcome::Refuse(refusal) => (refusal.clause.to_string(), refusal.reason),
            Outcome::Admit(admission) => panic!("admitted: {admission:?}"),
        }
    }

    #[test]
    fn a_plan_without_rules_admits_every_call_at_list_price() {
        let decision = evaluate(&Plan::default(), &unused(), &ask("any"), noon());

        let admission = Admission {
            multiplier_ppm: PPM_LIST,
            room: Credits::from_nanos(10),
            reserves: Vec::new(),
        };
        assert_eq!(decision.outcome, Outcome::Admit(admission));
        assert_eq!(decision.trace, Vec::new());
    }

    #[test]
    fn models_are_blocked_first_and_allowed_second() {
        let plan = plan(
            r#"{"rule":"models_allowed","patterns":["gpt-*"]},{"rule":"models_blocked","patterns":["*-preview"]}"#,
        );

        let admits = |model| {
            matches!(
                evaluate(&plan, &unused(), &ask(model), noon()).outcome,
                Outcome::Admit(_)
            )
        };
        assert!(admits("gpt-5"));
        let blocked = reason(evaluate(&plan, &unused(), &ask("gpt-5-preview"), noon()));
        assert_eq!(blocked.0, "rule 2 (models_blocked)");
        assert!(
            matches!(blocked.1, Reason::ModelBlocked { pattern } if pattern.as_str() == "*-preview")
        );
        let foreign = reason(evaluate(&plan, &unused(), &ask("claude"), noon()));
        assert_eq!(
            foreign,
            ("rule 1 (models_allowed)".to_owned(), Reason::ModelNotInPlan)
        );
    }

    #[test]
    fn only_the_groups_of_a_plan_use_it() {
        let group = GroupId::fresh();
        let plan = plan(&format!(r#"{{"rule":"groups","groups":["{group}"]}}"#));

        let member = Request { group, ..ask("m") };
        assert!(matches!(
            evaluate(&plan, &unused(), &member, noon()).outcome,
            Outcome::Admit(_)
        ));
        assert_eq!(
            reason(evaluate(&plan, &unused(), &ask("m"), noon())).1,
            Reason::GroupNotInPlan
        );
        assert!(plan.offers("m", group));
        assert!(!plan.offers("m", GroupId::fresh()));
    }

    #[test]
    fn the_call_after_the_last_allowed_one_is_refused() {
        let plan = plan(r#"{"rule":"concurrency","limit":2}"#);
        let running = |open_calls| Usage {
            open_calls,
            ..unused()
        };

        assert!(matches!(
            evaluate(&plan, &running(1), &ask("m"), noon()).outcome,
            Outcome::Admit(_)
        ));
        let refused = reason(evaluate(&plan, &running(2), &ask("m"), noon())).1;
        assert_eq!(refused, Reason::ConcurrencyLimit { limit: 2 });
    }

    #[test]
    fn a_quota_lets_through_exactly_its_limit_and_counts_what_is_held() {
        let plan = plan(
            r#"{"rule":"quota","name":"daily","window":"day","limit":{"credits":"0.0000001"}}"#,
        );

        let fits = evaluate(
            &plan,
            &used(&plan.quotas[0], today(), 60, 30),
            &ask("m"),
            noon(),
        );
        let Outcome::Admit(admission) = fits.outcome else {
            panic!("100 nano-credits a day hold 60 used, 30 held and 10 asked")
        };
        assert_eq!(
            admission.reserves,
            [Reserve {
                rule: plan.quotas[0].rule,
                span: today(),
                metric: Metric::Credits,
                units: 10
            }]
        );
        let refused = reason(evaluate(
            &plan,
            &used(&plan.quotas[0], today(), 60, 31),
            &ask("m"),
            noon(),
        ));
        assert_eq!(
            refused.1,
            Reason::QuotaExhausted {
                quota: "daily".to_owned(),
                limit: Quantity::Credits(Credits::from_nanos(100)),
                used: Quantity::Credits(Credits::from_nanos(91)),
                held: 31,
                needed: Quantity::Credits(Credits::from_nanos(10)),
                resets_at: today().ends_at,
            }
        );
    }

    #[test]
    fn a_call_that_can_do_with_less_gets_what_every_window_has_left() {
        let plan = plan(
            r#"{"rule":"quota","name":"daily","window":"day","limit":{"credits":"0.0000001"}},{"rule":"quota","name":"monthly","window":"month","limit":{"credits":"0.000001"}}"#,
        );
        let usage = used(&plan.quotas[0], today(), 60, 33);
        let least = |nanos| Request {
            least: Credits::from_nanos(nanos),
            ..ask("m")
        };

        let Outcome::Admit(admission) = evaluate(&plan, &usage, &least(7), noon()).outcome else {
            panic!("seven are left, and seven will do")
        };
        assert_eq!(admission.room, Credits::from_nanos(7));
        let refused = reason(evaluate(&plan, &usage, &least(8), noon())).1;
        assert!(
            matches!(refused, Reason::QuotaExhausted { needed, .. } if needed == Quantity::Credits(Credits::from_nanos(8)))
        );
    }

    #[test]
    fn yesterdays_use_does_not_count_today() {
        let plan = plan(r#"{"rule":"quota","name":"daily","window":"day","limit":{"requests":1}}"#);

        let usage = used(&plan.quotas[0], today(), 1, 0);
        assert!(matches!(
            reason(evaluate(&plan, &usage, &ask("m"), noon())).1,
            Reason::QuotaExhausted { .. }
        ));
        let tomorrow = evaluate(&plan, &usage, &ask("m"), today().ends_at);
        assert!(matches!(tomorrow.outcome, Outcome::Admit(_)));
    }

    #[test]
    fn of_several_exhausted_quotas_the_last_to_reset_decides() {
        let plan = plan(
            r#"{"rule":"quota","name":"month","window":"month","limit":{"requests":1}},{"rule":"quota","name":"day","window":"day","limit":{"requests":1}}"#,
        );
        let month = Span {
            starts_at: at("2026-11-01T00:00:00Z"),
            ends_at: at("2026-12-01T00:00:00Z"),
        };
        let mut usage = used(&plan.quotas[1], today(), 1, 0);
        let counted = Counted {
            span: month,
            used: 1,
            reserved: 0,
        };
        usage.windows.insert(plan.quotas[0].rule, counted);

        let decision = evaluate(&plan, &usage, &ask("m"), noon());

        assert!(matches!(
            decision.trace.last(),
            Some(Step {
                finding: Finding::Refuses(_),
                ..
            })
        ));
        let (clause, decided) = reason(decision);
        assert_eq!(clause, "rule 1 (quota month)");
        assert!(
            matches!(decided, Reason::QuotaExhausted { resets_at, .. } if resets_at == month.ends_at)
        );
    }

    #[test]
    fn the_first_multiplier_that_fits_counts() {
        let plan = plan(
            r#"{"rule":"multiplier","patterns":["gpt-5"],"ppm":500000},{"rule":"multiplier","patterns":["gpt-*"],"ppm":2000000}"#,
        );

        assert_eq!(plan.multiplier_ppm("gpt-5"), 500_000);
        assert_eq!(plan.multiplier_ppm("gpt-4"), 2_000_000);
        assert_eq!(plan.multiplier_ppm("claude"), PPM_LIST);
    }

    #[test]
    fn counters_at_the_end_of_their_range_refuse_instead_of_wrapping() {
        let plan = plan(r#"{"rule":"quota","name":"daily","window":"day","limit":{"requests":1}}"#);

        let refused = reason(evaluate(
            &plan,
            &used(&plan.quotas[0], today(), i64::MAX, i64::MAX),
            &ask("m"),
            noon(),
        ));

        assert!(matches!(refused.1, Reason::QuotaExhausted { .. }));
    }
}
