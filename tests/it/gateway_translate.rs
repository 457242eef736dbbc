//! Any client on any upstream: what each of the six pairs of protocols makes of requests and streams here, of whole answers,
//! refusals and thoughts in the files beside, and that the charge is the price of what the upstream itself reports.

mod form;
mod halves;
mod pause;
mod pause_bill;
mod refusal;
mod strict;
mod thought;
mod whole;

use std::{fmt::Display, fs, path::Path};

use entity::{
    Platform,
    channel::Kind,
    model,
    usage::{Finish, Outcome, Quality},
};
use sea_orm::{ColumnTrait, QueryFilter};
use serde_json::{Value, json};

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

/// A stream of these events.
fn frames(events: &[impl Display]) -> Answer {
    let frames: Vec<String> = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    Answer::stream(&frames)
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
        // After the first word, in the middle of the next event.
        let word = broken.find("Par").expect("a word");
        let next = broken[word..].find("\n\n").expect("an end") + word + 2;
        let cut = &broken[..next + 20];
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
