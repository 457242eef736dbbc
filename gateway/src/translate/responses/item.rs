//! The items of a Responses answer.

use serde_json::{Value, json};

use super::hosted;
use crate::translate::{
    answer::{Citation, Opaque},
    logprob::{self, Likely},
    neutral::{Call, Kind},
    voice::Voice,
};

/// The id of the item at a place of the output.
pub(super) fn id(prefix: &str, voice: &Voice, place: usize) -> String {
    format!("{prefix}_{}{place:04}", voice.id)
}

pub(super) fn message(id: &str, status: &str, content: &[Value]) -> Value {
    json!({"id": id, "type": "message", "role": "assistant", "status": status, "content": content})
}

pub(super) fn text(text: &str, citations: &[Citation], likely: &[Likely]) -> Value {
    let annotations: Vec<Value> = citations.iter().map(annotation).collect();
    json!({"type": "output_text", "text": text, "annotations": annotations,
           "logprobs": logprob::list(likely)})
}

pub(super) fn refusal(text: &str) -> Value {
    json!({"type": "refusal", "refusal": text})
}

pub(super) fn annotation(citation: &Citation) -> Value {
    let (start, end) = citation.span.unwrap_or_default();
    json!({"type": "url_citation", "start_index": start, "end_index": end,
           "url": citation.url, "title": citation.title})
}

/// A reasoning item. Its carrier brings the thought back to the upstream that had it.
pub(super) fn thought(id: &str, text: &str, opaque: Option<&Opaque>, voice: &Voice) -> Value {
    let summary = if text.is_empty() {
        json!([])
    } else {
        json!([{"type": "summary_text", "text": text}])
    };
    json!({"id": id, "type": "reasoning", "summary": summary,
           "encrypted_content": voice.carriers.seal(text, opaque)})
}

pub(super) fn call(call: &Call, id: &str, status: &str) -> Value {
    let mut item = match call.kind {
        Kind::Function => json!({"id": id, "type": "function_call", "call_id": call.id,
            "name": call.name, "arguments": call.args, "status": status}),
        Kind::Custom => json!({"id": id, "type": "custom_tool_call", "call_id": call.id,
            "name": call.name, "input": call.args, "status": status}),
        Kind::LocalShell | Kind::Shell | Kind::ApplyPatch | Kind::ToolSearch => {
            let mut item = hosted::item(call, id);
            item["status"] = status.into();
            return item;
        }
    };
    if let Some(namespace) = &call.namespace {
        item["namespace"] = namespace.as_str().into();
    }
    item
}

pub(super) fn search(id: &str, query: &str) -> Value {
    json!({"id": id, "type": "web_search_call", "status": "completed",
           "action": {"type": "search", "query": query}})
}
