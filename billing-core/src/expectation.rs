//! How much output a call is expected to bring: the 95th percentile of the latest calls of its model and client kind.

use std::collections::VecDeque;

/// What is expected while there is no history.
pub const UNTRIED: u64 = 4_096;
/// Fewer calls than this are no history.
const HISTORY_MIN: usize = 20;
/// Calls of one pair that are remembered.
const HISTORY_MAX: usize = 128;

/// The latest calls of one model by one client kind.
#[derive(Clone, Debug, Default)]
pub struct History(VecDeque<u64>);

impl History {
    /// Adds a call's output and forgets the oldest past the 128 remembered.
    pub fn note(&mut self, output: u64) {
        if self.0.len() >= HISTORY_MAX {
            self.0.pop_front();
        }
        self.0.push_back(output);
    }

    /// The least count that 95 of 100 calls stay within; nothing while there are fewer than 20.
    pub fn expected(&self) -> Option<u64> {
        if self.0.len() < HISTORY_MIN {
            return None;
        }
        let mut counts: Vec<u64> = self.0.iter().copied().collect();
        counts.sort_unstable();
        let rank = counts.len().saturating_mul(95).div_ceil(100);
        counts.get(rank.saturating_sub(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(counts: impl IntoIterator<Item = u64>) -> History {
        let mut history = History::default();
        for count in counts {
            history.note(count);
        }
        history
    }

    #[test]
    fn ninety_five_of_a_hundred_calls_stay_within_the_expectation() {
        assert_eq!(history(1..=19).expected(), None, "no history yet");
        assert_eq!(history(1..=20).expected(), Some(19));
        assert_eq!(history((1..=100).rev()).expected(), Some(95));
        assert_eq!(history([7; 64]).expected(), Some(7));
        let rare = std::iter::repeat_n(10, 95).chain(std::iter::repeat_n(64_000, 5));
        assert_eq!(history(rare).expected(), Some(10));
        let common = std::iter::repeat_n(10, 94).chain(std::iter::repeat_n(64_000, 6));
        assert_eq!(history(common).expected(), Some(64_000));
    }

    #[test]
    fn the_latest_calls_are_remembered() {
        let long = history((0..1_000).map(|count| count / 500 * 100));
        assert_eq!(long.0.len(), HISTORY_MAX);
        assert_eq!(long.expected(), Some(100));
    }
}
