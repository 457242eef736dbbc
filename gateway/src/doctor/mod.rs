//! What users get wrong, checked in the order in which it is worth looking: pure, from one request and what its key's
//! group is for; and the endpoint that answers with it.

mod diagnose;
mod show;

pub use diagnose::{Case, Check, Finding, Misfit, ModelFit, State, diagnose};
pub(crate) use show::show;
