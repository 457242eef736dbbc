//! What is asked of a plan and what it answers, in values and in words. The words are what callers read.

use std::collections::BTreeMap;
use std::fmt;

use chrono_tz::Tz;
use entity::quota_counter::Metric;
use entity::{Credits, GroupId, RuleId, Timestamp};

use super::document::{Clause, Quantity};
use super::pattern::Pattern;
use super::window::Span;

/// Parts per million of the list price where no multiplier fits.
pub const PPM_LIST: u32 = 1_000_000;

/// A call that asks to be paid by the plan.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The model's canonical name.
    pub model: &'a str,
    /// The key's group.
    pub group: GroupId,
    /// What the call would hold, after every multiplier.
    pub amount: Credits,
    /// How little of it will do.
    pub least: Credits,
}

/// What the plan has already given.
#[derive(Clone, Debug)]
pub struct Usage {
    /// The tenant's clock, for calendar windows.
    pub zone: Tz,
    /// Calls that run now.
    pub open_calls: u32,
    /// The latest counted window of each quota; a quota not in here was never used.
    pub windows: BTreeMap<RuleId, Counted>,
}

/// The latest counted window of one quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Which window.
    pub span: Span,
    /// Settled, in the quota's units.
    pub used: i64,
    /// Held by running calls, in the quota's units.
    pub reserved: i64,
}

/// The answer, with the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Yes or no.
    pub outcome: Outcome,
    /// One step a clause, in the order they were asked; the last one of a refusal is the clause that decided.
    pub trace: Vec<Step>,
}

/// Yes or no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The plan's allowance may pay.
    Admit(Admission),
    /// It may not.
    Refuse(Refusal),
}

/// What an admitted call takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Parts per million of the list price.
    pub multiplier_ppm: u32,
    /// How much of the call's amount every window has room for; at least what the call can do with.
    pub room: Credits,
    /// What to reserve in which window.
    pub reserves: Vec<Reserve>,
}

/// A part of one window, taken by one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// The quota's rule, under which its counter is kept.
    pub rule: RuleId,
    /// Which window.
    pub span: Span,
    /// What the quota counts.
    pub metric: Metric,
    /// Nano-credits, or 1 for the call.
    pub units: i64,
}

/// Why a call may not be paid by the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The clause that decided.
    pub clause: Clause,
    /// What it says.
    pub reason: Reason,
}

/// What a clause says to a call that it refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The key's group is not one of the plan's.
    GroupNotInPlan,
    /// The plan blocks the model.
    ModelBlocked {
        /// The pattern that fits it.
        pattern: Pattern,
    },
    /// The plan lists its models, and this is none of them.
    ModelNotInPlan,
    /// As many calls run as the plan allows.
    ConcurrencyLimit {
        /// How many that is.
        limit: u32,
    },
    /// The window has less room than the call needs.
    QuotaExhausted {
        /// The quota's name.
        quota: String,
        /// How much it lets through.
        limit: Quantity,
        /// How much is used or held.
        used: Quantity,
        /// How much of that running calls hold, in the limit's units.
        held: i64,
        /// How much the call needs. More than `limit`: no later window will do either.
        needed: Quantity,
        /// When the quota is whole again.
        resets_at: Timestamp,
    },
}

/// One clause's part in a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which clause.
    pub clause: Clause,
    /// What it said.
    pub finding: Finding,
}

/// What a clause says to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The clause lets the call through.
    Passes,
    /// The quota has room.
    HasRoom {
        /// What is left before the call.
        left: Quantity,
        /// When it is whole again.
        resets_at: Timestamp,
    },
    /// The clause sets the price.
    Multiplies {
        /// Parts per million of the list price.
        ppm: u32,
    },
    /// The clause says no.
    Refuses(Reason),
}

/// The words of a clause that says no.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GroupNotInPlan => f.write_str("the group of the key is not one of the plan's"),
            Self::ModelBlocked { pattern } => write!(f, "the plan blocks `{pattern}`"),
            Self::ModelNotInPlan => f.write_str("the model is not one of those the plan allows"),
            Self::ConcurrencyLimit { limit } => write!(f, "{limit} calls run already"),
            Self::QuotaExhausted {
                limit,
                used,
                needed,
                resets_at,
                ..
            } => write!(
                f,
                "{used} of {limit} used, {needed} needed, whole again at {}",
                resets_at.to_datetime().format("%Y-%m-%d %H:%M UTC")
            ),
        }
    }
}

/// The clause that decided, with its words.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.clause, self.reason)
    }
}
