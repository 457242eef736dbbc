//! Whole answers of any upstream for any client: what arrives, and what the upstream is asked for.

use std::time::Duration;

use entity::{channel::Kind, usage::Quality};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    CHAT, MESSAGES, PAIRS, RESPONSES, ask_for_more, price, request, sample, sample_json, serve,
    stream, whole_answer,
};
use crate::support::{
    gate::{CACHED_NANOS, Gate, INPUT_NANOS, OUTPUT_NANOS},
    upstream::{Answer, Upstream},
};

/// Text, thought, calls and stop word of a whole answer.
fn read_whole(client: &str, body: &Value) -> Value {
    let args = |text: &Value| -> Value {
        serde_json::from_str(text.as_str().expect("arguments")).expect("JSON")
    };
    match client {
        CHAT => {
            let message = &body["choices"][0]["message"];
            let calls = message["tool_calls"].as_array().expect("calls").iter();
            let calls: Vec<Value> = calls
                .map(|call| {
                    json!([
                        call["id"],
                        call["function"]["name"],
                        args(&call["function"]["arguments"])
                    ])
                })
                .collect();
            json!([
                message["content"],
                message["reasoning_content"],
                calls,
                body["choices"][0]["finish_reason"] == "tool_calls",
                body["usage"]["prompt_tokens"]
            ])
        }
        RESPONSES => {
            let output = body["output"].as_array().expect("items");
            let calls: Vec<Value> = output
                .iter()
                .filter(|item| item["type"] == "function_call")
                .map(|call| json!([call["call_id"], call["name"], args(&call["arguments"])]))
                .collect();
            let of = |kind: &str| {
                output
                    .iter()
                    .find(|item| item["type"] == kind)
                    .expect("an item")
            };
            json!([
                of("message")["content"][0]["text"],
                of("reasoning")["summary"][0]["text"],
                calls,
                body["status"] == "completed",
                body["usage"]["input_tokens"]
            ])
        }
        _ => {
            let content = body["content"].as_array().expect("blocks");
            let calls: Vec<Value> = content
                .iter()
                .filter(|block| block["type"] == "tool_use")
                .map(|call| json!([call["id"], call["name"], call["input"]]))
                .collect();
            let of = |kind: &str| {
                content
                    .iter()
                    .find(|block| block["type"] == kind)
                    .expect("a block")
            };
            let usage = &body["usage"];
            let input = usage["input_tokens"].as_u64().expect("input")
                + usage["cache_read_input_tokens"].as_u64().expect("cached");
            json!([
                of("text")["text"],
                of("thinking")["thinking"],
                calls,
                body["stop_reason"] == "tool_use",
                input
            ])
        }
    }
}

