//! Races as they are: on several threads, on a real database, many times over.

mod calls;
mod office;

use crate::length;
use futures_util::future::join_all;

/// Rounds of each race.
fn rounds() -> usize {
    length::times(3, 200)
}

/// Starts all of them at once, each in a task of its own, and waits for all.
async fn at_once<T: Send + 'static>(
    tasks: Vec<impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let spawned: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let done = join_all(spawned).await;
    done.into_iter()
        .map(|task| task.expect("no panic"))
        .collect()
}
