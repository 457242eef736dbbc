//! The sandbox's answers as chat completions.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Scene, event};

pub(super) fn body(scene: &Scene<'_>) -> Value {
    let mut body = json!({
        "id": format!("chatcmpl-{}", scene.id),
        "object": "chat.completion",
        "created": scene.created,
        "model": scene.model,
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": scene.play.words.concat(), "refusal": null},
            "logprobs": null,
            "finish_reason": finish(scene),
        }],
    });
    if let Some(usage) = usage(scene) {
        body["usage"] = usage;
    }
    body
}

pub(super) fn events(scene: &Scene<'_>) -> Vec<Bytes> {
    let chunk = |choices: Value, usage: Value| {
        event(
            "",
            &json!({
                "id": format!("chatcmpl-{}", scene.id),
                "object": "chat.completion.chunk",
                "created": scene.created,
                "model": scene.model,
                "choices": choices,
                "usage": usage,
            }),
        )
    };
    let choice = |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        chunk(json!([choice]), Value::Null)
    };

    let mut events = vec![choice(
        json!({"role": "assistant", "content": ""}),
        Value::Null,
    )];
    events.extend(
        scene
            .play
            .words
            .iter()
            .map(|word| choice(json!({"content": word}), Value::Null)),
    );
    events.push(choice(json!({}), finish(scene).into()));
    if scene.streams_usage
        && let Some(usage) = usage(scene)
    {
        events.push(chunk(json!([]), usage));
    }
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

fn finish(scene: &Scene<'_>) -> &'static str {
    if scene.play.cut_short {
        "length"
    } else {
        "stop"
    }
}

fn usage(scene: &Scene<'_>) -> Option<Value> {
    let (input, output) = scene.play.usage()?;
    Some(json!({
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }))
}