#[tokio::test]
async fn whole_answers_arrive_in_the_callers_protocol_and_cost_the_same() {
    let gate = Gate::open().await;

    for (number, pair) in (1_u64..).zip(PAIRS) {
        let upstream = Upstream::start([Answer::json(200, &whole_answer(pair.upstream))]);
        serve(&gate, pair, &upstream, pair.name).await;

        let answer = gate
            .post(pair.client, &request(pair, pair.name, false))
            .send()
            .await
            .expect("an answer");

        assert_eq!(answer.status(), 200, "{}", pair.name);
        let body: Value = answer.json().await.expect("JSON");
        let calls = json!([["call_A", "get_weather", {"city": "Oslo"}], ["call_B", "get_weather", {"city": "Rome"}]]);
        let expected = json!(["Checking.", "Hm.", calls, true, 1200]);
        assert_eq!(
            read_whole(pair.client, &body),
            expected,
            "{}: {body}",
            pair.name
        );
        assert_eq!(body["model"], pair.name, "the caller's own name for it");
        let row = gate.ended(number).await.pop().expect("a row");
        let price = 176 * INPUT_NANOS + 1024 * CACHED_NANOS + 40 * OUTPUT_NANOS;
        assert_eq!((row.charge.nanos(), row.quality), (price, Quality::Exact));
        let asked = upstream.requests().pop().expect("one request");
        assert_eq!(asked.path, pair.upstream);
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_long_whole_answer_is_asked_for_as_a_stream_and_put_together() {
    let gate = Gate::open().await;

    for (number, pair) in (1_u64..).zip(PAIRS) {
        let folder = format!("translate/{}/streams/03_parallel_tools", pair.name);
        let expected = sample_json(&format!("{folder}/expect.json"));
        let upstream = Upstream::start([stream(&sample(&format!("{folder}/upstream.sse")))]);
        serve(&gate, pair, &upstream, pair.name).await;
        let mut request = request(pair, pair.name, false);
        ask_for_more(&gate, pair, &mut request, 4_000).await;
        request["service_tier"] = "auto".into();
        request["store"] = true.into();
        let tools = request["tools"].as_array_mut().expect("tools");
        if pair.client != MESSAGES {
            tools.push(json!({"type": "odd\r\nx-evil: 1 \u{4e16}"}));
        }

        let answer = gate
            .post(pair.client, &request)
            .send()
            .await
            .expect("an answer");

        assert_eq!(answer.status(), 200, "{}", pair.name);
        let dropped = answer.headers().get("x-gateway-dropped").cloned();
        let text = answer.text().await.expect("a body");
        let tools = expected["tools"].as_array().expect("tools");
        for tool in tools {
            assert!(text.contains(tool["id"].as_str().expect("an id")), "{text}");
        }
        assert!(
            text.contains("Oslo") && text.contains("Rome") && text.contains("Checking."),
            "{text}"
        );
        let body: Value = serde_json::from_str(&text).expect("one document");
        assert_eq!(body["model"], pair.name);
        let asked = upstream.requests().pop().expect("one request");
        assert_eq!(asked.body["stream"], true);
        if pair.client == CHAT {
            let dropped = dropped.expect("a header");
            let dropped = dropped.to_str().expect("text");
            assert!(
                dropped.contains("store") && dropped.contains("odd??x-evil"),
                "{dropped}"
            );
        }
        let row = gate.ended(number).await.pop().expect("a row");
        assert_eq!(
            (row.charge.nanos(), row.quality),
            (price(&expected["usage"]), Quality::Exact)
        );
        assert!(!row.streamed);
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn only_an_answer_that_may_be_long_is_asked_for_as_a_stream() {
    let gate = Gate::open().await;

    for pair in PAIRS {
        let whole = || Answer::json(200, &whole_answer(pair.upstream));
        let upstream = Upstream::start([whole(), whole()]);
        serve(&gate, pair, &upstream, pair.name).await;
        for (most, streams) in [(1_024, false), (1_025, true)] {
            let mut request = json!({"model": pair.name});
            let said = json!([{"role": "user", "content": "hi"}]);
            request[if pair.client == RESPONSES {
                "input"
            } else {
                "messages"
            }] = said;
            ask_for_more(&gate, pair, &mut request, most).await;

            let answer = gate.post(pair.client, &request).send();

            let answer = answer.await.expect("an answer");
            let status = answer.status();
            let told = answer.text().await.expect("a body");
            assert_eq!(status, 200, "{} {most}: {told}", pair.name);
            let asked = upstream.requests().pop().expect("a request");
            let asked = asked.body["stream"].as_bool().unwrap_or(false);
            assert_eq!(asked, streams, "{} {most}", pair.name);
        }
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn an_upstream_that_only_streams_is_asked_for_a_stream_after_all() {
    let gate = Gate::open().await;
    let refusals = [
        json!({"error": {"message": "This model only support stream mode, please enable the stream parameter.",
                         "type": "invalid_request_error", "code": "invalid_parameter_error"}}),
        json!({"detail": "Stream must be set to true"}),
    ];
    let ways = PAIRS.into_iter().zip(refusals.iter().cycle());

    for (number, (pair, refusal)) in (1_u64..).zip(ways) {
        let answered = format!(
            "translate/{}/streams/03_parallel_tools/upstream.sse",
            pair.name
        );
        let upstream = Upstream::start([Answer::json(400, refusal), stream(&sample(&answered))]);
        serve(&gate, pair, &upstream, pair.name).await;

        let answer = gate.post(pair.client, &request(pair, pair.name, false));

        let answer = answer.send().await.expect("an answer");
        let status = answer.status();
        let told = answer.text().await.expect("a body");
        assert_eq!(status, 200, "{}: {told}", pair.name);
        assert!(told.contains("Oslo") && told.contains("Rome"), "{told}");
        let asked: Vec<_> = upstream
            .requests()
            .iter()
            .map(|asked| asked.body["stream"].as_bool().unwrap_or(false))
            .collect();
        assert_eq!(asked, [false, true], "{}", pair.name);
        let row = gate.ended(number).await.pop().expect("a row");
        assert!(row.charge.is_positive(), "{}", pair.name);
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_refusal_that_speaks_of_streams_is_told_once_it_is_repeated() {
    let gate = Gate::open().await;
    let refusal = json!({"error": {"message": "The stream of tools is odd", "type": "invalid_request_error"}});
    for (pair, streamed) in PAIRS.into_iter().zip([false, true].into_iter().cycle()) {
        let upstream = Upstream::start([Answer::json(400, &refusal)]);
        serve(&gate, pair, &upstream, pair.name).await;

        let answer = gate.post(pair.client, &request(pair, pair.name, streamed));

        let answer = answer.send().await.expect("an answer");
        assert_eq!(answer.status(), 400, "{}", pair.name);
        let told = answer.text().await.expect("a body");
        assert!(told.contains("The stream of tools is odd"), "{told}");
        let tries = if streamed { 1 } else { 2 };
        assert_eq!(upstream.requests().len(), tries, "{}", pair.name);
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_given_up_while_its_caller_still_waits() {
    let gate = Gate::open_with(|config| {
        config.first_byte = Duration::from_millis(100);
        config.idle = Duration::from_millis(100);
    })
    .await;
    let upstream = Upstream::start([Answer::json(200, &whole_answer(MESSAGES)).wait_first()]);
    gate.add_upstream(Kind::Anthropic, &upstream.base, "silent")
        .await;
    let request = json!({"model": "silent", "max_completion_tokens": 4,
        "messages": [{"role": "user", "content": "hi"}]});

    let answer = gate.post(CHAT, &request).send();

    let answer = timeout(Duration::from_secs(20), answer).await;
    let answer = answer.expect("in time").expect("an answer");
    assert_eq!(answer.status(), 503);
    assert_eq!(upstream.requests()[0].body["stream"], Value::Null);
    upstream.release();
    upstream.stop().await;
    gate.finish().await;
}
