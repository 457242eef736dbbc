//! What a call costs, to the nano-credit, on every endpoint, streamed and not.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::support::{
    gate::{CACHED_NANOS, Gate, INPUT_NANOS, OUTPUT_NANOS, WRITTEN_NANOS},
    upstream::{Answer, Upstream},
};
use entity::{
    channel::Kind,
    usage::{Finish, Outcome, Quality},
};

/// The four endpoints with a request of three words each, and how many words come back.
fn requests() -> Vec<(&'static str, Value, i64)> {
    let messages = json!([{"role": "user", "content": "one two three"}]);
    vec![
        (
            "/v1/chat/completions",
            json!({"model": "sandbox/echo", "messages": messages}),
            3,
        ),
        (
            "/v1/responses",
            json!({"model": "sandbox/echo", "input": "one two three"}),
            3,
        ),
        (
            "/v1/messages",
            json!({"model": "sandbox/echo", "messages": messages, "max_tokens": 50}),
            3,
        ),
        (
            "/v1/embeddings",
            json!({"model": "sandbox/embedding", "input": "one two three"}),
            0,
        ),
    ]
}

#[tokio::test]
async fn every_endpoint_charges_exactly_what_was_used() {
    let gate = Gate::open().await;
    let mut calls = 0;

    for (path, request, output) in requests() {
        for streamed in [false, true] {
            let mut request = request.clone();
            request["stream"] = streamed.into();
            let before = gate.available().await.nanos();

            let answer = gate.post(path, &request).send().await.expect("an answer");

            assert_eq!(answer.status(), 200, "{path} {streamed}");
            let text = answer.text().await.expect("a body");
            assert!(!text.is_empty(), "{path} {streamed}");
            let spent = before - gate.available().await.nanos();
            let expected = 3 * INPUT_NANOS + output * OUTPUT_NANOS;
            assert_eq!(spent, expected, "{path} {streamed}: {text}");
            calls += 1;
            let row = gate.ended(calls).await.pop().expect("a row");
            assert_eq!(row.charge.nanos(), expected);
            assert_eq!(
                (row.outcome, row.quality, row.finish),
                (Outcome::Settled, Quality::Exact, Finish::Complete)
            );
            assert_eq!((row.input_tokens, row.output_tokens), (3, output));
            assert_eq!(row.streamed, streamed && output > 0);
        }
    }
    gate.finish().await;
}

#[tokio::test]
async fn embeddings_without_a_model_use_the_usual_one() {
    let gate = Gate::open().await;

    let answer = gate
        .post("/v1/embeddings", &json!({"input": ["one two", "three"]}))
        .send()
        .await
        .expect("an answer");

    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body["data"].as_array().map(Vec::len), Some(2));
    let row = gate.ended(1).await.pop().expect("a row");
    assert_eq!(row.model_id, gate.model("text-embedding-3-small").await.id);
    gate.finish().await;
}

const CHAT: &[&str] = &[
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":1200,\"completion_tokens\":4,\"total_tokens\":1204,\"prompt_tokens_details\":{\"cached_tokens\":1024}}}\n\n",
    "data: [DONE]\n\n",
];
const RESPONSES: &[&str] = &[
    "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\"}}\n\n",
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n",
    "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"usage\":{\"input_tokens\":1200,\"output_tokens\":4,\"input_tokens_details\":{\"cached_tokens\":1024,\"cache_write_tokens\":0}}}}\n\n",
];
const MESSAGES: &[&str] = &[
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":100,\"cache_creation_input_tokens\":76,\"cache_read_input_tokens\":1024,\"output_tokens\":1}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":4}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
];

