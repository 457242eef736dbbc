//! Any client on any upstream: what each of the six pairs of protocols makes of requests, answers, streams and errors,
//! and that the charge is the price of what the upstream itself reports.

use std::{fs, path::Path, time::Duration};

use entity::{
    Platform,
    channel::Kind,
    model,
    usage::{Finish, Outcome, Quality},
};
use sea_orm::{ColumnTrait, QueryFilter};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{
    gate::{CACHED_NANOS, Gate, INPUT_NANOS, OUTPUT_NANOS, WRITTEN_NANOS, refusal},
    upstream::{Answer, Upstream},
};

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";

/// One way from a client's protocol to an upstream's.
#[derive(Clone, Copy)]
struct Pair {
    /// The folder of its samples.
    name: &'static str,
    client: &'static str,
    upstream: &'static str,
    kind: Kind,
}

const PAIRS: [Pair; 6] = [
    Pair {
        name: "chat_to_messages",
        client: CHAT,
        upstream: MESSAGES,
        kind: Kind::Anthropic,
    },
    Pair {
        name: "chat_to_responses",
        client: CHAT,
        upstream: RESPONSES,
        kind: Kind::Openai,
    },
    Pair {
        name: "responses_to_chat",
        client: RESPONSES,
        upstream: CHAT,
        kind: Kind::OpenaiCompatible,
    },
    Pair {
        name: "responses_to_messages",
        client: RESPONSES,
        upstream: MESSAGES,
        kind: Kind::Anthropic,
    },
    Pair {
        name: "messages_to_chat",
        client: MESSAGES,
        upstream: CHAT,
        kind: Kind::OpenaiCompatible,
    },
    Pair {
        name: "messages_to_responses",
        client: MESSAGES,
        upstream: RESPONSES,
        kind: Kind::Openai,
    },
];

fn sample(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/fixtures");
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn sample_json(path: &str) -> Value {
    serde_json::from_str(&sample(path)).expect("a sample is JSON")
}

/// The names of the samples in a folder.
fn samples(folder: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/fixtures");
    let mut names: Vec<String> = fs::read_dir(root.join(folder))
        .expect("samples")
        .map(|entry| {
            let name = entry.expect("an entry").file_name();
            name.to_string_lossy().into_owned()
        })
        .collect();
    names.sort();
    names
}

/// A stream as it may arrive: in pieces that do not respect events.
fn stream(text: &str) -> Answer {
    let letters: Vec<char> = text.chars().collect();
    let pieces: Vec<String> = letters
        .chunks(301)
        .map(|piece| piece.iter().collect())
        .collect();
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    Answer::stream(&pieces)
}

/// Serves a model through a channel of the pair's upstream alone.
async fn serve(gate: &Gate, pair: Pair, upstream: &Upstream, name: &str) {
    gate.add_upstream(pair.kind, &upstream.base, name).await;
    if pair.name == "chat_to_responses" {
        let update = model::Entity::change().filter(model::Column::Name.eq(name));
        let words = json!({"responses_only": true}).to_string();
        gate.change(update, model::Column::Capabilities, words)
            .await;
    }
}

/// The sample request with tools, pictures and answered calls, asked of a model.
fn request(pair: Pair, model: &str, streamed: bool) -> Value {
    let path = format!(
        "translate/{}/requests/01_tools_images/client.json",
        pair.name
    );
    let mut request = sample_json(&path);
    request["model"] = model.into();
    request["stream"] = streamed.into();
    if pair.client == CHAT && streamed {
        request["stream_options"] = json!({"include_usage": true});
    }
    request
}

/// Lets a model answer at length, and asks it to.
async fn ask_for_more(gate: &Gate, pair: Pair, request: &mut Value, most: i64) {
    let update = model::Entity::change().filter(model::Column::Name.eq(pair.name));
    gate.change(update, model::Column::MaxOutput, 8_000_i64)
        .await;
    let limit = match pair.client {
        CHAT => "max_completion_tokens",
        RESPONSES => "max_output_tokens",
        _ => "max_tokens",
    };
    request[limit] = most.into();
}

/// The price of usage in the samples' form.
fn price(usage: &Value) -> i64 {
    let count = |class: &str| usage[class].as_i64().expect("a count");
    count("fresh") * INPUT_NANOS
        + count("cache_read") * CACHED_NANOS
        + count("cache_write") * WRITTEN_NANOS
        + count("output") * OUTPUT_NANOS
}

/// The JSON documents of a stream's events.
fn events(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter_map(|data| serde_json::from_str(data).ok())
        .collect()
}

/// What a client reads in a stream: text, thoughts, arguments of calls in their order, and the last word.
fn spoken(client: &str, text: &str) -> (String, String, Vec<String>, String) {
    let (mut said, mut thought, mut last) = (String::new(), String::new(), String::new());
    let mut calls: Vec<String> = Vec::new();
    let piece = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for event in events(text) {
        if client == CHAT {
            let choice = &event["choices"][0];
            said += &piece(&choice["delta"]["content"]);
            thought += &piece(&choice["delta"]["reasoning_content"]);
            for call in choice["delta"]["tool_calls"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let index =
                    usize::try_from(call["index"].as_u64().expect("an index")).expect("small");
                calls.resize(calls.len().max(index + 1), String::new());
                calls[index] += &piece(&call["function"]["arguments"]);
            }
            if let Some(reason) = choice["finish_reason"].as_str() {
                reason.clone_into(&mut last);
            }
            continue;
        }
        match event["type"].as_str().expect("a type") {
            "response.output_text.delta" => said += &piece(&event["delta"]),
            "response.reasoning_summary_text.delta" => thought += &piece(&event["delta"]),
            "response.function_call_arguments.done" => calls.push(piece(&event["arguments"])),
            "content_block_start" if event["content_block"]["type"] == "tool_use" => {
                calls.push(String::new());
            }
            "content_block_delta" => {
                said += &piece(&event["delta"]["text"]);
                thought += &piece(&event["delta"]["thinking"]);
                if let Some(call) = calls.last_mut() {
                    *call += &piece(&event["delta"]["partial_json"]);
                }
            }
            "message_delta" => last = piece(&event["delta"]["stop_reason"]),
            kind @ ("response.completed" | "response.incomplete" | "response.failed" | "error") => {
                kind.clone_into(&mut last);
            }
            _ => {}
        }
    }
    (said, thought, calls, last)
}

/// The last word of a stream that ended so.
fn last_word(client: &str, finish: &str) -> &'static str {
    match (client, finish) {
        (CHAT, "tools") => "tool_calls",
        (CHAT, "length") => "length",
        (CHAT, _) => "stop",
        (MESSAGES, "tools") => "tool_use",
        (MESSAGES, "length") => "max_tokens",
        (MESSAGES, _) => "end_turn",
        (_, "length") => "response.incomplete",
        _ => "response.completed",
    }
}

