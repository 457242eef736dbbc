//! Channels and keys that failed lately: for how long they are tried last, and for how long not at all.
//!
//! What merely failed is never skipped for good: when every other channel fails too, a cooling one is better than none.
//! Only where the upstream itself says when to come back is it left alone until then.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use entity::{ChannelId, ChannelKeyId};

/// Who failed: a channel, or one of its several keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Channel(ChannelId),
    /// The first key of a channel has no id of its own.
    Key(ChannelId, Option<ChannelKeyId>),
}

/// How bad a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// It may pass by itself: an error, a cut, a timeout.
    Passing,
    /// The upstream says when to come back.
    Until(Duration),
    /// The upstream's rate limit is reached, and it may say for how long.
    Limited(Option<Duration>),
    /// The account itself is at fault: its key, its balance, its rights.
    Account,
}

impl Severity {
    /// Whether another key of the same channel may do better. What an account may ask is its own, whether or not its
    /// upstream says for how long it had enough.
    pub(crate) fn is_of_the_key(self) -> bool {
        self != Self::Passing
    }
}

/// What is remembered of failing channels.
#[derive(Debug, Default)]
pub(crate) struct Cooldowns(Mutex<HashMap<Subject, Cooling>>);

#[derive(Clone, Copy, Debug)]
struct Cooling {
    failures: u32,
    until: Instant,
    /// Not to be asked at all before this.
    barred_until: Instant,
    /// What bars it is a rate limit.
    limited: bool,
}

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);
const ACCOUNT: Duration = Duration::from_mins(5);

impl Cooldowns {
    /// Notes a failure; a row of them cools for longer each time.
    pub(crate) fn failed(&self, subject: Subject, severity: Severity) {
        let now = Instant::now();
        let mut all = self.lock();
        let cooling = all.entry(subject).or_insert(Cooling {
            failures: 0,
            until: now,
            barred_until: now,
            limited: false,
        });
        cooling.failures = cooling.failures.saturating_add(1);
        let pause = match severity {
            Severity::Passing | Severity::Limited(None) => {
                (FIRST * 2_u32.saturating_pow(cooling.failures.min(7) - 1)).min(LONGEST)
            }
            Severity::Until(pause) | Severity::Limited(Some(pause)) => {
                let pause = pause.min(LONGEST);
                cooling.limited = matches!(severity, Severity::Limited(_));
                cooling.barred_until = cooling.barred_until.max(now + pause);
                pause
            }
            Severity::Account => ACCOUNT,
        };
        cooling.until = cooling.until.max(now + pause);
    }

    /// Forgets what a channel did, for it works again.
    pub(crate) fn succeeded(&self, subject: Subject) {
        self.lock().remove(&subject);
    }

    /// How long it still cools; zero where it does not.
    pub(crate) fn left(&self, subject: Subject) -> Duration {
        self.rest_of(subject, |cooling| cooling.until)
    }

    /// How long it is not to be asked at all; zero where it may be.
    pub(crate) fn barred(&self, subject: Subject) -> Duration {
        self.rest_of(subject, |cooling| cooling.barred_until)
    }

    /// Whether it is not to be asked because its rate limit is reached.
    pub(crate) fn limited(&self, subject: Subject) -> bool {
        self.lock()
            .get(&subject)
            .is_some_and(|cooling| cooling.limited && cooling.barred_until > Instant::now())
    }

    fn rest_of(&self, subject: Subject, end: impl Fn(&Cooling) -> Instant) -> Duration {
        self.lock().get(&subject).map_or(Duration::ZERO, |cooling| {
            end(cooling).saturating_duration_since(Instant::now())
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Subject, Cooling>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_channel_cools_and_a_working_one_does_not() {
        let cooldowns = Cooldowns::default();
        let channel = Subject::Channel(ChannelId::fresh());

        assert_eq!(cooldowns.left(channel), Duration::ZERO);
        cooldowns.failed(channel, Severity::Passing);
        assert!(cooldowns.left(channel) <= FIRST);
        for _ in 0..50 {
            cooldowns.failed(channel, Severity::Passing);
        }
        assert!((Duration::from_secs(50)..=LONGEST).contains(&cooldowns.left(channel)));
        assert_eq!(
            cooldowns.barred(channel),
            Duration::ZERO,
            "tried last, not never"
        );

        cooldowns.succeeded(channel);
        assert_eq!(cooldowns.left(channel), Duration::ZERO);
    }

    #[test]
    fn an_absurd_wait_is_cut_short() {
        let cooldowns = Cooldowns::default();
        let channel = Subject::Channel(ChannelId::fresh());

        cooldowns.failed(channel, Severity::Until(Duration::from_hours(24)));

        assert!(cooldowns.left(channel) <= LONGEST);
        assert!((Duration::from_secs(50)..=LONGEST).contains(&cooldowns.barred(channel)));
    }
}
