//! Plans: what a tenant may do with the credits that its subscription grants.
//!
//! An operator saves a [`PlanDocument`]; [`Plan`] is its checked form; [`evaluate`] answers one call without touching
//! a database; [`Ruling`] combines several plans.

mod catalog;
mod deal;
mod document;
mod evaluate;
mod pattern;
mod stack;
mod window;

pub use catalog::{
    NewPlan, Offered, SaveError, Terms, create, list, publish_version, set_status, versions,
};
pub use deal::{Deal, Deals, Payer, RateOf};
pub(crate) use document::HOURS_MAX;
pub use document::{Clause, Plan, PlanDocument, PlanFault, Quantity, Quota, Rate, Rule, VERSION};
pub use evaluate::{
    Admission, Counted, Decision, Finding, Outcome, PPM_LIST, Reason, Refusal, Request, Reserve,
    Step, Usage, evaluate,
};
pub use pattern::{Pattern, PatternFault};
pub use stack::{Admitted, Refused, Ruling, Standing};
pub use window::{Span, Window};
