//! Answers of the product in the model's words.

use super::{Ended, No, Outcome, outcome};
use billing_core::admission::{EndRefusal, ExtendRefusal, HoldRefusal, Settled};
use entity::Credits;

/// What is told of an end.
pub fn seen(ended: &Ended) -> (Outcome, i64) {
    (ended.outcome, ended.charge)
}

/// What was told of an end.
pub fn said_of_end(
    ended: &Result<Option<Settled>, EndRefusal>,
) -> Result<Option<(Outcome, i64)>, No> {
    match ended {
        Ok(settled) => {
            Ok(settled.map(|settled| (outcome(settled.outcome), settled.charge.nanos())))
        }
        Err(EndRefusal::OutOfRange) => Err(No::OutOfRange),
        Err(EndRefusal::Unknown) => Err(No::Unknown),
        Err(EndRefusal::Store(fault)) => panic!("{fault}"),
    }
}

/// What was told who asked to hold.
pub fn said_of_hold(held: &Result<Credits, HoldRefusal>) -> Result<i64, No> {
    match held {
        Ok(amount) => Ok(amount.nanos()),
        Err(HoldRefusal::InsufficientCredits {
            needed, available, ..
        }) => Err(No::Short(needed.nanos(), available.nanos())),
        Err(HoldRefusal::InDebt { debt }) => Err(No::InDebt(debt.nanos())),
        Err(HoldRefusal::WalletFrozen) => Err(No::Frozen),
        Err(HoldRefusal::MemberBanned) => Err(No::Banned),
        Err(HoldRefusal::ModelBlocked) => Err(No::Blocked),
        Err(HoldRefusal::ConcurrencyLimit { .. }) => Err(No::TooMany),
        Err(HoldRefusal::SpendCapReached { .. }) => Err(No::Spent),
        Err(HoldRefusal::QuotaExhausted { .. }) => Err(No::Quota),
        Err(HoldRefusal::OutOfRange) => Err(No::OutOfRange),
        Err(HoldRefusal::IdInUse) => Err(No::IdInUse),
        Err(other) => panic!("{other:?}"),
    }
}

/// What was told who asked to grow.
pub fn said_of_extend(extended: &Result<Credits, ExtendRefusal>) -> Result<i64, No> {
    match extended {
        Ok(more) => Ok(more.nanos()),
        Err(ExtendRefusal::InsufficientCredits { needed, available }) => {
            Err(No::Short(needed.nanos(), available.nanos()))
        }
        Err(ExtendRefusal::QuotaExhausted { .. }) => Err(No::Quota),
        Err(ExtendRefusal::WalletFrozen) => Err(No::Frozen),
        Err(ExtendRefusal::OutOfRange) => Err(No::OutOfRange),
        Err(ExtendRefusal::Ended) => Err(No::Ended),
        Err(other) => panic!("{other:?}"),
    }
}
