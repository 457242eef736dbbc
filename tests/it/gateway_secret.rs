//! An upstream that repeats the key of its channel: nobody hears it, wherever it stands.

use entity::{Platform, attempt, channel::Kind, usage::Finish};
use serde_json::{Value, json};

use crate::support::{
    gate::Gate,
    upstream::{Answer, Upstream},
};

/// The secret of every channel here.
const SECRET: &str = "sk-upstream";
const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";

fn asking(model: &str, streamed: bool) -> Value {
    json!({"model": model, "stream": streamed, "max_tokens": 50, "input": "one two",
           "messages": [{"role": "user", "content": "one two"}]})
}

/// The beginning of an answer and an error that repeats the key, in the protocol of each kind of channel.
fn telling(kind: Kind, spelled: &str) -> [String; 2] {
    let words = format!("no room for {spelled} just now");
    match kind {
        Kind::Anthropic => [
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"role\":\"assistant\",\"content\":[],\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Par\"}}\n\n".to_owned(),
            format!("event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"overloaded_error\",\"message\":\"{words}\"}}}}\n\n"),
        ],
        Kind::Openai => [
            "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"object\":\"response\",\"output\":[]}}\n\nevent: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"i\",\"role\":\"assistant\",\"content\":[]}}\n\nevent: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"content_index\":0,\"item_id\":\"i\",\"delta\":\"Par\"}\n\n".to_owned(),
            format!("event: response.failed\ndata: {{\"type\":\"response.failed\",\"response\":{{\"id\":\"r\",\"object\":\"response\",\"status\":\"failed\",\"output\":[],\"error\":{{\"code\":\"server_error\",\"message\":\"{words}\"}}}}}}\n\n"),
        ],
        _ => [
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Par\"},\"finish_reason\":null}]}\n\n".to_owned(),
            format!("data: {{\"error\":{{\"code\":\"server_error\",\"message\":\"{words}\"}}}}\n\n"),
        ],
    }
}

#[tokio::test]
async fn an_error_in_mid_stream_passes_without_the_key_in_it() {
    let gate = Gate::open().await;
    // A caller, the channel that serves it, and whether that takes a translation.
    let ways = [
        (CHAT, Kind::OpenaiCompatible, false),
        (RESPONSES, Kind::Openai, false),
        (MESSAGES, Kind::Anthropic, false),
        (CHAT, Kind::Anthropic, true),
        (MESSAGES, Kind::OpenaiCompatible, true),
        (RESPONSES, Kind::Anthropic, true),
        (MESSAGES, Kind::Openai, true),
    ];
    let mut calls = 0;
    for (path, kind, translated) in ways {
        for (spelled, plainly) in [(SECRET, true), ("sk\\u002dupstream", false)] {
            let [begun, failed] = telling(kind, spelled);
            let upstream = Upstream::start([Answer::stream(&[&begun, &failed])]);
            let model = format!("echoes-{calls}");
            gate.add_upstream(kind, &upstream.base, &model).await;

            let answer = gate.post(path, &asking(&model, true)).send().await;

            let text = answer.expect("an answer").text().await.expect("a body");
            let what = format!("{path} {kind:?} {spelled}: {text}");
            assert!(text.contains("Par"), "{what}");
            for trace in [SECRET, "u002dupstream"] {
                assert!(!text.contains(trace), "{what}");
            }
            // The words themselves still pass where the key can be cut out of them.
            let passes = plainly || translated;
            assert_eq!(text.contains("no room for *** just now"), passes, "{what}");
            assert!(
                passes || text.contains("upstream failed in the middle"),
                "{what}"
            );
            calls += 1;
            let row = gate.ended(calls).await.pop().expect("a row");
            assert_eq!(row.finish, Finish::UpstreamError, "{what}");
            upstream.stop().await;
        }
    }
    gate.finish().await;
}

#[tokio::test]
async fn an_error_before_the_first_word_is_kept_for_operators_without_the_key() {
    let gate = Gate::open().await;
    let said = json!({"error": {"code": "server_error", "message": format!("{SECRET} is busy")}});
    let event = format!("data: {said}\n\n");
    let table = [
        ("early-stream", true, Answer::stream(&[&event])),
        ("early-whole", false, Answer::json(200, &said)),
        ("early-status", false, Answer::json(500, &said)),
    ];
    for (model, streamed, answer) in table {
        let upstream = Upstream::start([answer]);
        gate.add_upstream(Kind::OpenaiCompatible, &upstream.base, model)
            .await;
        let answer = gate.post(CHAT, &asking(model, streamed)).send().await;
        let text = answer.expect("an answer").text().await.expect("a body");
        assert!(!text.contains(SECRET), "{model}: {text}");
        upstream.stop().await;
    }

    let tries = async || {
        attempt::Entity::every()
            .all(gate.till.db.read())
            .await
            .expect("attempts read")
    };
    gate.until("the tries are kept", || async { tries().await.len() == 3 })
        .await;
    for row in tries().await {
        assert!(row.fault.contains("*** is busy"), "{}", row.fault);
        assert!(!row.fault.contains(SECRET), "{}", row.fault);
    }
    gate.finish().await;
}
