//! Channels that failed lately, and for how long they are tried last.
//!
//! A channel is never skipped for good: when every other one fails too, a cooling one is better than none.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use entity::ChannelId;

/// How bad a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// It may pass by itself: an error, a cut, a timeout.
    Passing,
    /// The upstream says when to come back.
    Until(Duration),
    /// The account itself is at fault: its key, its balance, its rights.
    Account,
}

/// What is remembered of failing channels.
#[derive(Debug, Default)]
pub(crate) struct Cooldowns(Mutex<HashMap<ChannelId, Cooling>>);

#[derive(Clone, Copy, Debug)]
struct Cooling {
    failures: u32,
    until: Instant,
}

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);
const ACCOUNT: Duration = Duration::from_mins(5);

impl Cooldowns {
    /// Notes a failure; a row of them cools for longer each time.
    pub(crate) fn failed(&self, channel: ChannelId, severity: Severity) {
        let now = Instant::now();
        let mut all = self.lock();
        let cooling = all.entry(channel).or_insert(Cooling {
            failures: 0,
            until: now,
        });
        cooling.failures = cooling.failures.saturating_add(1);
        let pause = match severity {
            Severity::Passing => FIRST * 2_u32.saturating_pow(cooling.failures.min(7) - 1),
            Severity::Until(pause) => pause,
            Severity::Account => ACCOUNT,
        };
        let longest = if severity == Severity::Account {
            ACCOUNT
        } else {
            LONGEST
        };
        cooling.until = cooling.until.max(now + pause.min(longest));
    }

    /// Forgets what a channel did, for it works again.
    pub(crate) fn succeeded(&self, channel: ChannelId) {
        self.lock().remove(&channel);
    }

    /// How long a channel still cools; zero where it does not.
    pub(crate) fn left(&self, channel: ChannelId) -> Duration {
        self.lock().get(&channel).map_or(Duration::ZERO, |cooling| {
            cooling.until.saturating_duration_since(Instant::now())
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelId, Cooling>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_channel_cools_and_a_working_one_does_not() {
        let cooldowns = Cooldowns::default();
        let channel = ChannelId::fresh();

        assert_eq!(cooldowns.left(channel), Duration::ZERO);
        cooldowns.failed(channel, Severity::Passing);
        assert!(cooldowns.left(channel) <= FIRST);
        for _ in 0..50 {
            cooldowns.failed(channel, Severity::Passing);
        }
        assert!((Duration::from_secs(50)..=LONGEST).contains(&cooldowns.left(channel)));

        cooldowns.succeeded(channel);
        assert_eq!(cooldowns.left(channel), Duration::ZERO);
    }

    #[test]
    fn an_absurd_wait_is_cut_short() {
        let cooldowns = Cooldowns::default();
        let channel = ChannelId::fresh();

        cooldowns.failed(channel, Severity::Until(Duration::from_hours(24)));

        assert!(cooldowns.left(channel) <= LONGEST);
    }
}
