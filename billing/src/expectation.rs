//! How much output a call is expected to bring: the 95th percentile of the latest calls of its model and client kind,
//! in memory. An input of admission, which stores it on the hold; wrong only costs a growth while the answer streams.

use entity::{
    Database, ModelId, Scoped,
    usage::{self, Finish, Quality},
};
use sea_orm::{DbErr, QueryOrder, QuerySelect};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::OnceCell;

/// What is expected while there is no history.
pub const UNTRIED: u64 = 4_096;
/// Fewer calls than this are no history.
const HISTORY_MIN: usize = 20;
/// Calls of one pair that are remembered.
const HISTORY_MAX: usize = 128;
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

/// The latest calls of one model by one client kind.
#[derive(Clone, Debug, Default)]
struct History(VecDeque<u64>);

impl History {
    fn note(&mut self, output: u64) {
        if self.0.len() >= HISTORY_MAX {
            self.0.pop_front();
        }
        self.0.push_back(output);
    }

    /// The least count that 95 of 100 calls stay within.
    fn expected(&self) -> Option<u64> {
        if self.0.len() < HISTORY_MIN {
            return None;
        }
        let mut counts: Vec<u64> = self.0.iter().copied().collect();
        counts.sort_unstable();
        let rank = counts.len().saturating_mul(95).div_ceil(100);
        counts.get(rank.saturating_sub(1)).copied()
    }
}

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

    fn history(counts: impl IntoIterator<Item = u64>) -> History {
        let mut history = History::default();
        for count in counts {
            history.note(count);
        }
        history
    }

    #[test]
    fn ninety_five_of_a_hundred_calls_stay_within_the_expectation() {
        assert_eq!(history(1..=19).expected(), None, "no history yet");
        assert_eq!(history(1..=20).expected(), Some(19));
        assert_eq!(history((1..=100).rev()).expected(), Some(95));
        assert_eq!(history([7; 64]).expected(), Some(7));
        let rare = std::iter::repeat_n(10, 95).chain(std::iter::repeat_n(64_000, 5));
        assert_eq!(history(rare).expected(), Some(10));
        let common = std::iter::repeat_n(10, 94).chain(std::iter::repeat_n(64_000, 6));
        assert_eq!(history(common).expected(), Some(64_000));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_latest() {
        let long = history((0..1_000).map(|count| count / 500 * 100));
        assert_eq!(long.0.len(), HISTORY_MAX);
        assert_eq!(long.expected(), Some(100));

        let mut known = Known::new();
        let model = ModelId::fresh();
        for kind in 0..=PAIRS_MAX * 2 {
            learn(&mut known, model, &kind.to_string(), 1);
            let pairs: usize = known.values().map(HashMap::len).sum();
            assert!(pairs <= PAIRS_MAX);
        }
    }
}
