//! Calls and tokens a minute, counted in this process's memory: approximately, for a limit that is to smooth a burst. A
//! second replica counts by itself, and a restart begins anew; what must hold exactly is a quota.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use billing::plan::{Rate, RateOf};
use entity::{KeyId, Timestamp};

use crate::error::{Code, Refusal};

const MINUTE: i64 = 60_000_000;
/// Subjects that are remembered; past it those of past minutes are forgotten.
const SUBJECTS_MAX: usize = 50_000;

/// Questions of one key in a minute that are no calls: counts of tokens, looks at what is left.
const QUESTIONS_A_MINUTE: u64 = 300;

/// The counts of all subjects. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rates(Arc<Mutex<HashMap<Counted, Counts>>>);

/// What is counted, of whom.
type Counted = (What, [u8; 16]);

/// What is counted: a question never uses up the rate of calls, nor a call that of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum What {
    Call,
    Question,
}

/// What passed in this minute of the clock and in the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    minute: i64,
    requests: [u64; 2],
    tokens: [u64; 2],
}

impl Counts {
    fn at(mut self, minute: i64) -> Self {
        if self.minute != minute {
            let follows = self.minute.saturating_add(1) == minute;
            let shift = |[now, _]: [u64; 2]| [0, if follows { now } else { 0 }];
            self.requests = shift(self.requests);
            self.tokens = shift(self.tokens);
            self.minute = minute;
        }
        self
    }
}

/// The last sixty seconds: this minute, and of the one before as much as they still reach into it, rounded up so
/// that a limit is never passed.
fn sliding([now, before]: [u64; 2], into: i64) -> u64 {
    let left = u64::try_from(MINUTE - into).unwrap_or(0);
    let minute = u64::try_from(MINUTE).unwrap_or(1);
    now.saturating_add(before.saturating_mul(left / 1_000).div_ceil(minute / 1_000))
}

impl Rates {
    /// Counts a question that costs nothing, or says that there were too many.
    pub(crate) fn question(&self, key: KeyId, now: Timestamp) -> Result<(), Refusal> {
        let limit = RateOf {
            subject: key.uuid(),
            rate: Rate {
                requests: Some(QUESTIONS_A_MINUTE),
                tokens: None,
            },
        };
        self.pass(What::Question, &[limit], 0, now)
    }

    /// Counts a call of so many input tokens, or says which limit it would pass.
    pub(crate) fn admit(
        &self,
        limits: &[RateOf],
        input: u64,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.pass(What::Call, limits, input, now)
    }

    fn pass(
        &self,
        what: What,
        limits: &[RateOf],
        input: u64,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if limits.is_empty() {
            return Ok(());
        }
        let (minute, _) = split(now);
        let mut counts = self.lock();
        if let Some(refusal) = over(&counts, what, limits, now) {
            return Err(refusal);
        }
        if counts.len() >= SUBJECTS_MAX {
            counts.retain(|_, seen| seen.minute.saturating_add(1) >= minute);
        }
        for key in subjects(what, limits) {
            let entry = counts.entry(key).or_default();
            *entry = entry.at(minute);
            entry.requests[0] = entry.requests[0].saturating_add(1);
            entry.tokens[0] = entry.tokens[0].saturating_add(input);
        }
        Ok(())
    }

    /// How long until a call may pass, where it may not now; counts nothing.
    pub(crate) fn wait(&self, limits: &[RateOf], now: Timestamp) -> Option<Duration> {
        over(&self.lock(), What::Call, limits, now)?.retry_after
    }

