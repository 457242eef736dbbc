//! What a channel may carry: calls at once, and calls and tokens a minute, counted in this process's memory as the rates
//! of callers are. A second replica counts by itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use billing::plan::{Rate, RateOf};
use entity::{ChannelId, Timestamp};

use super::rate::Rates;
use crate::catalog::Channel;

/// The counts of all channels.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    open: Arc<Mutex<HashMap<ChannelId, u32>>>,
    minutes: Rates,
}

/// One call's place at a channel; gives it back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    open: Arc<Mutex<HashMap<ChannelId, u32>>>,
    channel: ChannelId,
}

/// How soon a channel whose calls at once are all taken may have room again.
const SOON: Duration = Duration::from_secs(2);

impl Loads {
    /// How long until the channel has room; zero where it has.
    pub(crate) fn wait(&self, channel: &Channel, now: Timestamp) -> Duration {
        if is_full(channel, &lock(&self.open)) {
            return SOON;
        }
        self.minutes
            .wait(&rates(channel), now)
            .unwrap_or(Duration::ZERO)
    }

    /// A place for a call of so many input tokens; none where the channel is full by now.
    pub(crate) fn enter(&self, channel: &Channel, input: u64, now: Timestamp) -> Option<Place> {
        let mut open = lock(&self.open);
        if is_full(channel, &open) {
            return None;
        }
        self.minutes.admit(&rates(channel), input, now).ok()?;
        *open.entry(channel.id).or_default() += 1;
        Some(Place {
            open: Arc::clone(&self.open),
            channel: channel.id,
        })
    }

    /// Counts what a call brought.
    pub(crate) fn note(&self, channel: &Channel, output: u64, now: Timestamp) {
        self.minutes.note(&rates(channel), output, now);
    }
}

fn is_full(channel: &Channel, open: &HashMap<ChannelId, u32>) -> bool {
    let taken = open.get(&channel.id).copied().unwrap_or_default();
    channel.options.max_calls.is_some_and(|most| taken >= most)
}

fn rates(channel: &Channel) -> Vec<RateOf> {
    let rate = Rate {
        requests: channel.options.requests_per_minute,
        tokens: channel.options.tokens_per_minute,
    };
    if rate.requests.is_none() && rate.tokens.is_none() {
        return Vec::new();
    }
    vec![RateOf {
        subject: channel.id.uuid(),
        rate,
    }]
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        if let Some(taken) = open.get_mut(&self.channel) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                open.remove(&self.channel);
            }
        }
    }
}

fn lock(open: &Mutex<HashMap<ChannelId, u32>>) -> MutexGuard<'_, HashMap<ChannelId, u32>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}
