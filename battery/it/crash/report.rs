//! The acknowledgement log: what the killed process said it would do, and what it said it was promised.

use entity::{HoldId, OrderId, TenantId};
use std::fmt;

/// One line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Ready,
    Granting(TenantId, String, i64),
    Granted(String),
    Buying(TenantId, OrderId),
    /// The payment's event was stored.
    Heard(OrderId),
    Held(HoldId, i64),
    Ended(HoldId, i64),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => write!(f, "ready"),
            Self::Granting(tenant, key, amount) => write!(f, "granting {tenant} {key} {amount}"),
            Self::Granted(key) => write!(f, "granted {key}"),
            Self::Buying(tenant, order) => write!(f, "buying {tenant} {order}"),
            Self::Heard(order) => write!(f, "heard {order}"),
            Self::Held(id, amount) => write!(f, "held {id} {amount}"),
            Self::Ended(id, charge) => write!(f, "ended {id} {charge}"),
        }
    }
}

impl Line {
    /// Reads a line; what the test's own frame prints, and a line that was cut off, is none.
    pub fn read(text: &str) -> Option<Self> {
        // The frame leaves its own words before the first line.
        let text = text.rsplit_once("... ").map_or(text, |(_, own)| own);
        let words: Vec<&str> = text.split(' ').collect();
        Some(match words.as_slice() {
            ["ready"] => Self::Ready,
            ["granting", tenant, key, amount] => Self::Granting(
                tenant.parse().ok()?,
                (*key).to_owned(),
                amount.parse().ok()?,
            ),
            ["granted", key] => Self::Granted((*key).to_owned()),
            ["buying", tenant, order] => Self::Buying(tenant.parse().ok()?, order.parse().ok()?),
            ["heard", order] => Self::Heard(order.parse().ok()?),
            ["held", id, amount] => Self::Held(id.parse().ok()?, amount.parse().ok()?),
            ["ended", id, charge] => Self::Ended(id.parse().ok()?, charge.parse().ok()?),
            _ => return None,
        })
    }
}