#[tokio::test]
async fn every_stream_arrives_in_the_callers_protocol_and_costs_what_the_upstream_reports() {
    let gate = Gate::open().await;
    let mut calls = 0;

    for pair in PAIRS {
        let folder = format!("translate/{}/streams", pair.name);
        for name in samples(&folder) {
            let expected = sample_json(&format!("{folder}/{name}/expect.json"));
            if !expected["error"].is_null() {
                continue;
            }
            let upstream =
                Upstream::start([stream(&sample(&format!("{folder}/{name}/upstream.sse")))]);
            let model = format!("{}-{name}", pair.name);
            serve(&gate, pair, &upstream, &model).await;

            let answer = gate
                .post(pair.client, &request(pair, &model, true))
                .send()
                .await
                .expect("an answer");

            assert_eq!(answer.status(), 200, "{model}");
            let text = answer.text().await.expect("a body");
            let (said, thought, args, last) = spoken(pair.client, &text);
            assert_eq!(said, expected["text"], "{model}: {text}");
            assert_eq!(thought, expected["reasoning"], "{model}: {text}");
            let tools = expected["tools"].as_array().expect("tools");
            let wanted: Vec<&str> = tools
                .iter()
                .filter_map(|tool| tool["args"].as_str())
                .collect();
            assert_eq!(args, wanted, "{model}: {text}");
            let finish = expected["finish"].as_str().expect("a finish");
            assert_eq!(last, last_word(pair.client, finish), "{model}: {text}");
            calls += 1;
            let row = gate.ended(calls).await.pop().expect("a row");
            assert_eq!(row.charge.nanos(), price(&expected["usage"]), "{model}");
            assert_eq!(
                (row.quality, row.finish),
                (Quality::Exact, Finish::Complete)
            );
            let asked = upstream.requests().pop().expect("one request");
            assert_eq!(asked.path, pair.upstream);
            let sent = asked.body.to_string();
            assert!(
                sent.contains("iVBORw0KGgo") && sent.contains("call_B"),
                "{sent}"
            );
            assert_eq!(asked.body["model"], format!("upstream-{model}"));
            assert_eq!(asked.body["stream"], true);
            upstream.stop().await;
        }
    }
    gate.finish().await;
}

