//! How the plans of one tenant combine, and where their credits end and the wallet's own begin.
//!
//! Each plan is asked by itself. A plan that admits the call may pay for it out of its own allowance; a plan that
//! refuses keeps its allowance shut. What no allowance pays, the wallet's other credits pay, unless the pay order
//! (`entity::key::PayOrder`) says plans only. So a rule of a plan limits the credits of that plan and never what a
//! tenant bought besides. A plan that brings no credits of its own is another matter: its rules say what the tenant
//! may do with any credits, and whoever admits calls treats its no as final.

use std::sync::Arc;

use entity::{SubscriptionId, Timestamp};

use super::checked::Plan;
use super::decision::{Admission, Outcome, Refusal, Request, Usage};
use super::evaluate::evaluate;

/// A plan that a tenant has now, with what it has given.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The tenant's copy of the plan.
    pub subscription: SubscriptionId,
    /// What people call the plan.
    pub name: String,
    /// Its rules.
    pub plan: Arc<Plan>,
    /// What it has given.
    pub usage: Usage,
}

/// A plan's yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The tenant's copy of the plan; its allowance may pay.
    pub subscription: SubscriptionId,
    /// What the call takes of its windows.
    pub admission: Admission,
}

/// A plan's no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What people call the plan.
    pub plan: String,
    /// The clause that decided, and what it says.
    pub refusal: Refusal,
}

/// What the plans of a tenant say to one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruling {
    /// Plans whose allowance may pay, in the order given.
    pub admitted: Vec<Admitted>,
    /// Plans whose allowance stays shut, in the order given.
    pub refused: Vec<Refused>,
}

impl Ruling {
    /// Asks every plan, first the one that pays first.
    pub fn of<'a>(
        standings: impl IntoIterator<Item = &'a Standing>,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Self {
        let mut ruling = Self::default();
        for standing in standings {
            match evaluate(&standing.plan, &standing.usage, request, now).outcome {
                Outcome::Admit(admission) => ruling.admitted.push(Admitted {
                    subscription: standing.subscription,
                    admission,
                }),
                Outcome::Refuse(refusal) => ruling.refused.push(Refused {
                    plan: standing.name.clone(),
                    refusal,
                }),
            }
        }
        ruling
    }

    /// The plan's yes, if it said so: whether credits granted by this subscription may pay.
    pub fn admission(&self, subscription: SubscriptionId) -> Option<&Admission> {
        self.admitted
            .iter()
            .find(|admitted| admitted.subscription == subscription)
            .map(|admitted| &admitted.admission)
    }

    /// The yes that lets the call have the most; of equal ones the first.
    pub fn widest(&self) -> Option<&Admitted> {
        let by_room = |yes: &&Admitted| std::cmp::Reverse(yes.admission.room);
        self.admitted.iter().min_by_key(by_room)
    }

    /// The true cause to tell a caller whose wallet holds nothing but shut allowances: the first plan's no. `None`
    /// where there is no plan or some plan admits: then what is missing is credits.
    pub fn cause(&self) -> Option<&Refused> {
        if self.admitted.is_empty() {
            self.refused.first()
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono_tz::Tz;
    use entity::{Credits, GroupId};

    use super::*;

    fn standing(name: &str, rules: &str) -> Standing {
        let text = format!(r#"{{"version":1,"rules":[{rules}]}}"#);
        Standing {
            subscription: SubscriptionId::fresh(),
            name: name.to_owned(),
            plan: Arc::new(Plan::from_json(&text).expect("a plan")),
            usage: Usage {
                zone: Tz::UTC,
                open_calls: 0,
                windows: BTreeMap::new(),
            },
        }
    }

    fn rule(standings: &[Standing], model: &str) -> Ruling {
        let request = Request {
            model,
            group: GroupId::fresh(),
            amount: Credits::from_nanos(1),
            least: Credits::from_nanos(1),
        };
        Ruling::of(standings, &request, Timestamp::from_micros(0))
    }

    #[test]
    fn any_plan_that_admits_may_pay_and_one_that_refuses_may_not() {
        let small = standing("Small", r#"{"rule":"models_allowed","patterns":["gpt-*"]}"#);
        let large = standing(
            "Large",
            r#"{"rule":"models_allowed","patterns":["claude-*"]}"#,
        );
        let (small_id, large_id) = (small.subscription, large.subscription);

        let ruling = rule(&[small, large], "claude-opus");

        assert!(ruling.admission(small_id).is_none());
        assert!(ruling.admission(large_id).is_some());
        assert_eq!(ruling.cause(), None);
    }

    #[test]
    fn the_first_plan_names_the_cause_when_none_admits() {
        let small = standing("Small", r#"{"rule":"models_allowed","patterns":["gpt-*"]}"#);
        let large = standing(
            "Large",
            r#"{"rule":"models_blocked","patterns":["claude-*"]}"#,
        );

        let ruling = rule(&[small, large], "claude-opus");

        assert_eq!(
            ruling.cause().map(|refused| refused.plan.as_str()),
            Some("Small")
        );
        assert_eq!(rule(&[], "claude-opus").cause(), None);
    }
}
