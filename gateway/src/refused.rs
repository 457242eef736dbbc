//! Refusals of known keys, kept for their owners: the first of its kind at once, equal ones after it as one row with
//! their number, so that a client that tries thirty times, or a flood, costs a row or two.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use entity::{KeyId, RejectionId, rejection};

/// How long equal refusals are counted together.
pub(crate) const WINDOW: Duration = Duration::from_secs(15);
/// Kinds of refusals that one key may have in a window; past it they are counted by their code alone.
const KINDS_MAX: u32 = 20;
/// Kinds that are remembered in all; past it nothing new is kept before a window ends.
const REMEMBERED_MAX: usize = 20_000;

/// What is remembered of the last seconds.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    alike: HashMap<Likeness, Alike>,
    kinds: HashMap<KeyId, (Instant, u32)>,
}

/// Whose, and a digest of what makes two refusals one.
type Likeness = (KeyId, u64);

#[derive(Debug)]
struct Alike {
    since: Instant,
    last: rejection::Model,
    more: i64,
}

/// What is to be done with a refusal.
#[derive(Debug)]
pub(crate) enum Noted {
    /// It is the first of its kind.
    Keep(Box<rejection::Model>),
    /// It is the second; whoever notes it comes back after the window to [`Refusals::take`] the count.
    Begin(Likeness),
    /// It was counted.
    Counted,
}

impl Refusals {
    /// Notes a refusal.
    pub(crate) fn note(&self, row: rejection::Model) -> Noted {
        let now = Instant::now();
        let mut state = self.lock();
        if state.alike.len() >= REMEMBERED_MAX {
            state.forget(now);
        }
        let full = state.alike.len() >= REMEMBERED_MAX;
        let likeness = state.likeness(&row, now);
        match state.alike.get_mut(&likeness) {
            Some(alike) if alike.more > 0 || now.duration_since(alike.since) < WINDOW => {
                alike.more += 1;
                alike.last = row;
                if alike.more == 1 {
                    Noted::Begin(likeness)
                } else {
                    Noted::Counted
                }
            }
            _ if full => Noted::Counted,
            _ => {
                let alike = Alike {
                    since: now,
                    last: row.clone(),
                    more: 0,
                };
                state.alike.insert(likeness, alike);
                Noted::Keep(Box::new(row))
            }
        }
    }

    /// What came after the first of a kind, as one row.
    pub(crate) fn take(&self, likeness: Likeness) -> Option<rejection::Model> {
        self.lock().alike.remove(&likeness).and_then(Alike::counted)
    }

    /// All that was counted and has no row yet.
    pub(crate) fn drain(&self) -> Vec<rejection::Model> {
        let mut state = self.lock();
        let alike = std::mem::take(&mut state.alike);
        alike.into_values().filter_map(Alike::counted).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn likeness(&mut self, row: &rejection::Model, now: Instant) -> Likeness {
        let fine = digest(|hasher| {
            (&row.code, &row.client_kind, &row.model_name, &row.path).hash(hasher);
        });
        let fine = (row.key_id, fine);
        if self.alike.contains_key(&fine) {
            return fine;
        }
        let (since, kinds) = self.kinds.entry(row.key_id).or_insert((now, 0));
        if now.duration_since(*since) >= WINDOW {
            (*since, *kinds) = (now, 0);
        }
        *kinds = kinds.saturating_add(1);
        if *kinds <= KINDS_MAX {
            return fine;
        }
        (row.key_id, digest(|hasher| row.code.hash(hasher)))
    }

    fn forget(&mut self, now: Instant) {
        self.alike
            .retain(|_, alike| alike.more > 0 || now.duration_since(alike.since) < WINDOW);
        self.kinds
            .retain(|_, (since, _)| now.duration_since(*since) < WINDOW);
    }
}

impl Alike {
    fn counted(self) -> Option<rejection::Model> {
        (self.more > 0).then(|| rejection::Model {
            id: RejectionId::fresh(),
            calls: self.more,
            ..self.last
        })
    }
}

fn digest(feed: impl FnOnce(&mut DefaultHasher)) -> u64 {
    let mut hasher = DefaultHasher::new();
    feed(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use entity::{MemberId, TenantId, Timestamp};

    use super::*;

    fn refusal(key: KeyId, code: &str, model: &str) -> rejection::Model {
        rejection::Model {
            id: RejectionId::fresh(),
            tenant_id: TenantId::fresh(),
            member_id: MemberId::fresh(),
            key_id: key,
            code: code.to_owned(),
            http_status: 403,
            message: String::new(),
            protocol: None,
            client_kind: "codex".to_owned(),
            model_name: Some(model.to_owned()),
            calls: 1,
            path: None,
            headers: None,
            fix: None,
            created_at: Timestamp::from_micros(0),
        }
    }

    #[test]
    fn equal_refusals_are_one_row_and_a_number() {
        let (refusals, key) = (Refusals::default(), KeyId::fresh());
        let again = || refusals.note(refusal(key, "model_blocked", "a"));

        assert!(matches!(again(), Noted::Keep(_)));
        let Noted::Begin(likeness) = again() else {
            panic!("the second is counted")
        };
        for _ in 0..28 {
            assert!(matches!(again(), Noted::Counted));
        }
        assert!(matches!(
            refusals.note(refusal(key, "model_blocked", "b")),
            Noted::Keep(_)
        ));
        assert_eq!(refusals.take(likeness).map(|row| row.calls), Some(29));
        assert!(refusals.take(likeness).is_none());
        assert!(refusals.drain().is_empty());
    }

    #[test]
    fn a_flood_of_different_names_is_counted_by_its_code() {
        let (refusals, key) = (Refusals::default(), KeyId::fresh());
        let kept = (0..1_000)
            .map(|number| refusals.note(refusal(key, "model_not_found", &number.to_string())))
            .filter(|noted| matches!(noted, Noted::Keep(_)))
            .count();

        assert_eq!(kept, usize::try_from(KINDS_MAX).expect("small") + 1);
        let counted: i64 = refusals.drain().iter().map(|row| row.calls).sum();
        assert_eq!(counted, 1_000 - i64::from(KINDS_MAX) - 1);
    }
}
