//! Keeps the picture fresh: at once after a write of this process, within seconds after one of another.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use entity::{Clock, Database};
use identity::seal::MasterKey;
use tokio::sync::Mutex;

use super::{
    load::{LoadError, load},
    shelf::Snapshot,
};

/// How long another replica's change, or a price whose time comes, may go unnoticed.
const STALE_AFTER: Duration = Duration::from_secs(2);

/// The current picture, for all calls.
#[derive(Debug)]
pub(crate) struct Catalog {
    db: Database,
    clock: Clock,
    master: MasterKey,
    current: ArcSwapOption<Dated>,
    drawing: Mutex<()>,
}

#[derive(Debug)]
struct Dated {
    snapshot: Arc<Snapshot>,
    generation: u64,
    drawn_at: Instant,
}

impl Catalog {
    pub(crate) fn new(db: Database, clock: Clock, master: MasterKey) -> Self {
        Self {
            db,
            clock,
            master,
            current: ArcSwapOption::empty(),
            drawing: Mutex::new(()),
        }
    }

    /// The picture, drawn anew where something may have changed. An old one is better than none when the database fails.
    pub(crate) async fn current(&self) -> Result<Arc<Snapshot>, LoadError> {
        if let Some(snapshot) = self.fresh() {
            return Ok(snapshot);
        }

        let _one_at_a_time = self.drawing.lock().await;
        if let Some(snapshot) = self.fresh() {
            return Ok(snapshot);
        }
        let generation = self.db.generation();
        let drawn_at = Instant::now();
        match load(&self.db, &self.master, self.clock.now()).await {
            Ok(snapshot) => {
                let snapshot = Arc::new(snapshot);
                self.current.store(Some(Arc::new(Dated {
                    snapshot: Arc::clone(&snapshot),
                    generation,
                    drawn_at,
                })));
                Ok(snapshot)
            }
            Err(error) => {
                let last = self.current.load_full().ok_or(error)?;
                tracing::error!("the catalog could not be read; the last one stays in use");
                Ok(Arc::clone(&last.snapshot))
            }
        }
    }

    fn fresh(&self) -> Option<Arc<Snapshot>> {
        let dated = self.current.load();
        let dated = dated.as_ref()?;
        let fresh =
            dated.generation == self.db.generation() && dated.drawn_at.elapsed() < STALE_AFTER;
        fresh.then(|| Arc::clone(&dated.snapshot))
    }
}
