//! Chance of a seed, and what was met by it.

use proptest::{
    prelude::Rng,
    test_runner::{RngAlgorithm, TestRng},
};
use std::collections::BTreeMap;

/// The same numbers for the same seed.
pub struct Chance(TestRng);

impl Chance {
    pub fn of(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
    }

    /// A number from 0 up to and without `end`.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).expect("small");
        usize::try_from(self.0.next_u64() % end).expect("small")
    }

    pub fn between(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.below(usize::try_from(to - from + 1).expect("in order")))
            .expect("small")
    }

    /// Whether something happens that happens so often of a hundred times.
    pub fn hits(&mut self, of_hundred: usize) -> bool {
        self.below(100) < of_hundred
    }

    pub fn one<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        of.get(self.below(of.len())).copied()
    }

    /// Each with even chances: what is switched on for a seed.
    pub fn some<T: Copy>(&mut self, of: &[T]) -> Vec<T> {
        of.iter().copied().filter(|_| self.hits(50)).collect()
    }
}

/// How often each thing was met.
#[derive(Default)]
pub struct Marks(BTreeMap<&'static str, u64>);

impl Marks {
    pub fn hit(&mut self, mark: &'static str) {
        *self.0.entry(mark).or_default() += 1;
    }

    pub fn times(&self, mark: &str) -> u64 {
        self.0.get(mark).copied().unwrap_or(0)
    }

    pub fn asks(&self) -> u64 {
        self.times("asked")
    }

    pub fn all(&self) -> impl Iterator<Item = (&&'static str, &u64)> {
        self.0.iter()
    }
}
