//! Notes of running calls that wait to be written. Most calls end within moments, and then their note need not be
//! written at all.

use super::queue::Queued;
use crate::admission::Ask;
use entity::HoldId;
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// The latest note of each call that has been noted lately.
#[derive(Debug)]
pub(super) struct Notes {
    /// How long a note waits.
    wait: Duration,
    of: HashMap<HoldId, Queued>,
    /// When which call was noted first, in that order. What is not in the map any more has ended or was taken.
    since: VecDeque<(Instant, HoldId)>,
}

impl Notes {
    /// Notes that wait so long.
    pub(super) fn waiting(wait: Duration) -> Self {
        Self {
            wait,
            of: HashMap::new(),
            since: VecDeque::new(),
        }
    }

    /// Keeps a note; anything else is handed back. A later note of a call takes the place of the earlier one and is
    /// written when that one would have been.
    pub(super) fn keep(&mut self, queued: Queued) -> Option<Queued> {
        let Ask::Note { id, .. } = queued.op.ask else {
            return Some(queued);
        };
        if self.of.insert(id, queued).is_none() {
            self.since.push_back((Instant::now(), id));
        }
        None
    }

    /// Takes the note of a call, due or not.
    pub(super) fn take(&mut self, call: HoldId) -> Option<Queued> {
        self.of.remove(&call)
    }

    /// How long until the next one is due.
    pub(super) fn next(&mut self) -> Option<Duration> {
        while let Some((since, call)) = self.since.front() {
            if self.of.contains_key(call) {
                return Some(self.wait.saturating_sub(since.elapsed()));
            }
            self.since.pop_front();
        }
        None
    }

    /// Takes those that are due, `most` of them at most.
    pub(super) fn take_due(&mut self, most: usize) -> Vec<Queued> {
        let mut taken = Vec::new();
        while taken.len() < most && self.next().is_some_and(|left| left.is_zero()) {
            let call = self.since.pop_front().map(|(_, call)| call);
            taken.extend(call.and_then(|call| self.of.remove(&call)));
        }
        taken
    }
}
