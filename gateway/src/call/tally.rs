//! What no upstream said, counted by the tokenizer once the call is over, off the threads that relay.

use std::{sync::LazyLock, thread::available_parallelism, time::Duration};

use bytes::Bytes;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use super::Call;
use crate::wire::{
    size,
    tap::{Tally, Tap},
};

/// How long a count may wait for those before it. Where all clients go at once, the later ones are counted by letters.
const TURN_WITHIN: Duration = Duration::from_secs(2);

/// Counts that are made at the same time: as many as there are processors, and no more threads than that.
static TURNS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, usize::from)));

/// Counts what the upstream of a call that has ended did not say.
pub(super) async fn tally(call: &Call, tap: &mut Tap) {
    let Some(owed) = tap.owed() else {
        return;
    };
    let body = owed.input.then(|| call.body.clone());
    let counted = counted(move || Tally {
        input: body.map(|body| size::weigh(&body)),
        output: owed.answer.by_tokenizer(),
    });
    match counted.await {
        Some(tally) => tap.tally(tally),
        None => {
            tracing::warn!(request.id = %call.visit.id, "tokens were counted by letters: the tokenizer was not free");
        }
    }
}

/// How many tokens a request is, about; none where too many ask.
pub(super) async fn of_request(body: Bytes) -> Option<u64> {
    counted(move || size::weigh(&body)).await
}

async fn counted<T: Send + 'static>(count: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let turn = timeout(TURN_WITHIN, TURNS.acquire()).await.ok()?.ok()?;
    let work = move || {
        let counted = count();
        drop(turn);
        counted
    };
    spawn_blocking(work).await.ok()
}
