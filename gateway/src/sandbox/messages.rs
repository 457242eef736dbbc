//! The sandbox's answers as Anthropic messages.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Scene, event};

pub(super) fn body(scene: &Scene<'_>) -> Value {
    let mut body = message(scene);
    body["content"] = json!([{"type": "text", "text": scene.play.words.concat()}]);
    body["stop_reason"] = stop_reason(scene).into();
    if let Some((input, output)) = scene.play.usage() {
        body["usage"] = usage(input, output);
    }
    body
}

pub(super) fn events(scene: &Scene<'_>) -> Vec<Bytes> {
    let mut start = message(scene);
    // The real service names input and the first token here, and the whole output in the last delta.
    start["usage"] = match scene.play.usage() {
        Some((input, _)) => usage(input, 1),
        None => Value::Null,
    };
    let send = |name: &str, fields: Value| {
        let mut data = fields;
        data["type"] = name.into();
        event(name, &data)
    };

    let mut events = vec![
        send("message_start", json!({"message": start})),
        send("ping", json!({})),
        send(
            "content_block_start",
            json!({"index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
    ];
    events.extend(scene.play.words.iter().map(|word| {
        let delta = json!({"type": "text_delta", "text": word});
        send("content_block_delta", json!({"index": 0, "delta": delta}))
    }));
    events.push(send("content_block_stop", json!({"index": 0})));
    let mut end = json!({"delta": {"stop_reason": stop_reason(scene), "stop_sequence": null}});
    if let Some((_, output)) = scene.play.usage() {
        end["usage"] = json!({"output_tokens": output});
    }
    events.push(send("message_delta", end));
    events.push(send("message_stop", json!({})));
    events
}

fn message(scene: &Scene<'_>) -> Value {
    json!({
        "id": format!("msg_{}", scene.id),
        "type": "message",
        "role": "assistant",
        "model": scene.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
    })
}

fn stop_reason(scene: &Scene<'_>) -> &'static str {
    if scene.play.cut_short {
        "max_tokens"
    } else {
        "end_turn"
    }
}

fn usage(input: i64, output: i64) -> Value {
    json!({
        "input_tokens": input,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output,
        "service_tier": "standard",
    })
}
