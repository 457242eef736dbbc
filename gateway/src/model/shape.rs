//! Model lists in three dialects on one path: `OpenAI`, Anthropic, and the empty list that Codex wants beside.

use entity::model::Kind;
use serde_json::{Value, json};

use crate::catalog::Model;

/// One entry, with the keys of both families.
pub(super) fn entry(model: &Model) -> Value {
    let created = model.created_at.to_datetime();
    json!({
        "id": model.name,
        "object": "model",
        "type": "model",
        "created": created.timestamp(),
        "created_at": created.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        "owned_by": owner(&model.name),
        "display_name": model.title,
        "lifecycle": "active",
        "max_input_tokens": model.context_window,
        "max_tokens": model.max_output,
        "kind": match model.kind {
            Kind::Chat => "chat",
            Kind::Embedding => "embedding",
        },
    })
}

/// The whole list as one object that every dialect's parser accepts.
pub(super) fn list(entries: &[Value], has_more: bool) -> Value {
    let id = |entry: Option<&Value>| entry.map_or(Value::Null, |entry| entry["id"].clone());
    json!({
        "object": "list",
        "data": entries,
        "models": [],
        "has_more": has_more,
        "first_id": id(entries.first()),
        "last_id": id(entries.last()),
    })
}

/// A provider's prefix where the name has one; the gateway itself otherwise.
fn owner(name: &str) -> &str {
    name.split_once('/').map_or("tollgate", |(owner, _)| owner)
}
