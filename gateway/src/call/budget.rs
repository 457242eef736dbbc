//! How much may be tried again. Every call earns a part of a second try, so that an upstream in trouble never gets more
//! than a fifth more requests than it was sent.

use std::sync::atomic::{AtomicU64, Ordering};

/// What one more try costs, in thousandths.
const TRY: u64 = 1_000;
/// What a call earns.
const EARNED: u64 = 200;
/// What may be saved up, and what a process starts with.
const MOST: u64 = 10 * TRY;

/// The tries that are left, in thousandths.
#[derive(Debug)]
pub(crate) struct Budget(AtomicU64);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicU64::new(MOST))
    }
}

impl Budget {
    /// A call is made for the first time.
    pub(crate) fn earn(&self) {
        let more = |saved: u64| Some(saved.saturating_add(EARNED).min(MOST));
        let _saved = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
    }

    /// Whether one more try may be made; it is taken.
    pub(crate) fn spend(&self) -> bool {
        let less = |saved: u64| saved.checked_sub(TRY);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_calls_may_be_tried_again_and_no_more() {
        let budget = Budget::default();
        let mut tries = 0;

        for _ in 0..1_000 {
            budget.earn();
            tries += u64::from(budget.spend());
        }

        assert!((200..=210).contains(&tries), "{tries}");
    }
}
