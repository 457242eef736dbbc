//! The response object itself, which opens and closes a stream and is a whole answer.

use serde_json::{Value, json};

use crate::translate::{
    answer::Ending,
    usage,
    voice::{Voice, incomplete_reason},
};

/// A response in this state. Its ending is known once it has ended well.
pub(super) fn response(
    voice: &Voice,
    status: &str,
    output: &[Value],
    ending: Option<&Ending>,
) -> Value {
    let incomplete = ending
        .and_then(|ending| incomplete_reason(ending.reason))
        .map(|reason| json!({"reason": reason}));
    let usage = ending.map(|ending| usage::responses(&ending.usage.unwrap_or_default()));
    let mut response = json!({
        "id": format!("resp_{}", voice.id),
        "object": "response",
        "created_at": voice.created,
        "status": status,
        "background": false,
        "error": null,
        "incomplete_details": incomplete,
        "instructions": null,
        "max_output_tokens": null,
        "max_tool_calls": null,
        "model": voice.model,
        "output": output,
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "prompt_cache_key": null,
        "reasoning": {"effort": null, "summary": null},
        "safety_identifier": null,
        "service_tier": "default",
        "store": false,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
        "user": null,
        "metadata": {},
    });
    for (name, value) in &voice.echo {
        if !value.is_null() {
            response[name.as_str()] = value.clone();
        }
    }
    response
}
