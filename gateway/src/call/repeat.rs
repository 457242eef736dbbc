//! Calls that are made again: Claude Code, told of a failure in the middle of a stream, asks the same once more without
//! one. Both may cost, so whoever reads the bill is told that they belong together.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use entity::{HoldId, KeyId, Protocol, call_link};
use moka::sync::Cache;
use sea_orm::{ActiveModelTrait, DbErr, IntoActiveModel};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Call;
use crate::gateway::Gateway;

/// How long after the failure a call may come that repeats it.
const WITHIN: Duration = Duration::from_mins(2);
/// Failures remembered at most.
const MOST: u64 = 10_000;

/// Streams that failed in the middle, by their key and what was said.
#[derive(Clone, Debug)]
pub(crate) struct Repeats(Cache<(KeyId, u64), HoldId>);

impl Default for Repeats {
    fn default() -> Self {
        let cache = Cache::builder().max_capacity(MOST).time_to_live(WITHIN);
        Self(cache.build())
    }
}

/// A conversation, apart from how its answer is asked for.
#[derive(Deserialize)]
struct Conversation<'a> {
    #[serde(borrow)]
    messages: &'a RawValue,
}

impl Repeats {
    /// Remembers a stream that failed in the middle.
    pub(super) fn failed(&self, call: &Call) {
        if let Some(said) = said(call, true) {
            self.0.insert(said, call.visit.id);
        }
    }

    /// The failed stream that this call repeats.
    fn repeated_by(&self, call: &Call) -> Option<HoldId> {
        self.0.remove(&said(call, false)?)
    }
}

/// Who says what; nothing where nobody is known to repeat such a call.
fn said(call: &Call, streamed: bool) -> Option<(KeyId, u64)> {
    let repeats = call.protocol == Protocol::Messages
        && call.visit.client.kind == "claude_code"
        && call.reading.streamed == streamed;
    if !repeats {
        return None;
    }
    let conversation: Conversation<'_> = serde_json::from_slice(&call.body).ok()?;
    let mut hasher = DefaultHasher::new();
    conversation.messages.get().hash(&mut hasher);
    Some((call.caller.key.id, hasher.finish()))
}

/// Notes which call this one repeats, in a task of its own: nothing waits for it.
pub(super) fn note(gateway: &Gateway, call: &Call) {
    let inner = &gateway.inner;
    let Some(repeats_id) = inner.repeats.repeated_by(call) else {
        return;
    };
    let row = call_link::Model {
        id: call.visit.id,
        tenant_id: call.caller.key.tenant_id,
        repeats_id,
        created_at: inner.clock.now(),
    };
    let (db, tracker) = (inner.db.clone(), inner.db.tracker().clone());
    let work = async move {
        let id = row.id;
        let row = row.into_active_model();
        let stored: Result<call_link::Model, DbErr> =
            db.write(move |tx| Box::pin(row.insert(tx))).await;
        if let Err(error) = stored {
            tracing::error!(request.id = %id, %error, "a repeated call could not be linked to the first");
        }
    };
    tracker.spawn_on(gateway.inner.calls.track_future(work), inner.db.handle());
}
