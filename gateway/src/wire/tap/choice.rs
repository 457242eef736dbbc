//! Several answers to one chat call: which of them have begun, and which have ended.

use serde_json::value::RawValue;

/// A call asks for no more; the last place stands for what is beyond.
const MOST: u64 = 128;

/// The answers to one call, a bit each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choices {
    awaited: u64,
    begun: u128,
    ended: u128,
}

impl Default for Choices {
    fn default() -> Self {
        Self::awaiting(1)
    }
}

impl Choices {
    /// So many are asked for.
    pub(super) fn awaiting(awaited: u64) -> Self {
        Self {
            awaited,
            begun: 0,
            ended: 0,
        }
    }

    /// One of them goes on.
    pub(super) fn begin(&mut self, index: Option<&RawValue>) {
        self.begun |= bit(index);
    }

    /// One of them has said why it stops.
    pub(super) fn end(&mut self, index: Option<&RawValue>) {
        self.begin(index);
        self.ended |= bit(index);
    }

    /// Whether as many have ended as were asked for.
    pub(super) fn all_have_ended(self) -> bool {
        u64::from(self.ended.count_ones()) >= self.awaited
    }

    /// Whether none is under way. More may follow, or fewer come than were asked for.
    pub(super) fn all_that_began_have_ended(self) -> bool {
        self.ended != 0 && self.begun == self.ended
    }
}

fn bit(index: Option<&RawValue>) -> u128 {
    let index = index.and_then(|raw| raw.get().parse::<u64>().ok());
    1 << index.unwrap_or(0).min(MOST - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_answers_are_over_when_each_of_them_has_ended() {
        let index = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
        let mut two = Choices::awaiting(2);
        assert!(!two.all_that_began_have_ended() && !two.all_have_ended());

        two.begin(Some(&index("0")));
        two.begin(Some(&index("1")));
        two.end(Some(&index("0")));
        two.end(Some(&index("0")));
        assert!(!two.all_that_began_have_ended() && !two.all_have_ended());

        two.end(Some(&index("1")));
        assert!(two.all_that_began_have_ended() && two.all_have_ended());

        let mut fewer = Choices::awaiting(3);
        fewer.end(None);
        assert!(fewer.all_that_began_have_ended() && !fewer.all_have_ended());

        let mut far = Choices::awaiting(1);
        far.end(Some(&index("18446744073709551615")));
        assert!(far.all_have_ended());
    }
}
