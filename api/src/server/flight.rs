//! Which requests are under way, so that an end can wait for them.

use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// Counts requests from their first byte to the end of their answer's body.
#[derive(Clone, Debug, Default)]
pub struct Flight(TaskTracker);

impl Flight {
    /// One more request; it is under way until the token is dropped.
    pub(super) fn depart(&self) -> TaskTrackerToken {
        self.0.token()
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until none is.
    pub(crate) async fn landed(&self) {
        self.0.close();
        self.0.wait().await;
    }
}
