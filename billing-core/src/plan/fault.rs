//! Why a document is no plan.

use super::checked::{LIST_MAX, PPM_MAX, RULES_MAX};
use super::document::{Clause, VERSION};
use super::pattern::PatternFault;
use super::window::HOURS_MAX;

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
    /// A scoped clause about a model that no call may use.
    #[error("{clause} speaks of `{pattern}`, which {blocked} blocks altogether")]
    OfBlocked {
        /// The pointless clause.
        clause: Clause,
        /// What it speaks of.
        pattern: String,
        /// Where that is blocked.
        blocked: Clause,
    },
    /// Credits that lapse by the day are not there to move at the period's end.
    #[error(
        "{lasts} leaves nothing for {rollover} to move: credits that lapse by the day are not left over at a period's end"
    )]
    NothingToMove {
        /// Which clause moves.
        rollover: Clause,
        /// Which lets them lapse.
        lasts: Clause,
    },
    /// A clause about the allowance of a version that gives none.
    #[error("{0} is about an allowance, and this version gives none")]
    NoAllowance(Clause),
    /// An allowance that no key would spend.
    #[error("{0} keeps the allowance from ever being spent")]
    NeverSpent(Clause),
}
