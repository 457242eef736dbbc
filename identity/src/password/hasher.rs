//! Argon2id off the async threads, as many at once as there are cores. Hashing without a bound is an attack
//! surface of its own: past a short queue callers are told to come back.

use super::rule::{Attempt, Password};
use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version, password_hash::phc,
};
use entity::person::PasswordScheme;
use std::{sync::Arc, thread};
use tokio::sync::Semaphore;

/// Hashes and compares passwords. Cheap to clone; all clones share one queue.
#[derive(Clone, Debug)]
pub struct Hasher {
    /// One permit a hash at work.
    cores: Arc<Semaphore>,
    /// One permit a hash at work or waiting.
    places: Arc<Semaphore>,
    /// Compared with when there is no such person, so that the answer takes as long.
    decoy: Arc<str>,
}

/// As many are hashed and waiting as may be: ask again in a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct Busy;

/// What the database keeps of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    /// How it was made.
    pub scheme: PasswordScheme,
    /// The scheme's own text form.
    pub text: String,
}

/// What comparing came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The right password.
    Right,
    /// The right password, hashed in a way we would not use today: keep this hash instead.
    RightButOld(PasswordHash),
    /// Not the password, or nobody to have one.
    Wrong,
}

/// OWASP ASVS 5, appendix C: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// How many may wait for a core.
const QUEUE: usize = 64;
/// The hash of a password nobody has.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$Z8Z1y2rGm0sVbU4q6d7bNw$hM9k1z3pTHDRv1JwUQZs4yBzOaGqYI6xvqBqYb0cC2E";

impl Hasher {
    /// A hasher for this machine.
    pub fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self::with_bounds(cores, QUEUE)
    }

    fn with_bounds(cores: usize, queue: usize) -> Self {
        Self {
            cores: Arc::new(Semaphore::new(cores)),
            places: Arc::new(Semaphore::new(cores + queue)),
            decoy: DECOY.into(),
        }
    }

    /// Hashes a new password under a salt of its own.
    ///
    /// # Errors
    /// When too many wait already.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, Busy> {
        self.run(move || make(password.into_text().as_bytes()))
            .await
    }

    /// Compares what was typed with what is stored. With nothing stored it takes as long and is wrong.
    ///
    /// # Errors
    /// When too many wait already.
    pub async fn verify(
        &self,
        attempt: Attempt,
        stored: Option<PasswordHash>,
    ) -> Result<Verdict, Busy> {
        let decoy = Arc::clone(&self.decoy);
        self.run(move || {
            let attempt = attempt.into_text();
            match stored {
                Some(hash) if hash.scheme == PasswordScheme::Argon2id => {
                    compare(attempt.as_bytes(), &hash.text)
                }
                // A scheme this program cannot read is nobody's password until it is set anew by mail.
                Some(_) | None => {
                    compare(attempt.as_bytes(), &decoy);
                    Verdict::Wrong
                }
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| Busy)?;
        let core = Arc::clone(&self.cores)
            .acquire_owned()
            .await
            .map_err(|_| Busy)?;
        let task = tokio::task::spawn_blocking(move || {
            // The permits go with the work: a caller who goes away does not free a core that still hashes.
            let _permits = (place, core);
            work()
        });
        task.await.map_err(|fault| {
            tracing::error!(%fault, "hashing a password ended early");
            Busy
        })
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PasswordHash").field(&self.scheme).finish()
    }
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params())
}

fn params() -> Params {
    Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are within argon2's bounds")
}

fn make(password: &[u8]) -> PasswordHash {
    PasswordHash {
        scheme: PasswordScheme::Argon2id,
        text: argon2()
            .hash_password(password)
            .expect("these parameters and any text can be hashed")
            .to_string(),
    }
}

fn compare(attempt: &[u8], stored: &str) -> Verdict {
    let Ok(hash) = phc::PasswordHash::new(stored) else {
        tracing::error!("a stored password hash cannot be read");
        return Verdict::Wrong;
    };
    if argon2().verify_password(attempt, &hash).is_err() {
        return Verdict::Wrong;
    }
    let today = Params::try_from(&hash).is_ok_and(|params| {
        params.m_cost() >= MEMORY_KIB && params.t_cost() >= PASSES && params.p_cost() >= LANES
    });
    if today && hash.algorithm.as_str() == "argon2id" {
        Verdict::Right
    } else {
        Verdict::RightButOld(make(attempt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password() -> Password {
        Password::parse("correct horse battery staple").expect("a good password")
    }

    fn attempt(text: &str) -> Attempt {
        Attempt::new(text)
    }

    #[tokio::test]
    async fn the_right_password_is_right_and_another_is_wrong() {
        let hasher = Hasher::new();

        let hash = hasher.hash(password()).await.expect("a core is free");
        let again = hasher.hash(password()).await.expect("a core is free");
        let right = hasher
            .verify(attempt("correct horse battery staple"), Some(hash.clone()))
            .await;
        let wrong = hasher
            .verify(attempt("correct horse battery stable"), Some(hash.clone()))
            .await;

        assert!(hash.text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_ne!(hash, again, "each hash has a salt of its own");
        assert_eq!(right, Ok(Verdict::Right));
        assert_eq!(wrong, Ok(Verdict::Wrong));
    }

    #[tokio::test]
    async fn nobody_has_no_password_but_takes_as_long() {
        let decoy = phc::PasswordHash::new(DECOY).expect("the decoy is a hash");

        let verdict = Hasher::new().verify(attempt("anything at all"), None).await;

        assert_eq!(verdict, Ok(Verdict::Wrong));
        let cost = |params: Params| (params.m_cost(), params.t_cost(), params.p_cost());
        assert_eq!(
            Params::try_from(&decoy).ok().map(cost),
            Some(cost(params()))
        );
    }

    #[tokio::test]
    async fn an_old_hash_is_right_but_to_be_made_anew() {
        let weak = Params::new(8_192, 1, 1, None).expect("within bounds");
        let text = Argon2::new(Algorithm::Argon2id, Version::V0x13, weak)
            .hash_password(b"correct horse battery staple")
            .expect("it can be hashed")
            .to_string();
        let stored = PasswordHash {
            scheme: PasswordScheme::Argon2id,
            text,
        };

        let verdict = Hasher::new()
            .verify(attempt("correct horse battery staple"), Some(stored))
            .await;

        let Ok(Verdict::RightButOld(anew)) = verdict else {
            panic!("{verdict:?}");
        };
        assert!(anew.text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    }

    #[tokio::test]
    async fn past_the_queue_callers_are_told_to_come_back() {
        let hasher = Hasher::with_bounds(1, 1);
        let held = Arc::clone(&hasher.cores)
            .acquire_owned()
            .await
            .expect("a free core");
        let _working = Arc::clone(&hasher.places)
            .acquire_owned()
            .await
            .expect("a free place");

        let mut waiting = Box::pin(hasher.hash(password()));
        let started = futures_pending(&mut waiting).await;
        let refused = hasher.verify(attempt("x"), None).await;
        drop(held);
        let served = waiting.await;

        assert!(started);
        assert_eq!(refused, Err(Busy));
        assert!(served.is_ok());
    }

    /// Polls once: whether the future waits.
    async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
        })
        .await
    }
}