/// A whole answer with a thought, text and two calls at once, in an upstream's protocol.
fn whole_answer(upstream: &str) -> Value {
    match upstream {
        CHAT => {
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{
            "index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": "Checking.",
            "reasoning_content": "Hm.", "tool_calls": [
                {"id": "call_A", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Oslo\"}"}},
                {"id": "call_B", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Rome\"}"}}]}}],
            "usage": {"prompt_tokens": 1200, "completion_tokens": 40, "total_tokens": 1240,
                "prompt_tokens_details": {"cached_tokens": 1024}}})
        }
        RESPONSES => {
            json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m",
            "output": [
                {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "enc"},
                {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
                 "content": [{"type": "output_text", "text": "Checking.", "annotations": []}]},
                {"id": "fc_1", "type": "function_call", "call_id": "call_A", "name": "get_weather", "arguments": "{\"city\":\"Oslo\"}"},
                {"id": "fc_2", "type": "function_call", "call_id": "call_B", "name": "get_weather", "arguments": "{\"city\":\"Rome\"}"}],
            "usage": {"input_tokens": 1200, "output_tokens": 40, "total_tokens": 1240,
                "input_tokens_details": {"cached_tokens": 1024, "cache_write_tokens": 0}}})
        }
        _ => {
            json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
                {"type": "text", "text": "Checking."},
                {"type": "tool_use", "id": "call_A", "name": "get_weather", "input": {"city": "Oslo"}},
                {"type": "tool_use", "id": "call_B", "name": "get_weather", "input": {"city": "Rome"}}],
            "stop_reason": "tool_use", "stop_sequence": null,
            "usage": {"input_tokens": 176, "cache_read_input_tokens": 1024, "cache_creation_input_tokens": 0, "output_tokens": 40}})
        }
    }
}

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

#[tokio::test]
async fn an_upstream_that_fails_in_mid_stream_is_told_in_the_callers_protocol() {
    let gate = Gate::open().await;
    let mut calls = 0;

    for pair in PAIRS {
        let path = format!(
            "translate/{}/streams/09_midstream_error/upstream.sse",
            pair.name
        );
        let broken = match pair.upstream {
            RESPONSES => sample("native/responses/09_failed.sse"),
            _ => sample(&path),
        };
        let cut = &broken[..broken.find("Par").expect("a word") + 20];
        for (ending, finish) in [
            (broken.as_str(), Finish::UpstreamError),
            (cut, Finish::UpstreamCut),
        ] {
            let upstream = Upstream::start([stream(ending)]);
            let model = format!("{}-{finish:?}", pair.name);
            serve(&gate, pair, &upstream, &model).await;

            let answer = gate
                .post(pair.client, &request(pair, &model, true))
                .send()
                .await
                .expect("an answer");

            let text = answer.text().await.expect("a body");
            let (_, _, _, last) = spoken(pair.client, &text);
            match pair.client {
                CHAT => assert!(
                    text.contains("data: {\"error\":{") && !text.contains("[DONE]"),
                    "{text}"
                ),
                RESPONSES => assert_eq!(last, "response.failed", "{text}"),
                _ => assert_eq!(last, "error", "{text}"),
            }
            if pair.client == RESPONSES {
                let ids: Vec<Value> = events(&text)
                    .iter()
                    .filter(|event| event["response"].is_object())
                    .map(|event| event["response"]["id"].clone())
                    .collect();
                assert!(
                    ids.len() > 2 && ids.iter().all(|id| *id == ids[0]),
                    "{text}"
                );
            }
            calls += 1;
            let row = gate.ended(calls).await.pop().expect("a row");
            assert_eq!(
                (row.outcome, row.finish),
                (Outcome::Settled, finish),
                "{model}"
            );
            assert_ne!(row.quality, Quality::Exact);
            upstream.stop().await;
        }
    }
    gate.finish().await;
}

/// The error that an upstream gives to a prompt which is too long.
fn too_long(upstream: &str) -> Answer {
    let sample = if upstream == MESSAGES {
        sample_json("native/errors/anthropic_400_context.json")
    } else {
        sample_json("native/errors/openai_400_context.json")
    };
    Answer::json(400, &sample["body"])
}

