//! How much output a call is expected to bring: the 95th percentile of the latest calls of its model and client kind,
//! in memory. An input of admission, which stores it on the hold; wrong only costs a growth while the answer streams.

use billing_core::expectation::History;
pub use billing_core::expectation::UNTRIED;
use entity::{
    Database, ModelId, Scoped,
    usage::{self, Finish, Quality},
};
use sea_orm::{DbErr, QueryOrder, QuerySelect};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::OnceCell;

/// Pairs of model and client kind that are remembered; past it the memory starts anew.
const PAIRS_MAX: usize = 4_096;
/// Usage rows read at the start.
const SEED_ROWS: u64 = 10_000;

/// The memory of one process. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Expectations {
    db: Database,
    known: Arc<Mutex<Known>>,
    seeded: Arc<OnceCell<()>>,
}

type Known = HashMap<ModelId, HashMap<String, History>>;

impl Expectations {
    /// Knows nothing until it is first asked.
    pub fn new(db: Database) -> Self {
        Self {
            db,
            known: Arc::default(),
            seeded: Arc::default(),
        }
    }

    /// Output tokens to expect of a call, one at least. Asked first, it reads the latest usage; where that fails,
    /// it learns as calls end.
    pub async fn of(&self, model: ModelId, client_kind: &str) -> u64 {
        self.seeded.get_or_init(|| self.seed()).await;
        let known = self.lock();
        let history = known.get(&model).and_then(|kinds| kinds.get(client_kind));
        history
            .and_then(History::expected)
            .map_or(UNTRIED, |tokens| tokens.max(1))
    }

    /// Learns from a call that came to its own end.
    pub fn note(&self, model: ModelId, client_kind: &str, output: u64) {
        learn(&mut self.lock(), model, client_kind, output);
    }

    async fn seed(&self) {
        match latest(&self.db).await {
            Ok(rows) => {
                let mut known = self.lock();
                for (model, client_kind, output) in rows.into_iter().rev() {
                    learn(&mut known, model, &client_kind, output);
                }
            }
            Err(fault) => {
                tracing::warn!(%fault, "no history of output was read; it is learnt anew");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn learn(known: &mut Known, model: ModelId, client_kind: &str, output: u64) {
    if let Some(history) = known
        .get_mut(&model)
        .and_then(|kinds| kinds.get_mut(client_kind))
    {
        return history.note(output);
    }
    let pairs: usize = known.values().map(HashMap::len).sum();
    if pairs >= PAIRS_MAX {
        known.clear();
    }
    let kinds = known.entry(model).or_default();
    kinds
        .entry(client_kind.to_owned())
        .or_default()
        .note(output);
}

/// The latest calls that came to their own end, the newest first.
async fn latest(db: &Database) -> Result<Vec<(ModelId, String, u64)>, DbErr> {
    let rows: Vec<(ModelId, String, i64, Quality, Finish)> = usage::Entity::across_tenants()
        .select_only()
        .columns([
            usage::Column::ModelId,
            usage::Column::ClientKind,
            usage::Column::OutputTokens,
            usage::Column::Quality,
            usage::Column::Finish,
        ])
        .order_by_desc(usage::Column::Id)
        .limit(SEED_ROWS)
        .into_tuple()
        .all(db.read())
        .await?;
    Ok(rows
        .into_iter()
        .filter(|(.., quality, finish)| *quality == Quality::Exact && *finish == Finish::Complete)
        .filter_map(|(model, kind, output, ..)| Some((model, kind, u64::try_from(output).ok()?)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_that_are_remembered_are_bounded() {
        let mut known = Known::new();
        let model = ModelId::fresh();
        for kind in 0..=PAIRS_MAX * 2 {
            learn(&mut known, model, &kind.to_string(), 1);
            let pairs: usize = known.values().map(HashMap::len).sum();
            assert!(pairs <= PAIRS_MAX);
        }
    }
}
