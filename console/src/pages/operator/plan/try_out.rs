//! Tries a call against a plan: what each clause says to it, and which one decides. Nothing is held and nothing counted.

use super::terms::period_word;
use crate::{
    Error,
    frame::{Answer, Faults, Page, State, Support, reply},
    pages::operator::field,
    words::{Phrase, format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::plan::{
    Counted, Decision, Finding, Outcome, Plan, Quantity, Reason, Request, Step, Usage, evaluate,
    versions,
};
use entity::{Credits, GroupId, PlanId, Timestamp, quota_counter::Metric};
use std::collections::BTreeMap;

#[derive(Template)]
#[template(path = "page/operator/plan_try.html")]
struct TryOut {
    page: Page,
    title: String,
    back: String,
    version: Phrase,
    period: Phrase,
    groups: Vec<(String, String)>,
    quotas: Vec<Used>,
    form: Entered,
    faults: Faults,
    answer: Option<Verdict>,
}

/// What is tried.
struct Entered {
    model: String,
    group: String,
    amount: String,
    running: String,
    zone: String,
}

/// How much of a quota is used, as the operator supposes.
struct Used {
    field: String,
    name: String,
    value: String,
}

struct Verdict {
    admitted: bool,
    /// What the caller would read.
    words: Option<String>,
    room: String,
    factor: String,
    steps: Vec<Line>,
}

struct Line {
    clause: String,
    said: Phrase,
    refuses: bool,
}

/// The page: the form, and the answer where a model is named.
pub(crate) async fn show(
    page: Page,
    _support: Support,
    console: State,
    path: web::Path<PlanId>,
    query: web::Query<BTreeMap<String, String>>,
) -> Answer {
    let db = &console.db;
    let plan = super::found(db, path.into_inner()).await?;
    let versions = versions(db, plan.id).await?;
    let version = versions.first().ok_or(Error::NotFound)?;
    let rules =
        Plan::from_json(&version.document).map_err(|fault| Error::Internal(fault.to_string()))?;
    let form = Entered::of(&query);
    let mut faults = Faults::none();
    let answer = if form.model.is_empty() {
        None
    } else {
        form.ask(&rules, &query, console.clock.now(), &mut faults)
    };

    reply::page(&TryOut {
        page,
        title: plan.title,
        back: format!("{}/{}", super::LIST, plan.id),
        version: phrase("op-plan-version").count("version", version.version),
        period: period_word(version.period),
        groups: super::groups(db).await?,
        quotas: used(&rules, &query),
        form,
        faults,
        answer,
    })
}

fn used(rules: &Plan, query: &BTreeMap<String, String>) -> Vec<Used> {
    rules
        .quotas()
        .iter()
        .map(|quota| {
            let field = format!("used_{}", quota.name);
            Used {
                value: query.get(&field).cloned().unwrap_or_default(),
                name: format!("{} ({})", quota.name, quota.limit),
                field,
            }
        })
        .collect()
}

impl Entered {
    fn of(query: &BTreeMap<String, String>) -> Self {
        let text = |name: &str| query.get(name).map(|text| text.trim().to_owned());
        Self {
            model: text("model").unwrap_or_default(),
            group: text("group").unwrap_or_default(),
            amount: text("amount").unwrap_or_else(|| "0.10".to_owned()),
            running: text("running").unwrap_or_else(|| "0".to_owned()),
            zone: text("zone").unwrap_or_else(|| "UTC".to_owned()),
        }
    }

    /// What the plan says, where every field reads.
    fn ask(
        &self,
        rules: &Plan,
        query: &BTreeMap<String, String>,
        now: Timestamp,
        faults: &mut Faults,
    ) -> Option<Verdict> {
        let amount = faults.take("amount", field::credits(&self.amount));
        let running = field::number(&self.running, 0..=1_000_000);
        let running = faults.take("running", running);
        let zone = self.zone.parse().map_err(|_| phrase("op-try-zone-fault"));
        let zone = faults.take("zone", zone);
        let (amount, running, zone) = (amount?, running?, zone?);
        let mut usage = Usage {
            zone,
            open_calls: u32::try_from(running).unwrap_or(u32::MAX),
            windows: BTreeMap::new(),
        };
        for quota in rules.quotas() {
            let text = query.get(&format!("used_{}", quota.name));
            let text = text.map_or("", String::as_str);
            let units = match quota.limit.metric() {
                Metric::Credits => {
                    field::optional(text, field::credits).map(|used| used.map(Credits::nanos))
                }
                Metric::Requests => field::optional(text, |text| field::number(text, 0..=i64::MAX)),
            };
            let units = faults.take("used", units)?;
            let counted = Counted {
                span: quota.window.span(now, zone, None),
                used: units.unwrap_or(0),
                reserved: 0,
            };
            usage.windows.insert(quota.rule, counted);
        }
        let request = Request {
            model: &self.model,
            group: self.group.parse().unwrap_or_else(|_| GroupId::fresh()),
            amount,
            least: amount,
        };
        Some(Verdict::of(
            &evaluate(rules, &usage, &request, now),
            rules.multiplier_ppm(&self.model),
        ))
    }
}

impl Verdict {
    fn of(decision: &Decision, ppm: u32) -> Self {
        let (admitted, words, room) = match &decision.outcome {
            Outcome::Admit(admission) => (true, None, format::credits(admission.room)),
            Outcome::Refuse(refusal) => (false, Some(refusal.to_string()), String::new()),
        };
        Self {
            admitted,
            words,
            room,
            factor: format::factor(i64::from(ppm)),
            steps: decision.trace.iter().map(Line::of).collect(),
        }
    }
}

impl Line {
    fn of(step: &Step) -> Self {
        let said = match &step.finding {
            Finding::Passes => phrase("op-try-passes"),
            Finding::HasRoom { left, resets_at } => phrase("op-try-has-room")
                .with("left", quantity(*left))
                .with("moment", format::moment(*resets_at).text),
            Finding::Multiplies { ppm } => {
                phrase("op-try-multiplies").with("factor", format::factor(i64::from(*ppm)))
            }
            Finding::Refuses(reason) => refusal(reason),
        };
        Self {
            clause: step.clause.to_string(),
            said,
            refuses: matches!(step.finding, Finding::Refuses(_)),
        }
    }
}

fn refusal(reason: &Reason) -> Phrase {
    match reason {
        Reason::GroupNotInPlan => phrase("op-try-group"),
        Reason::ModelBlocked { pattern } => {
            phrase("op-try-blocked").with("pattern", pattern.as_str())
        }
        Reason::ModelNotInPlan => phrase("op-try-not-allowed"),
        Reason::ConcurrencyLimit { limit } => {
            phrase("op-try-concurrency").count("limit", i64::from(*limit))
        }
        Reason::QuotaExhausted {
            limit,
            used,
            needed,
            resets_at,
            ..
        } => phrase("op-try-quota")
            .with("used", quantity(*used))
            .with("limit", quantity(*limit))
            .with("needed", quantity(*needed))
            .with("moment", format::moment(*resets_at).text),
    }
}

fn quantity(quantity: Quantity) -> String {
    match quantity {
        Quantity::Credits(credits) => format::credits(credits),
        Quantity::Requests(calls) => format::count(calls),
    }
}
