//! Upstreams that refuse, stall, break off, talk nonsense or miscount: what the client gets, and what it costs.

use std::time::Duration;

use entity::{
    Platform, channel,
    usage::{Finish, Outcome, Quality},
};
use sea_orm::{ColumnTrait, QueryFilter};
use serde_json::{Value, json};

use crate::support::{
    gate::{Gate, INPUT_NANOS, OUTPUT_NANOS, refusal},
    upstream::{Answer, Upstream},
};

const ENDPOINTS: [&str; 3] = ["/v1/chat/completions", "/v1/responses", "/v1/messages"];

fn asking(model: &str, streamed: bool) -> Value {
    json!({"model": model, "stream": streamed, "max_tokens": 50, "input": "one two three four",
           "messages": [{"role": "user", "content": "one two three four"}]})
}

fn chat_answer(text: &str) -> Value {
    json!({"id": "c", "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop",
           "message": {"role": "assistant", "content": text}}],
           "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}})
}

#[tokio::test]
async fn an_upstream_that_fails_before_its_first_byte_costs_nothing() {
    let gate = Gate::open().await;
    let before = gate.available().await;
    let mut calls = 0;

    for path in ENDPOINTS {
        for model in ["sandbox/error-500", "sandbox/garbage"] {
            for streamed in [false, true] {
                let answer = gate
                    .post(path, &asking(model, streamed))
                    .send()
                    .await
                    .expect("an answer");

                let retry = answer.headers().get("retry-after").cloned();
                let (status, code, message) = refusal(answer).await;
                assert_eq!(
                    (status, code.as_str()),
                    (503, "channels_failed"),
                    "{path} {model} {streamed}"
                );
                assert!(message.contains("Nothing was charged"));
                assert!(
                    !message.contains("sandbox fails"),
                    "an upstream's words stay inside"
                );
                assert!(retry.is_some());
                calls += 1;
                let row = gate.ended(calls).await.pop().expect("a row");
                assert_eq!(
                    (row.outcome, row.finish),
                    (Outcome::Voided, Finish::UpstreamError)
                );
                assert_eq!(gate.available().await, before);
            }
        }
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_request_that_the_upstream_refuses_is_told_so_in_its_own_words() {
    let gate = Gate::open().await;
    let words = json!({"type": "error", "error": {"type": "invalid_request_error",
                       "message": "prompt is too long: 210000 tokens > 200000 maximum"}});
    let upstream = Upstream::start([Answer::json(400, &words)]);
    gate.add_upstream(channel::Kind::Anthropic, &upstream.base, "claude-x")
        .await;

    let answer = gate
        .post("/v1/messages", &asking("claude-x", true))
        .send()
        .await
        .expect("an answer");

    assert_eq!(answer.status(), 400);
    assert_eq!(answer.json::<Value>().await.expect("JSON"), words);
    assert_eq!(
        upstream.requests().len(),
        1,
        "no other channel would take it"
    );
    assert_eq!(gate.ended(1).await[0].outcome, Outcome::Voided);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_refused_request_that_speaks_of_billing_leaves_its_channel_alone() {
    let gate = Gate::open().await;
    let words = json!({"error": {
        "message": "Invalid schema for function 'get_billing_info': ['api key'] is not of type 'object'.",
        "type": "invalid_request_error", "code": "invalid_function_parameters",
        "param": "tools[0].function.parameters"}});
    let upstream = Upstream::start([
        Answer::json(400, &words),
        Answer::json(200, &chat_answer("hi")),
    ]);
    gate.add_upstream(channel::Kind::Openai, &upstream.base, "real")
        .await;
    let ask = async || {
        gate.post(ENDPOINTS[0], &asking("real", false))
            .send()
            .await
            .expect("an answer")
    };

    let refused = ask().await;
    let next = ask().await;

    assert_eq!(refused.status(), 400);
    assert_eq!(refused.json::<Value>().await.expect("JSON"), words);
    assert_eq!(next.status(), 200, "the channel is not at fault");
    assert_eq!(gate.ended(2).await[0].outcome, Outcome::Voided);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn the_words_of_a_refusal_without_an_envelope_arrive_in_the_callers_own() {
    let gate = Gate::open().await;
    let table = [
        (
            json!({"object": "error", "message": "max_tokens is too large for sk-upstream", "type": "BadRequestError",
                   "param": null, "code": 400}),
            "max_tokens is too large for ***",
        ),
        (json!({"detail": "Unknown parameter"}), "Unknown parameter"),
        (
            json!({"detail": [{"loc": ["body", "messages"], "msg": "field required", "type": "missing"}]}),
            "body.messages: field required",
        ),
        (json!({}), "The upstream refused the request."),
    ];
    for (number, (said, words)) in table.into_iter().enumerate() {
        for status in [400, 422] {
            let upstream = Upstream::start([Answer::json(status, &said)]);
            let model = format!("plain-{number}-{status}");
            gate.add_upstream(channel::Kind::Openai, &upstream.base, &model)
                .await;
            for path in ENDPOINTS {
                let refused = gate
                    .post(path, &asking(&model, false))
                    .send()
                    .await
                    .expect("an answer");

                assert_eq!(refused.status(), status, "{path} {said}");
                let body: Value = refused.json().await.expect("JSON");
                let error = &body["error"];
                assert_eq!(error["type"], "invalid_request_error", "{path} {body}");
                let message = error["message"].as_str().expect("words");
                assert!(message.starts_with(words), "{path} {message}");
            }
            upstream.stop().await;
        }
    }
    gate.finish().await;
}

#[tokio::test]
async fn another_channel_takes_over_before_the_first_byte() {
    let gate = Gate::open().await;
    let table = [
        Answer::json(500, &json!({"error": {"message": "boom"}})),
        Answer::json(
            429,
            &json!({"error": {"message": "slow", "code": "rate_limit_exceeded"}}),
        )
        .header("retry-after", "7"),
        Answer::json(503, &json!({})),
        Answer::json(302, &json!({})).header("location", "http://169.254.169.254/"),
        Answer::json(200, &json!({"error": {"message": "an error in disguise"}})),
        Answer::stream(&["data: <html>\n\n"]),
    ];

    for (number, bad) in (1_u64..).zip(table) {
        let (failing, working) = (
            Upstream::start([bad]),
            Upstream::start([Answer::json(200, &chat_answer("hi"))]),
        );
        let model = format!("double-{number}");
        let first = gate
            .add_upstream(channel::Kind::Openai, &failing.base, &model)
            .await;
        let second = gate
            .add_upstream(channel::Kind::Openai, &working.base, &model)
            .await;
        gate.prefer(first, second).await;

        let answer = gate
            .post(ENDPOINTS[0], &asking(&model, false))
            .send()
            .await
            .expect("an answer");

        assert_eq!(answer.status(), 200, "{number}");
        let row = gate.ended(number).await.pop().expect("a row");
        assert_eq!(row.channel_id, Some(second));
        assert_eq!(row.charge.nanos(), 5 * INPUT_NANOS + 2 * OUTPUT_NANOS);
        assert_eq!((failing.requests().len(), working.requests().len()), (1, 1));
        failing.stop().await;
        working.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_channel_whose_secret_is_refused_is_switched_off_and_its_words_stay_inside() {
    let gate = Gate::open().await;
    let words = json!({"error": {"message": "Incorrect API key provided: sk-upstr***eam.", "code": "invalid_api_key"}});
    let upstream = Upstream::start([Answer::json(401, &words)]);
    let id = gate
        .add_upstream(channel::Kind::Openai, &upstream.base, "real")
        .await;

    let generation = gate.till.db.generation();

    let (status, code, message) = refusal(
        gate.post(ENDPOINTS[0], &asking("real", false))
            .send()
            .await
            .expect("an answer"),
    )
    .await;
    gate.until("the channel is off", || async {
        let row = channel::Entity::every()
            .filter(channel::Column::Id.eq(id))
            .one(gate.till.db.read())
            .await
            .expect("channels read")
            .expect("the channel is there");
        // The row is there a moment before its writer says so to the catalogue.
        row.status == channel::Status::Disabled && gate.till.db.generation() > generation
    })
    .await;
    let after = refusal(
        gate.post(ENDPOINTS[0], &asking("real", false))
            .send()
            .await
            .expect("an answer"),
    )
    .await;

    assert_eq!((status, code.as_str()), (503, "channels_failed"));
    assert!(!message.contains("sk-upstr"), "{message}");
    assert_eq!((after.0, after.1.as_str()), (503, "no_channel"));
    assert_eq!(upstream.requests().len(), 1);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_an_error_event_and_charges_what_was_delivered() {
    let gate = Gate::open().await;
    let ends = [
        "data: {\"error\":",
        "event: response.failed\n",
        "event: error\n",
    ];

    for (number, (path, end)) in (1_u64..).zip(ENDPOINTS.into_iter().zip(ends)) {
        let answer = gate
            .post(path, &asking("sandbox/cut", true))
            .send()
            .await
            .expect("an answer");

        assert_eq!(answer.status(), 200);
        let text = answer.text().await.expect("a body");
        let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
        assert!(last.starts_with(end), "{path}: {last}");
        assert!(
            last.contains("upstream_error") || last.contains("broke off"),
            "{last}"
        );
        let row = gate.ended(number).await.pop().expect("a row");
        assert_eq!(
            (row.outcome, row.finish, row.quality),
            (Outcome::Settled, Finish::UpstreamCut, Quality::Counted)
        );
        assert!(
            row.charge.is_positive() && row.charge <= row.hold_amount,
            "{path}"
        );
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_stalled_stream_gets_signs_of_life_and_then_an_end() {
    let gate = Gate::open().await;
    let signs = [": keep-alive\n", "event: keepalive\n", "event: ping\n"];

    for (number, (path, sign)) in (1_u64..).zip(ENDPOINTS.into_iter().zip(signs)) {
        let answer = gate
            .post(path, &asking("sandbox/stall", true))
            .send()
            .await
            .expect("an answer");

        let text = answer.text().await.expect("a body");
        assert!(text.matches(sign).count() >= 2, "{path}: {text}");
        assert!(text.contains("went silent"), "{path}: {text}");
        let row = gate.ended(number).await.pop().expect("a row");
        assert_eq!(
            (row.finish, row.quality),
            (Finish::Stalled, Quality::Counted)
        );
    }
    gate.finish().await;
}

#[tokio::test]
async fn an_answer_that_never_comes_is_given_up_without_a_charge() {
    let gate = Gate::open().await;

    let (status, code, _) = refusal(
        gate.post(ENDPOINTS[0], &asking("sandbox/stall", false))
            .send()
            .await
            .expect("an answer"),
    )
    .await;

    assert_eq!((status, code.as_str()), (503, "channels_failed"));
    assert_eq!(gate.ended(1).await[0].outcome, Outcome::Voided);
    gate.finish().await;
}

#[tokio::test]
async fn an_upstream_that_does_not_count_or_counts_nonsense_is_counted_for() {
    let gate = Gate::open().await;
    let mut calls = 0;

    for path in ENDPOINTS {
        for model in ["sandbox/no-usage", "sandbox/negative-usage"] {
            for streamed in [false, true] {
                let before = gate.available().await.nanos();

                let answer = gate
                    .post(path, &asking(model, streamed))
                    .send()
                    .await
                    .expect("an answer");

                assert_eq!(answer.status(), 200, "{path} {model} {streamed}");
                answer.text().await.expect("a body");
                calls += 1;
                let row = gate.ended(calls).await.pop().expect("a row");
                assert_eq!(
                    (row.finish, row.quality),
                    (Finish::Complete, Quality::Counted),
                    "{path} {model} {streamed}"
                );
                assert!(row.charge.is_positive() && row.charge <= row.hold_amount);
                assert_eq!(before - gate.available().await.nanos(), row.charge.nanos());
            }
        }
    }
    gate.finish().await;
}

#[tokio::test]
async fn absurd_usage_never_costs_more_than_was_held() {
    let gate = Gate::open().await;
    let mut absurd = chat_answer("hi");
    absurd["usage"] = json!({"prompt_tokens": 900_000_000, "completion_tokens": 1});
    let upstream = Upstream::start([Answer::json(200, &absurd)]);
    gate.add_upstream(channel::Kind::Openai, &upstream.base, "real")
        .await;

    let answer = gate
        .post(ENDPOINTS[0], &asking("real", false))
        .send()
        .await
        .expect("an answer");

    assert_eq!(answer.status(), 200);
    let row = gate.ended(1).await.pop().expect("a row");
    assert_eq!(row.quality, Quality::Counted);
    assert!(row.charge <= row.hold_amount);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_failure_in_the_middle_keeps_the_upstreams_words() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([Answer::stream(&[
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"Par\"}}\n\n",
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
    ])]);
    gate.add_upstream(channel::Kind::Anthropic, &upstream.base, "claude-x")
        .await;

    let answer = gate
        .post("/v1/messages", &asking("claude-x", true))
        .send()
        .await
        .expect("an answer");

    let text = answer.text().await.expect("a body");
    assert!(text.ends_with("\"message\":\"Overloaded\"}}\n\n"), "{text}");
    let row = gate.ended(1).await.pop().expect("a row");
    assert_eq!(
        (row.finish, row.quality),
        (Finish::UpstreamError, Quality::Counted)
    );
    assert_eq!(row.charge.nanos(), 10 * INPUT_NANOS + OUTPUT_NANOS);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_running_stream_ends_in_order_when_the_process_stops() {
    let gate = Gate::open_with(|config| config.idle = Duration::from_secs(30)).await;
    let mut answer = gate
        .post(ENDPOINTS[0], &asking("sandbox/stall", true))
        .send()
        .await
        .expect("an answer");
    answer.chunk().await.expect("a piece").expect("a piece");

    gate.gateway.stop();

    let mut rest = Vec::new();
    while let Some(piece) = answer.chunk().await.expect("the stream ends in order") {
        rest.extend_from_slice(&piece);
    }
    assert!(String::from_utf8_lossy(&rest).contains("\"code\":\"draining\""));
    let row = gate.ended(1).await.pop().expect("a row");
    assert_eq!(
        (row.outcome, row.finish),
        (Outcome::Settled, Finish::Shutdown)
    );
    gate.finish().await;
}
