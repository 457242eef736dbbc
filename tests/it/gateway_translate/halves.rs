//! An upstream that cuts characters in half: what is good of its answer arrives.

use serde_json::{Value, json};

use super::{CHAT, PAIRS, RESPONSES, ask_for_more, frames, serve, spoken};
use crate::support::{
    gate::Gate,
    upstream::{Answer, Upstream},
};

/// A stream of an upstream that says `hi 😀 bye` and cuts it within the character.
fn halved(upstream: &str) -> Answer {
    match upstream {
        CHAT => frames(&[
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"hi \ud83d"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"\ude00 bye"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}"#,
            "[DONE]",
        ]),
        RESPONSES => frames(&[
            r#"{"type":"response.created","response":{"id":"r","status":"in_progress"}}"#,
            r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"message","role":"assistant","content":[]}}"#,
            r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"hi \ud83d"}"#,
            r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"\ude00 bye"}"#,
            r#"{"type":"response.completed","response":{"id":"r","status":"completed","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"hi \ud83d\ude00 bye \ud83d"}]}],"usage":{"input_tokens":9,"output_tokens":4,"total_tokens":13}}}"#,
        ]),
        _ => frames(&[
            r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":9,"output_tokens":1}}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi \ud83d"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\ude00 bye"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":4}}"#,
            r#"{"type":"message_stop"}"#,
        ]),
    }
}

#[tokio::test]
async fn characters_cut_in_half_lose_no_text_and_no_ending() {
    let gate = Gate::open().await;
    let expected = "hi \u{fffd}\u{fffd} bye";

    for pair in PAIRS {
        let upstream = Upstream::start([halved(pair.upstream), halved(pair.upstream)]);
        serve(&gate, pair, &upstream, pair.name).await;
        let said = json!([{"role": "user", "content": "hi"}]);
        let field = if pair.client == RESPONSES {
            "input"
        } else {
            "messages"
        };
        for streamed in [true, false] {
            let mut request = json!({"model": pair.name, "stream": streamed});
            request[field] = said.clone();
            ask_for_more(&gate, pair, &mut request, 4_000).await;

            let answer = gate.post(pair.client, &request).send();

            let answer = answer.await.expect("an answer");
            assert_eq!(answer.status(), 200, "{} {streamed}", pair.name);
            let text = answer.text().await.expect("a body");
            if streamed {
                let (said, _, _, last) = spoken(pair.client, &text);
                assert_eq!(said, expected, "{}: {text}", pair.name);
                assert_eq!(last, super::last_word(pair.client, "stop"), "{text}");
            } else {
                let body: Value = serde_json::from_str(&text).expect("JSON");
                assert!(body.to_string().contains(expected), "{}: {body}", pair.name);
            }
        }
        upstream.stop().await;
    }
    gate.finish().await;
}
