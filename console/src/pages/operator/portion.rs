//! The form that gives up an amount, all of it or a portion, with a reason: a refund, a write-off.

use super::{field, once::Once};
use crate::{Error, frame::Faults};
use entity::Credits;
use identity::Reason;
use serde::Deserialize;

/// The form as sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Entered {
    /// Empty is all that is left.
    pub(super) amount: String,
    pub(super) reason: String,
    pub(super) once: Once,
}

/// What is asked for.
pub(super) struct Portion {
    /// None is all that is left.
    pub(super) amount: Option<Credits>,
    pub(super) reason: Reason,
    pub(super) once: String,
}

impl Entered {
    /// The empty form.
    pub(super) fn fresh() -> Self {
        Self {
            once: Once::fresh(),
            ..Self::default()
        }
    }

    /// What a form that came back says, or the faults beside its fields.
    pub(super) fn read(&self) -> Result<Result<Portion, Faults>, Error> {
        let once = self.once.sent()?.to_owned();
        let mut faults = Faults::none();
        let amount = faults.take("amount", field::optional(&self.amount, field::some_credits));
        let reason = faults.take("reason", field::reason(&self.reason));
        let (Some(amount), Some(reason)) = (amount, reason) else {
            return Ok(Err(faults));
        };
        Ok(Ok(Portion {
            amount,
            reason,
            once,
        }))
    }
}