#[tokio::test]
async fn real_protocols_pass_unchanged_and_are_charged_by_class() {
    let gate = Gate::open().await;
    let table = [
        (
            Kind::Openai,
            "/v1/chat/completions",
            "/v1/chat/completions",
            CHAT,
            176 * INPUT_NANOS + 1024 * CACHED_NANOS + 4 * OUTPUT_NANOS,
        ),
        (
            Kind::Openai,
            "/v1/responses",
            "/v1/responses",
            RESPONSES,
            176 * INPUT_NANOS + 1024 * CACHED_NANOS + 4 * OUTPUT_NANOS,
        ),
        (
            Kind::Anthropic,
            "/v1/messages",
            "/v1/messages",
            MESSAGES,
            100 * INPUT_NANOS + 76 * WRITTEN_NANOS + 1024 * CACHED_NANOS + 4 * OUTPUT_NANOS,
        ),
    ];

    for (number, (kind, path, upstream_path, pieces, charge)) in (1_u64..).zip(table) {
        let upstream = Upstream::start([Answer::stream(pieces)]);
        let model = format!("real-{number}");
        gate.add_upstream(kind, &upstream.base, &model).await;
        let request = json!({"model": model, "stream": true, "max_tokens": 40, "odd": {"kept": 1.0},
                             "messages": [{"role": "user", "content": "x".repeat(5_000)}], "input": "x".repeat(5_000),
                             "stream_options": {"include_usage": true}});

        let answer = gate.post(path, &request).send().await.expect("an answer");

        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.text().await.expect("a body"), pieces.concat());
        let row = gate.ended(number).await.pop().expect("a row");
        assert_eq!(row.charge.nanos(), charge, "{path}");
        assert_eq!(row.quality, Quality::Exact);
        let asked = upstream.requests().pop().expect("one request");
        assert_eq!(asked.path, upstream_path);
        assert_eq!(asked.body["model"], format!("upstream-{model}"));
        assert_eq!(asked.body["odd"], json!({"kept": 1.0}));
        assert!(
            !asked
                .headers
                .iter()
                .any(|(_, value)| value.contains("sk-tg-"))
        );
        let secret = match kind {
            Kind::Anthropic => asked.header("x-api-key"),
            _ => asked.header("authorization"),
        };
        assert!(secret.ends_with("sk-upstream"), "{secret}");
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn usage_is_asked_for_upstream_and_kept_from_a_client_that_did_not_ask() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([Answer::stream(CHAT)]);
    gate.add_upstream(Kind::OpenaiCompatible, &upstream.base, "real")
        .await;
    let request =
        json!({"model": "real", "stream": true, "messages": [{"role": "user", "content": "hi"}]});

    let answer = gate
        .post("/v1/chat/completions", &request)
        .send()
        .await
        .expect("an answer");

    let text = answer.text().await.expect("a body");
    assert!(!text.contains("prompt_tokens"), "{text}");
    assert!(text.ends_with("data: [DONE]\n\n"));
    let asked = upstream.requests().pop().expect("one request");
    assert_eq!(asked.body["stream_options"]["include_usage"], true);
    assert_eq!(gate.ended(1).await[0].quality, Quality::Exact);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn embeddings_come_in_batches_sizes_and_forms_as_asked() {
    let gate = Gate::open().await;
    let ask = async |body: Value| -> Value {
        let answer = gate.post("/v1/embeddings", &body).send().await;
        answer.expect("an answer").json().await.expect("JSON")
    };

    let batch = ask(json!({"model": "sandbox/embedding", "input": ["one two", "three", [1, 2, 3]], "dimensions": 8})).await;
    let packed = ask(json!({"model": "sandbox/embedding", "input": "one two", "dimensions": 8, "encoding_format": "base64"})).await;

    let data = batch["data"].as_array().expect("vectors");
    let places: Vec<_> = data.iter().map(|one| one["index"].clone()).collect();
    assert_eq!(places, [0, 1, 2]);
    assert_eq!(batch["usage"]["prompt_tokens"], 6);
    let floats: Vec<f64> = serde_json::from_value(data[0]["embedding"].clone()).expect("floats");
    let bytes = BASE64_STANDARD
        .decode(packed["data"][0]["embedding"].as_str().expect("text"))
        .expect("base64");
    let unpacked: Vec<f64> = bytes
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes(four.try_into().expect("four")).into())
        .collect();
    assert_eq!(floats.len(), 8);
    let near = |(one, other): (&f64, &f64)| (one - other).abs() < 1e-6;
    assert!(floats.iter().zip(&unpacked).all(near));
    let charges: Vec<_> = gate
        .ended(2)
        .await
        .iter()
        .map(|row| row.input_tokens)
        .collect();
    assert_eq!(charges, [6, 2]);
    gate.finish().await;
}

#[tokio::test]
async fn vectors_come_as_asked_from_an_upstream_that_knows_one_form_only() {
    let gate = Gate::open().await;
    let answer = |one: Value, two: Value| {
        let data = json!([{"object": "embedding", "index": 0, "embedding": one}, {"object": "embedding", "index": 1, "embedding": two}]);
        Answer::json(
            200,
            &json!({"object": "list", "data": data, "model": "e", "usage": {"prompt_tokens": 4, "total_tokens": 4}}),
        )
    };
    let floats = (json!([1.0, -0.5]), json!([0.25, 2.0]));
    // 1.0 is 00 00 80 3f, -0.5 is 00 00 00 bf, 0.25 is 00 00 80 3e and 2.0 is 00 00 00 40.
    let packed = (json!("AACAPwAAAL8="), json!("AACAPgAAAEA="));
    let table = [
        ("base64 of floats", json!("base64"), &floats, &packed),
        ("floats of base64", json!("float"), &packed, &floats),
        ("floats by default", json!(null), &packed, &floats),
        ("floats as they are", json!("float"), &floats, &floats),
        ("base64 as it is", json!("base64"), &packed, &packed),
        ("a form of the vendor's", json!("ubinary"), &packed, &packed),
    ];

    let mut calls = 0;
    for (what, form, said, heard) in table {
        let upstream = Upstream::start([answer(said.0.clone(), said.1.clone())]);
        let model = format!("embedding-{calls}");
        gate.add_model(&model, entity::model::Kind::Embedding).await;
        gate.add_upstream(Kind::OpenaiCompatible, &upstream.base, &model)
            .await;
        let body =
            json!({"model": model, "input": ["one two", "three four"], "encoding_format": form});

        let found = gate.post("/v1/embeddings", &body).send().await;

        let found: Value = found.expect("an answer").json().await.expect("JSON");
        let vectors = (
            found["data"][0]["embedding"].clone(),
            found["data"][1]["embedding"].clone(),
        );
        assert_eq!(&vectors, heard, "{what}");
        assert_eq!(found["usage"]["prompt_tokens"], 4, "{what}");
        assert_eq!(
            upstream.requests()[0].body["encoding_format"],
            form,
            "{what}"
        );
        calls += 1;
        let row = gate.ended(calls).await.pop().expect("a row");
        assert_eq!(row.charge.nanos(), 4 * INPUT_NANOS, "{what}");
        upstream.stop().await;
    }
    gate.finish().await;
}