    /// Counts what a call brought, once it is known.
    pub(crate) fn note(&self, limits: &[RateOf], output: u64, now: Timestamp) {
        if limits.is_empty() {
            return;
        }
        let (minute, _) = split(now);
        let mut counts = self.lock();
        for key in subjects(What::Call, limits) {
            if let Some(entry) = counts.get_mut(&key) {
                *entry = entry.at(minute);
                entry.tokens[0] = entry.tokens[0].saturating_add(output);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Counted, Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first limit that is reached.
fn over(
    counts: &HashMap<Counted, Counts>,
    what: What,
    limits: &[RateOf],
    now: Timestamp,
) -> Option<Refusal> {
    let (minute, into) = split(now);
    limits.iter().find_map(|limit| {
        let key = (what, *limit.subject.as_bytes());
        let seen = counts.get(&key).copied().unwrap_or_default().at(minute);
        let requests = sliding(seen.requests, into);
        if let Some(most) = limit.rate.requests.filter(|most| requests >= *most) {
            return Some(refusal(&format!("{most} calls"), into));
        }
        let tokens = sliding(seen.tokens, into);
        let most = limit.rate.tokens.filter(|most| tokens >= *most)?;
        Some(refusal(&format!("{most} tokens"), into))
    })
}

/// Whom limits count, each once, however many limits it has.
fn subjects(what: What, limits: &[RateOf]) -> BTreeSet<Counted> {
    let subjects = limits.iter().map(|limit| *limit.subject.as_bytes());
    subjects.map(|subject| (what, subject)).collect()
}

/// Which minute of the clock, and how far into it, in microseconds.
fn split(now: Timestamp) -> (i64, i64) {
    (
        now.micros().div_euclid(MINUTE),
        now.micros().rem_euclid(MINUTE),
    )
}

fn refusal(most: &str, into: i64) -> Refusal {
    let left = u64::try_from(MINUTE - into).unwrap_or(0);
    Refusal::new(
        Code::RateLimited,
        format!("More than {most} a minute, which is the limit. Try again in a moment."),
    )
    .after(Duration::from_micros(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_795_000_020_000_000 + seconds * 1_000_000)
    }

    fn limit(requests: Option<u64>, tokens: Option<u64>) -> [RateOf; 1] {
        [RateOf {
            subject: KeyId::fresh().uuid(),
            rate: Rate { requests, tokens },
        }]
    }

    #[test]
    fn calls_beyond_the_rate_wait_and_pass_again_as_the_minute_goes_by() {
        let (rates, two) = (Rates::default(), limit(Some(2), None));
        let passes = |seconds| rates.admit(&two, 1, at(seconds)).is_ok();

        assert!(passes(0) && passes(30));
        assert!(!passes(59));
        assert!(!passes(61), "the minute before still counts");
        assert!(passes(95), "half of it has gone by");
        assert!(
            rates.admit(&limit(Some(2), None), 1, at(95)).is_ok(),
            "each by itself"
        );
    }

    #[test]
    fn questions_use_up_no_rate_of_calls_and_have_their_own() {
        let (rates, key) = (Rates::default(), KeyId::fresh());
        let one = [RateOf {
            subject: key.uuid(),
            rate: Rate {
                requests: Some(1),
                tokens: None,
            },
        }];

        for _ in 0..QUESTIONS_A_MINUTE {
            assert!(rates.question(key, at(0)).is_ok());
        }

        assert!(rates.question(key, at(1)).is_err());
        assert!(rates.admit(&one, 1, at(1)).is_ok(), "no call was made yet");
        assert!(rates.admit(&one, 1, at(2)).is_err());
    }

    #[test]
    fn tokens_count_when_they_are_known() {
        let (rates, hundred) = (Rates::default(), limit(None, Some(100)));

        assert!(rates.admit(&hundred, 40, at(0)).is_ok());
        rates.note(&hundred, 60, at(1));
        let refused = rates.admit(&hundred, 1, at(2)).expect_err("used up");

        assert_eq!(refused.code, Code::RateLimited);
        assert!(
            refused
                .retry_after
                .is_some_and(|wait| wait <= Duration::from_mins(1))
        );
        assert!(rates.admit(&hundred, 1, at(121)).is_ok());
    }
}