#[tokio::test]
async fn errors_of_the_request_pass_in_the_callers_envelope_and_errors_of_the_account_never() {
    let gate = Gate::open().await;

    for pair in PAIRS {
        let unknown_key = json!({"error": {"type": "authentication_error", "code": "invalid_api_key",
                                           "message": "Incorrect API key provided: sk-up."}});
        let busy = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
        let table = [
            (too_long(pair.upstream), 400),
            (Answer::json(529, &busy), 503),
            (Answer::json(429, &busy), 503),
            (Answer::json(401, &unknown_key), 503),
        ];
        for (number, (bad, status)) in table.into_iter().enumerate() {
            let upstream = Upstream::start([bad]);
            let model = format!("{}-{number}", pair.name);
            serve(&gate, pair, &upstream, &model).await;
            let before = gate.available().await;

            let answer = gate
                .post(pair.client, &request(pair, &model, number % 2 == 0))
                .send()
                .await
                .expect("an answer");

            assert_eq!(answer.status(), status, "{model}");
            let body: Value = answer.json().await.expect("JSON");
            let text = body.to_string();
            assert!(!text.contains("sk-up"), "{text}");
            if status == 400 && pair.client == MESSAGES {
                let message = body["error"]["message"].as_str().expect("a message");
                assert!(message.starts_with("prompt is too long"), "{text}");
                assert_eq!(body["error"]["type"], "invalid_request_error");
                assert_eq!(body["type"], "error");
            } else if status == 400 {
                assert_eq!(body["error"]["code"], "context_length_exceeded", "{text}");
            }
            assert_eq!(gate.available().await, before, "{model}");
            upstream.stop().await;
        }
    }
    gate.finish().await;
}

#[tokio::test]
async fn what_no_upstream_can_carry_is_refused_at_its_field() {
    let gate = Gate::open().await;

    for pair in PAIRS {
        let upstream = Upstream::start([Answer::json(200, &whole_answer(pair.upstream))]);
        serve(&gate, pair, &upstream, pair.name).await;
        for name in samples(&format!("translate/{}/rejects", pair.name)) {
            let sample = sample_json(&format!("translate/{}/rejects/{name}", pair.name));
            let mut request = sample["client"].clone();
            request["model"] = pair.name.into();

            let answer = gate
                .post(pair.client, &request)
                .send()
                .await
                .expect("an answer");

            assert_eq!(answer.status(), 400, "{request}");
            let body: Value = answer.json().await.expect("JSON");
            let field = sample["expect"]["param"].as_str().expect("a field");
            if pair.client == MESSAGES {
                let message = body["error"]["message"].as_str().expect("a message");
                assert!(message.contains(field), "{message}");
            } else {
                assert_eq!(body["error"]["param"], field, "{body}");
            }
        }
        assert_eq!(upstream.requests().len(), 0, "{}", pair.name);
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_channel_that_speaks_the_callers_protocol_goes_first_and_a_translation_takes_over() {
    let gate = Gate::open().await;
    let failing = Upstream::start([Answer::json(500, &json!({"error": {"message": "boom"}}))]);
    let working = Upstream::start([Answer::json(200, &whole_answer(MESSAGES))]);
    gate.add_upstream(Kind::Anthropic, &working.base, "both")
        .await;
    gate.add_upstream(Kind::OpenaiCompatible, &failing.base, "both")
        .await;
    let request = json!({"model": "both", "messages": [{"role": "user", "content": "hi"}]});

    let answer = gate.post(CHAT, &request).send().await.expect("an answer");

    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body["choices"][0]["message"]["content"], "Checking.");
    assert_eq!((failing.requests().len(), working.requests().len()), (1, 1));
    gate.ended(1).await;
    failing.stop().await;
    working.stop().await;
    gate.finish().await;
}

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
async fn an_embedding_is_never_translated() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([Answer::json(200, &json!({}))]);
    let channel = gate
        .add_upstream(Kind::Anthropic, &upstream.base, "claude")
        .await;
    gate.add_model("vectors", model::Kind::Embedding).await;
    gate.serve(channel, "vectors", "vectors").await;

    let answer = gate
        .post("/v1/embeddings", &json!({"model": "vectors", "input": "x"}))
        .send()
        .await
        .expect("an answer");

    let (status, code, _) = refusal(answer).await;
    assert_eq!((status, code.as_str()), (503, "no_channel"));
    assert_eq!(upstream.requests().len(), 0);
    upstream.stop().await;
    gate.finish().await;
}
