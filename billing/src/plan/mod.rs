//! Plans: what a tenant may do with the credits that its subscription grants.
//!
//! What a plan says and decides is [`billing_core::plan`]; here plans are stored, versioned, and read for a tenant's calls.

mod catalog;
mod deal;

pub use billing_core::plan::{
    Admission, Admitted, Clause, Counted, Decision, Finding, HOURS_MAX, Outcome, PPM_LIST, Pattern,
    PatternFault, Plan, PlanDocument, PlanFault, Quantity, Quota, Rate, Reason, Refusal, Refused,
    Request, Reserve, Rule, Ruling, Span, Standing, Step, Usage, VERSION, Window, evaluate,
    proration,
};
pub use catalog::{
    NewPlan, Offered, SaveError, Terms, create, list, publish_version, set_status, versions,
};
pub use deal::{Deal, Deals, Payer, RateOf};
