//! What plans say: rules as data, and what they decide about one call.
//!
//! An operator saves a [`PlanDocument`]; [`Plan`] is its checked form; [`evaluate()`] answers one call; [`Ruling`]
//! combines several plans.

mod checked;
mod contradiction;
mod decision;
mod document;
mod evaluate;
mod fault;
mod pattern;
pub mod proration;
mod stack;
mod window;

pub use checked::{Plan, Quota, Rate};
pub use decision::{
    Admission, Counted, Decision, Finding, Outcome, PPM_LIST, Reason, Refusal, Request, Reserve,
    Step, Usage,
};
pub use document::{Clause, PlanDocument, Quantity, Rule, VERSION};
pub use evaluate::evaluate;
pub use fault::PlanFault;
pub use pattern::{Pattern, PatternFault};
pub use stack::{Admitted, Refused, Ruling, Standing};
pub use window::{HOURS_MAX, Span, Window};
