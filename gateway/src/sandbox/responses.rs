//! The sandbox's answers as responses.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Scene, event};

pub(super) fn body(scene: &Scene<'_>) -> Value {
    let mut body = response(scene, status(scene));
    body["output"] = json!([item(scene, status(scene), &json!([text_part(scene)]))]);
    if let Some(usage) = usage(scene) {
        body["usage"] = usage;
    }
    if scene.play.cut_short {
        body["incomplete_details"] = json!({"reason": "max_output_tokens"});
    }
    body
}

pub(super) fn events(scene: &Scene<'_>) -> Vec<Bytes> {
    let mut numbered = Numbered::default();
    let text = scene.play.words.concat();
    let item_id = item_id(scene);
    let in_item = |fields: Value| {
        let mut all =
            json!({"item_id": item_id, "output_index": 0, "content_index": 0, "logprobs": []});
        if let (Some(all), Value::Object(fields)) = (all.as_object_mut(), fields) {
            all.extend(fields);
        }
        all
    };
    let empty_part = json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []});
    let opened = response(scene, "in_progress");

    numbered.send("response.created", json!({"response": opened}));
    numbered.send("response.in_progress", json!({"response": opened}));
    let item_opened = item(scene, "in_progress", &json!([]));
    numbered.send(
        "response.output_item.added",
        json!({"output_index": 0, "item": item_opened}),
    );
    numbered.send(
        "response.content_part.added",
        in_item(json!({"part": empty_part})),
    );
    for word in &scene.play.words {
        numbered.send(
            "response.output_text.delta",
            in_item(json!({"delta": word})),
        );
    }
    numbered.send("response.output_text.done", in_item(json!({"text": text})));
    numbered.send(
        "response.content_part.done",
        in_item(json!({"part": text_part(scene)})),
    );
    let item_done = item(scene, status(scene), &json!([text_part(scene)]));
    numbered.send(
        "response.output_item.done",
        json!({"output_index": 0, "item": item_done}),
    );
    let end = if scene.play.cut_short {
        "response.incomplete"
    } else {
        "response.completed"
    };
    numbered.send(end, json!({"response": body(scene)}));
    numbered.0
}

/// Events with their rising numbers.
#[derive(Default)]
struct Numbered(Vec<Bytes>);

impl Numbered {
    fn send(&mut self, name: &str, fields: Value) {
        let mut data = fields;
        data["type"] = name.into();
        data["sequence_number"] = self.0.len().into();
        self.0.push(event(name, &data));
    }
}

fn status(scene: &Scene<'_>) -> &'static str {
    if scene.play.cut_short {
        "incomplete"
    } else {
        "completed"
    }
}

fn response(scene: &Scene<'_>, status: &str) -> Value {
    json!({
        "id": format!("resp_{}", scene.id),
        "object": "response",
        "created_at": scene.created,
        "status": status,
        "background": false,
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "max_output_tokens": null,
        "max_tool_calls": null,
        "model": scene.model,
        "output": [],
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null},
        "service_tier": "default",
        "store": false,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": null,
        "user": null,
        "metadata": {},
    })
}

fn item_id(scene: &Scene<'_>) -> String {
    format!("msg_{}", scene.id)
}

fn item(scene: &Scene<'_>, status: &str, content: &Value) -> Value {
    json!({"id": item_id(scene), "type": "message", "role": "assistant", "status": status, "content": content})
}

fn text_part(scene: &Scene<'_>) -> Value {
    json!({"type": "output_text", "text": scene.play.words.concat(), "annotations": [], "logprobs": []})
}

fn usage(scene: &Scene<'_>) -> Option<Value> {
    let (input, output) = scene.play.usage()?;
    Some(json!({
        "input_tokens": input,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input + output,
    }))
}
