//! Why credits are not held, in a caller's words. A new reason in billing stops the build here.

use std::time::Duration;

use billing::admission::{HoldRefusal, Whose};
use entity::{Timestamp, rejection::Fix};

use crate::{
    caller::{key_disabled, key_expired, key_revoked, member_banned, tenant_suspended},
    catalog::Model,
    error::{Code, Refusal},
};

/// The refusal that a caller reads.
pub(super) fn of_hold(refused: &HoldRefusal, model: &Model, now: Timestamp) -> Refusal {
    match refused {
        HoldRefusal::InsufficientCredits {
            needed,
            available,
            held,
        } => Refusal::new(
            Code::InsufficientCredits,
            format!(
                "Not enough credits: this call needs {needed} at least and {available} are available{}. Add credits.",
                if held.is_positive() {
                    format!(" while running calls hold {held}")
                } else {
                    String::new()
                }
            ),
        ),
        HoldRefusal::InDebt { debt } => Refusal::new(
            Code::InDebt,
            format!("The account owes {debt} credits from an earlier call. Add credits to go on."),
        ),
        HoldRefusal::WalletFrozen => Refusal::new(
            Code::WalletFrozen,
            "The credits of this account are frozen; the operator of this gateway can tell why.",
        ),
        HoldRefusal::MemberBanned => member_banned(),
        HoldRefusal::TenantSuspended => tenant_suspended(),
        HoldRefusal::KeyDisabled => key_disabled(),
        HoldRefusal::KeyRevoked => key_revoked(),
        HoldRefusal::KeyExpired => key_expired(),
        HoldRefusal::ModelBlocked => model_blocked(model),
        HoldRefusal::ModelNotInPlan { plan, why } => Refusal::new(
            Code::ModelNotInPlan,
            format!(
                "The plan `{plan}` does not include the model `{}` ({why}). Choose another model, or another plan.",
                model.name
            ),
        ),
        HoldRefusal::ConcurrencyLimit { limit } => Refusal::new(
            Code::ConcurrencyLimit,
            format!("{limit} calls are running already, which is the limit. Try again when one of them has ended."),
        )
        .after(Duration::from_secs(2)),
        HoldRefusal::QuotaExhausted {
            of,
            window,
            limit,
            used,
            resets_at,
            ..
        } => Refusal::new(
            Code::QuotaExhausted,
            format!(
                "{} is used up: {used} of {limit}. It is whole again at {}.",
                quota_of(*of, window),
                minute(*resets_at)
            ),
        )
        .until(*resets_at)
        .after(resets_at.since(now)),
        HoldRefusal::SpendCapReached {
            of,
            window,
            limit,
            used,
            resets_at,
            ..
        } => Refusal::new(
            Code::SpendCapReached,
            format!(
                "The spend cap of {} per {window} is reached: {used} of {limit}. It is whole again at {}. \
                 Use another key, or have the cap raised.",
                bearer(*of),
                minute(*resets_at)
            ),
        )
        .until(*resets_at),
        HoldRefusal::OutOfRange => Refusal::new(
            Code::InvalidRequest,
            "The request asks for more tokens than any account could pay.",
        ),
        HoldRefusal::Overloaded => Refusal::new(
            Code::Overloaded,
            "Too many calls wait for admission just now. Try again in a moment.",
        )
        .after(Duration::from_secs(2)),
        HoldRefusal::Draining => draining(),
        HoldRefusal::IdInUse | HoldRefusal::Store(_) => Refusal::new(
            Code::Overloaded,
            "The account could not be read just now. Try again in a moment.",
        )
        .after(Duration::from_secs(5)),
    }
}

fn quota_of(of: Whose, window: &str) -> String {
    match of {
        Whose::Plan => format!("The quota `{window}` of the plan"),
        Whose::Tenant | Whose::Member | Whose::Key => {
            format!("The limit of {} per {window}", bearer(of))
        }
    }
}

fn bearer(of: Whose) -> &'static str {
    match of {
        Whose::Key => "this API key",
        Whose::Member => "the member",
        Whose::Tenant => "the account",
        Whose::Plan => "the plan",
    }
}

/// A moment as messages print it.
pub(super) fn minute(at: Timestamp) -> String {
    at.to_datetime().format("%Y-%m-%d %H:%M UTC").to_string()
}

/// An operator took the model off the shelf.
pub(super) fn model_blocked(model: &Model) -> Refusal {
    let reason = model
        .status_reason
        .as_deref()
        .map(|reason| format!(" ({reason})"))
        .unwrap_or_default();
    Refusal::new(
        Code::ModelBlocked,
        format!(
            "The model `{}` is blocked by the operator{reason}. Choose another model.",
            model.name
        ),
    )
}

/// This process ends; another, or the next, takes the call.
pub(super) fn draining() -> Refusal {
    Refusal::new(
        Code::Draining,
        "This server is restarting. Try again in a few seconds.",
    )
    .after(Duration::from_secs(5))
}

/// The providers behind every channel of the model want to be asked less often.
pub(super) fn upstreams_limited(model: &Model, soonest: Duration) -> Refusal {
    Refusal::new(
        Code::RateLimited,
        format!(
            "Every upstream channel for the model `{}` is at its provider's rate limit just now. Nothing was charged. Try again in a moment.",
            model.name
        ),
    )
    .after(soonest)
    .mended_by(Fix::TryLater)
}

/// What is for sale cannot be read.
pub(crate) fn not_read(error: &impl std::fmt::Display) -> Refusal {
    tracing::error!(%error, "a call cannot be routed");
    Refusal::new(
        Code::Overloaded,
        "The model catalog could not be read just now. Try again in a moment.",
    )
    .after(Duration::from_secs(5))
}
