//! Thoughts and freeform tools, which one protocol has and another has not: there and back again.

use entity::channel::{Kind, Options, Quirks};
use serde_json::{Value, json};

use super::{
    CHAT, MESSAGES, PAIRS, RESPONSES, events, frames, sample, sample_json, serve, stream,
    whole_answer,
};
use crate::{
    gateway_routing::options,
    support::{
        gate::{Gate, INPUT_NANOS, OUTPUT_NANOS},
        upstream::{Answer, Upstream},
    },
};

#[tokio::test]
async fn thoughts_come_back_to_the_upstream_that_had_them_and_go_nowhere_else() {
    let gate = Gate::open().await;
    let thinking = sample("translate/messages_to_responses/streams/07_reasoning_tool/upstream.sse");
    let stale = json!({"error": {"message": "Could not be verified.", "type": "invalid_request_error",
                                 "code": "invalid_encrypted_content"}});
    let openai = Upstream::start([
        stream(&thinking),
        Answer::json(200, &whole_answer(RESPONSES)),
        Answer::json(400, &stale),
        Answer::json(200, &whole_answer(RESPONSES)),
    ]);
    let anthropic = Upstream::start([Answer::json(200, &whole_answer(MESSAGES))]);
    gate.add_upstream(Kind::Openai, &openai.base, "o").await;
    gate.add_upstream(Kind::Anthropic, &anthropic.base, "a")
        .await;
    let first = json!({"model": "o", "max_tokens": 900, "stream": true, "thinking": {"type": "adaptive"},
                       "messages": [{"role": "user", "content": "weather?"}]});

    let text = gate
        .post(MESSAGES, &first)
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("a body");

    let carrier = events(&text)
        .iter()
        .find_map(|event| event["delta"]["signature"].as_str().map(str::to_owned))
        .expect("a signature");
    assert!(
        carrier.starts_with("gw1.") && !carrier.contains("gAAAA"),
        "{carrier}"
    );
    let second = |model: &str| {
        json!({"model": model, "max_tokens": 900, "thinking": {"type": "adaptive"}, "messages": [
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "Need weather.", "signature": carrier},
                {"type": "tool_use", "id": "call_R", "name": "get_weather", "input": {"city": "Oslo"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_R", "content": "4 C"}]}]})
    };
    for model in ["o", "o", "a"] {
        let answer = gate
            .post(MESSAGES, &second(model))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
    }

    let inputs: Vec<Value> = openai
        .requests()
        .into_iter()
        .map(|asked| asked.body["input"].clone())
        .collect();
    let thoughts = |input: &Value| -> Vec<Value> {
        let items = input.as_array().expect("items").iter();
        items
            .filter(|item| item["type"] == "reasoning")
            .cloned()
            .collect()
    };
    let native = events(&thinking)
        .iter()
        .find_map(|event| {
            event["item"]["encrypted_content"]
                .as_str()
                .map(str::to_owned)
        })
        .expect("opaque state");
    assert_eq!(inputs.len(), 4);
    assert_eq!(thoughts(&inputs[1])[0]["encrypted_content"], native);
    assert_eq!(thoughts(&inputs[2]).len(), 1);
    assert!(
        thoughts(&inputs[3]).is_empty(),
        "refused once, they are left out"
    );
    let passed = anthropic
        .requests()
        .pop()
        .expect("one request")
        .body
        .to_string();
    assert!(
        !passed.contains("gw1.") && passed.contains("call_R"),
        "{passed}"
    );
    openai.stop().await;
    anthropic.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn thoughts_that_a_chat_caller_cannot_send_back_are_kept_for_it() {
    let gate = Gate::open().await;
    let thinking = sample("translate/chat_to_messages/streams/07_reasoning_tool/upstream.sse");
    let whole = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [
            {"type": "thinking", "thinking": "Need weather.", "signature": "EqQB-sig"},
            {"type": "tool_use", "id": "toolu_R", "name": "get_weather", "input": {"city": "Oslo"}}],
        "stop_reason": "tool_use", "usage": {"input_tokens": 100, "output_tokens": 10}});
    let ways = [
        ("streamed", true, stream(&thinking)),
        ("collected", false, stream(&thinking)),
        ("whole", false, Answer::json(200, &whole)),
    ];
    for (way, streamed, answer) in ways {
        let upstream = Upstream::start([answer, Answer::json(200, &whole_answer(MESSAGES))]);
        let model = format!("claude-{way}");
        gate.add_upstream(Kind::Anthropic, &upstream.base, &model)
            .await;
        let mut request = json!({"model": model, "stream": streamed,
                                 "messages": [{"role": "user", "content": "weather?"}]});

        let first = gate.post(CHAT, &request).send().await.expect("an answer");
        assert_eq!(first.status(), 200);
        first.text().await.expect("a body");
        let said = request["messages"].as_array_mut().expect("messages");
        said.push(json!({"role": "assistant", "content": null, "tool_calls": [{"id": "toolu_R",
            "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Oslo\"}"}}]}));
        said.push(json!({"role": "tool", "tool_call_id": "toolu_R", "content": "4 C"}));
        request["stream"] = false.into();
        let second = gate.post(CHAT, &request).send().await.expect("an answer");

        assert_eq!(second.status(), 200);
        let asked = upstream.requests().pop().expect("two requests");
        assert_eq!(
            asked.body["messages"][1]["content"][0],
            json!({"type": "thinking", "thinking": "Need weather.", "signature": "EqQB-sig"}),
            "{way}"
        );
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn freeform_tools_work_where_the_upstream_knows_functions_only() {
    let gate = Gate::open().await;
    let patch = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [
            {"type": "tool_use", "id": "toolu_1", "name": "apply_patch", "input": {"input": "*** Begin Patch\n*** End Patch"}},
            {"type": "tool_use", "id": "toolu_2", "name": "mcp__db__query", "input": {}}],
        "stop_reason": "tool_use", "usage": {"input_tokens": 100, "output_tokens": 10}});
    let upstream = Upstream::start([Answer::json(200, &patch)]);
    gate.add_upstream(Kind::Anthropic, &upstream.base, "claude")
        .await;
    let mut request = sample_json("translate/responses_to_messages/requests/02_codex/client.json");
    request["model"] = "claude".into();
    request["stream"] = false.into();

    let answer = gate
        .post(RESPONSES, &request)
        .send()
        .await
        .expect("an answer");

    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.expect("JSON");
    let items = body["output"].as_array().expect("items");
    assert_eq!(items[0]["type"], "custom_tool_call");
    assert_eq!(items[0]["input"], "*** Begin Patch\n*** End Patch");
    assert_eq!(
        (
            &items[1]["namespace"],
            &items[1]["name"],
            &items[1]["arguments"]
        ),
        (&json!("mcp__db__"), &json!("query"), &json!("{}"))
    );
    let row = gate.ended(1).await.pop().expect("a row");
    assert_eq!(row.charge.nanos(), 100 * INPUT_NANOS + 10 * OUTPUT_NANOS);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_reference_to_a_thought_is_dropped_by_name_and_any_other_refused() {
    let gate = Gate::open().await;

    for pair in PAIRS.into_iter().filter(|pair| pair.client == RESPONSES) {
        let upstream = Upstream::start([Answer::json(200, &whole_answer(pair.upstream))]);
        serve(&gate, pair, &upstream, pair.name).await;
        // The second step of a client that believes its first to be kept.
        let request = |id: &str| {
            json!({"model": pair.name, "input": [
                {"role": "user", "content": "Weather?"},
                {"type": "item_reference", "id": id},
                {"type": "function_call", "call_id": "call_A", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "call_A", "output": "sunny"}],
                "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}]})
        };

        let answer = gate.post(pair.client, &request("rs_1")).send();
        let refused = gate.post(pair.client, &request("msg_1")).send();

        let answer = answer.await.expect("an answer");
        assert_eq!(answer.status(), 200, "{}", pair.name);
        let dropped = answer.headers().get("x-gateway-dropped").expect("a header");
        let dropped = dropped.to_str().expect("text");
        assert!(dropped.contains("input[1] (item_reference)"), "{dropped}");
        let refused = refused.await.expect("an answer");
        assert_eq!(refused.status(), 400, "{}", pair.name);
        let body: Value = refused.json().await.expect("JSON");
        assert_eq!(body["error"]["param"], "input[1]", "{body}");
        let sent = upstream.requests();
        assert_eq!(sent.len(), 1, "{}", pair.name);
        assert!(sent[0].body.to_string().contains("sunny"), "{}", pair.name);
        upstream.stop().await;
    }
    gate.finish().await;
}

const ALOUD: &str = "<think>\nNeed weather.\n</think>\n\nSunny.";

/// An upstream whose answers begin with their thoughts: one whole, one streamed in the midst of its marks, one whole.
async fn thinking_aloud(gate: &Gate) -> Upstream {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110});
    let whole = json!({"id": "c", "object": "chat.completion", "model": "m", "usage": usage, "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ALOUD}}]});
    let whole = Answer::json(200, &whole);
    let pieces = [
        "<thi",
        "nk>\nNeed ",
        "weather.\n",
        "</",
        "think>",
        "\n\nSun",
        "ny.",
    ];
    let mut chunks = pieces
        .map(|piece| json!({"choices": [{"index": 0, "delta": {"content": piece}}]}))
        .to_vec();
    chunks.push(
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage}),
    );
    let upstream = Upstream::start([whole.clone(), frames(&chunks), whole]);
    let channel = gate
        .add_upstream(Kind::OpenaiCompatible, &upstream.base, "aloud")
        .await;
    let wanted = Options {
        quirks: Quirks {
            split_think: true,
            echo_reasoning: Some(true),
            ..Quirks::default()
        },
        ..Options::default()
    };
    options(gate, channel, wanted).await;
    upstream
}

/// Asks for an answer whole, then as a stream, and goes on after what came whole: the answer, the stream's events, and
/// what the upstream gets to read of its first answer.
async fn conversation(
    gate: &Gate,
    path: &str,
    first: Value,
    go_on: impl Fn(&mut Value, &Value),
) -> (Value, Vec<Value>, Value) {
    let upstream = thinking_aloud(gate).await;
    let answer = gate.post(path, &first).send().await.expect("an answer");
    let whole: Value = answer.json().await.expect("JSON");
    let mut live = first.clone();
    live["stream"] = true.into();
    let answer = gate.post(path, &live).send().await.expect("an answer");
    let told = events(&answer.text().await.expect("a body"));
    let mut next = first;
    go_on(&mut next, &whole);
    let answer = gate.post(path, &next).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);

    let rows = gate.ended(3).await;
    let price = 100 * INPUT_NANOS + 10 * OUTPUT_NANOS;
    assert!(rows.iter().all(|row| row.charge.nanos() == price));
    let asked = upstream.requests().pop().expect("a request").body;
    upstream.stop().await;
    (whole, told, asked["messages"][1]["content"].clone())
}

#[tokio::test]
async fn thoughts_within_the_text_are_blocks_of_messages_and_go_back_into_the_text() {
    let gate = Gate::open().await;
    let first = json!({"model": "aloud", "max_tokens": 900, "thinking": {"type": "adaptive"},
                       "messages": [{"role": "user", "content": "weather?"}]});

    let (whole, told, returned) = conversation(&gate, MESSAGES, first, |next, whole| {
        let turns = next["messages"].as_array_mut().expect("turns");
        turns.push(json!({"role": "assistant", "content": whole["content"]}));
        turns.push(json!({"role": "user", "content": "and then?"}));
    })
    .await;

    assert_eq!(whole["content"][0]["thinking"], "Need weather.", "{whole}");
    assert_eq!(whole["content"][1]["text"], "Sunny.", "{whole}");
    let joined = |field: &str| -> String {
        let pieces = told.iter().map(|event| &event["delta"][field]);
        pieces.filter_map(Value::as_str).collect()
    };
    assert_eq!(joined("thinking"), "Need weather.", "{told:?}");
    assert_eq!(joined("text"), "Sunny.", "{told:?}");
    assert_eq!(returned, ALOUD);
    gate.finish().await;
}

#[tokio::test]
async fn thoughts_within_the_text_are_items_of_responses_and_go_back_into_the_text() {
    let gate = Gate::open().await;
    let first = json!({"model": "aloud", "max_output_tokens": 900, "reasoning": {"effort": "high"}, "store": false,
                       "include": ["reasoning.encrypted_content"], "input": [{"role": "user", "content": "weather?"}]});

    let (whole, told, returned) = conversation(&gate, RESPONSES, first, |next, whole| {
        let items = next["input"].as_array_mut().expect("items");
        items.extend(whole["output"].as_array().expect("output").iter().cloned());
        items.push(json!({"role": "user", "content": "and then?"}));
    })
    .await;

    assert_eq!(whole["output"][0]["type"], "reasoning", "{whole}");
    assert!(whole["output"][0].to_string().contains("Need weather."));
    assert_eq!(whole["output"][1]["content"][0]["text"], "Sunny.");
    let of = |kind: &str| told.iter().find(|event| event["type"] == kind).cloned();
    let words = of("response.output_text.done").expect("words");
    assert_eq!(words["text"], "Sunny.", "{told:?}");
    assert_eq!(returned, ALOUD);
    gate.finish().await;
}
