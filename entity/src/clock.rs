//! What time it is, as a capability: edges and jobs hold a clock, operations take `now`.

use crate::Timestamp;
use chrono::Utc;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// The system's time, or a time that only moves when told to (for tests of money).
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's own time.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at `start` until [`Clock::advance`]; clones share it.
    pub fn fixed(start: Timestamp) -> Self {
        Self(Source::Fixed(Arc::new(AtomicI64::new(start.micros()))))
    }

    /// The moment now.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the machine"
    )]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp::from_datetime(Utc::now()),
            Source::Fixed(micros) => Timestamp::from_micros(micros.load(Ordering::SeqCst)),
        }
    }

    /// Moves a fixed clock on; the machine's time does not listen.
    pub fn advance(&self, span: Duration) {
        if let Source::Fixed(micros) = &self.0 {
            micros.store(self.now().plus(span).micros(), Ordering::SeqCst);
        }
    }
}
