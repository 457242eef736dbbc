//! Conversations made short for Codex: natively where the upstream can, else by a summary that only its owner's calls
//! bring back.

use entity::{channel::Kind, usage::Quality};
use serde_json::{Value, json};

use crate::support::{
    gate::{Gate, INPUT_NANOS, KEY, OTHER_KEY, OUTPUT_NANOS, refusal},
    upstream::{Answer, Upstream},
};

const COMPACT: &str = "/v1/responses/compact";
const SUMMARY: &str = "The user wants a lantern; nothing is done yet.";

fn chat_stream(text: &str, reason: &str) -> Answer {
    let said = json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": null}]});
    let done = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]});
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 90, "completion_tokens": 10}});
    Answer::stream(&[
        &format!("data: {said}\n\n"),
        &format!("data: {done}\n\n"),
        &format!("data: {usage}\n\n"),
        "data: [DONE]\n\n",
    ])
}

fn conversation(model: &str) -> Value {
    json!({
        "model": model,
        "instructions": "You are Codex.",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "make a lantern"}]}],
        "tools": [{"type": "function", "name": "exec_command", "parameters": {"type": "object", "properties": {}}}],
    })
}

async fn ask(gate: &Gate, path: &str, body: &Value) -> Value {
    let answer = gate.post(path, body).send().await.expect("an answer");
    let status = answer.status();
    let body = answer.json().await.expect("JSON");
    assert_eq!(status, 200, "{body}");
    body
}

/// The items of the finished items of a stream.
fn done_items(text: &str) -> Vec<Value> {
    text.split("\n\n")
        .filter_map(|event| event.split_once("data: "))
        .filter_map(|(_, data)| serde_json::from_str::<Value>(data).ok())
        .filter(|event| event["type"] == "response.output_item.done")
        .map(|event| event["item"].clone())
        .collect()
}

#[tokio::test]
async fn an_upstream_that_compacts_by_itself_is_asked_to() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([Answer::json(
        200,
        &json!({"id": "resp_c1", "object": "response.compaction", "created_at": 1,
            "output": [{"id": "cmp_1", "type": "compaction", "encrypted_content": "gAAAA-theirs"}],
            "usage": {"input_tokens": 900, "output_tokens": 30, "total_tokens": 930}}),
    )]);
    gate.add_upstream(Kind::Openai, &upstream.base, "gpt").await;

    let answer = ask(&gate, COMPACT, &conversation("gpt")).await;

    assert_eq!(answer["output"][0]["encrypted_content"], "gAAAA-theirs");
    let asked = &upstream.requests()[0];
    assert_eq!(asked.path, "/v1/responses/compact");
    assert_eq!(asked.body["instructions"], "You are Codex.");
    let row = &gate.ended(1).await[0];
    assert_eq!(row.quality, Quality::Exact);
    assert_eq!(row.charge.nanos(), 900 * INPUT_NANOS + 30 * OUTPUT_NANOS);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_summary_stands_for_the_conversation_and_comes_back_in_any_protocol() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([
        chat_stream(SUMMARY, "stop"),
        chat_stream("here it is", "stop"),
    ]);
    gate.add_upstream(Kind::OpenaiCompatible, &upstream.base, "any")
        .await;

    let answer = ask(&gate, COMPACT, &conversation("any")).await;

    assert_eq!(answer["object"], "response.compaction");
    assert_eq!(answer["usage"]["input_tokens"], 90);
    let items = answer["output"].as_array().expect("items").clone();
    assert_eq!(items.len(), 1, "{answer}");
    assert_eq!(items[0]["type"], "compaction");
    assert!(!answer.to_string().contains("lantern"), "it is sealed");
    let asked = &upstream.requests()[0].body;
    assert_eq!(asked["tool_choice"], "none", "{asked}");
    let question = asked["messages"].as_array().and_then(|all| all.last());
    let question = question.expect("a question").to_string();
    assert!(question.contains("summary"), "{question}");

    let mut next = conversation("any");
    next["input"] = json!([items[0], {"role": "user", "content": "go on"}]);
    ask(&gate, "/v1/responses", &next).await;
    let asked = upstream.requests()[1].body.to_string();
    assert!(
        asked.contains(SUMMARY) && !asked.contains("gw1."),
        "{asked}"
    );

    let native = Upstream::start([Answer::json(
        200,
        &json!({"id": "resp_1", "object": "response", "status": "completed", "output": [],
            "usage": {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10}}),
    )]);
    gate.add_upstream(Kind::Openai, &native.base, "gpt").await;
    next["model"] = "gpt".into();
    ask(&gate, "/v1/responses", &next).await;
    let asked = native.requests()[0].body.to_string();
    assert!(
        asked.contains(SUMMARY) && !asked.contains("gw1."),
        "{asked}"
    );

    let charges = gate.ended(3).await;
    let price = 90 * INPUT_NANOS + 10 * OUTPUT_NANOS;
    assert_eq!(charges[0].charge.nanos(), price);

    let stranger = gate.till.buyer().await;
    gate.hire(stranger).await;
    gate.issue(OTHER_KEY, stranger).await;
    let stolen = gate
        .bare(reqwest::Method::POST, "/v1/responses")
        .bearer_auth(OTHER_KEY)
        .json(&next)
        .send()
        .await
        .expect("an answer");
    let (status, code, message) = refusal(stolen).await;
    assert_eq!((status, code.as_str()), (400, "invalid_request"));
    assert!(message.contains("input[0]"), "{message}");
    native.stop().await;
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_trigger_is_answered_by_exactly_one_compaction() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([chat_stream(SUMMARY, "stop")]);
    gate.add_upstream(Kind::OpenaiCompatible, &upstream.base, "any")
        .await;
    for model in ["any", "sandbox/echo"] {
        let mut body = conversation(model);
        body["stream"] = true.into();
        body["input"]
            .as_array_mut()
            .expect("items")
            .push(json!({"type": "compaction_trigger"}));

        let answer = gate.post("/v1/responses", &body).send().await;
        let text = answer.expect("an answer").text().await.expect("text");

        let items = done_items(&text);
        assert_eq!(items.len(), 1, "{text}");
        assert_eq!(items[0]["type"], "compaction", "{text}");
        assert!(text.contains("event: response.completed"), "{text}");
        assert!(!text.contains("output_text"), "{text}");
    }

    let mut early = conversation("any");
    let items = early["input"].as_array_mut().expect("items");
    items.insert(0, json!({"type": "compaction_trigger"}));
    let refused = gate.post("/v1/responses", &early).send().await;
    let (status, _, message) = refusal(refused.expect("an answer")).await;
    assert_eq!(status, 400);
    assert!(message.contains("input[0]"), "{message}");
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn half_a_summary_is_none() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([chat_stream("The user wants a lan", "length")]);
    gate.add_upstream(Kind::OpenaiCompatible, &upstream.base, "any")
        .await;

    let answer = gate
        .bare(reqwest::Method::POST, COMPACT)
        .bearer_auth(KEY)
        .json(&conversation("any"))
        .send()
        .await
        .expect("an answer");

    let (status, code, _) = refusal(answer).await;
    assert_eq!((status, code.as_str()), (503, "channels_failed"));
    upstream.stop().await;
    gate.finish().await;
}
