//! Where the time of batches goes, part by part: a few looks at the clock for each batch, so it is always on.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// The parts of a batch, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Begin,
    Read,
    Decide,
    Write,
    Commit,
}

/// One batch's time so far.
#[derive(Debug)]
pub(super) struct Watch {
    last: Instant,
    laps: [Duration; 5],
}

/// What the batches of a process took together.
#[derive(Debug, Default)]
pub(super) struct Meter {
    batches: AtomicU64,
    asks: AtomicU64,
    nanos: [AtomicU64; 5],
}

/// What all batches so far took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// How many were committed.
    pub batches: u64,
    /// What was asked in them.
    pub asks: u64,
    /// Until a connection was free and the transaction had begun.
    pub begin: Duration,
    /// Reading and locking.
    pub read: Duration,
    /// Deciding, in memory.
    pub decide: Duration,
    /// Writing.
    pub write: Duration,
    /// Until the commit was known.
    pub commit: Duration,
}

impl Watch {
    pub(super) fn start() -> Self {
        Self {
            last: Instant::now(),
            laps: [Duration::ZERO; 5],
        }
    }

    /// Everything since the last lap was this part.
    pub(super) fn lap(&mut self, part: Part) {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.last);
        self.last = now;
        if let Some(lap) = self.laps.get_mut(part.place()) {
            *lap = lap.saturating_add(took);
        }
    }
}

impl Part {
    fn place(self) -> usize {
        match self {
            Self::Begin => 0,
            Self::Read => 1,
            Self::Decide => 2,
            Self::Write => 3,
            Self::Commit => 4,
        }
    }
}

impl Meter {
    /// Adds a committed batch.
    pub(super) fn add(&self, watch: &Watch, asks: usize) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        let asks = u64::try_from(asks).unwrap_or(u64::MAX);
        self.asks.fetch_add(asks, Ordering::Relaxed);
        for (sum, lap) in self.nanos.iter().zip(watch.laps) {
            let nanos = u64::try_from(lap.as_nanos()).unwrap_or(u64::MAX);
            sum.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    pub(super) fn spent(&self) -> Spent {
        let [begin, read, decide, write, commit] = self
            .nanos
            .each_ref()
            .map(|sum| Duration::from_nanos(sum.load(Ordering::Relaxed)));
        Spent {
            batches: self.batches.load(Ordering::Relaxed),
            asks: self.asks.load(Ordering::Relaxed),
            begin,
            read,
            decide,
            write,
            commit,
        }
    }
}

impl Spent {
    /// What was added since an earlier look.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            batches: self.batches.saturating_sub(earlier.batches),
            asks: self.asks.saturating_sub(earlier.asks),
            begin: self.begin.saturating_sub(earlier.begin),
            read: self.read.saturating_sub(earlier.read),
            decide: self.decide.saturating_sub(earlier.decide),
            write: self.write.saturating_sub(earlier.write),
            commit: self.commit.saturating_sub(earlier.commit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_batch_is_counted_once() {
        let meter = Meter::default();
        let watch = Watch {
            last: Instant::now(),
            laps: [1, 2, 3, 4, 5].map(Duration::from_millis),
        };

        meter.add(&watch, 10);
        let first = meter.spent();
        meter.add(&watch, 20);

        assert_eq!((first.batches, first.asks), (1, 10));
        assert_eq!(first.begin, Duration::from_millis(1));
        assert_eq!(first.commit, Duration::from_millis(5));
        let second = meter.spent().since(first);
        assert_eq!((second.batches, second.asks), (1, 20));
        assert_eq!(second.write, Duration::from_millis(4));
    }
}
