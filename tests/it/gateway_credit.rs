//! Calls on few credits: many at once, holds that grow with the answer, and answers that end where the credits do.

use entity::{
    Credits, ModelId, Scoped,
    channel::Kind,
    hold, model,
    usage::{Finish, Outcome, Quality},
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    gate::{Gate, INPUT_NANOS, OUTPUT_NANOS, refusal},
    upstream::{Answer, Upstream},
};

const CHAT: &str = "/v1/chat/completions";
const CREDIT: i64 = 1_000_000_000;

fn asking(model: &str, max_tokens: u64) -> Value {
    json!({"model": model, "max_tokens": max_tokens, "stream": true,
           "messages": [{"role": "user", "content": "one two three"}], "input": "one two three"})
}

/// A chat stream of so many words, which reports so much usage.
fn chat_stream(words: usize, input: i64, output: i64, finish: &str) -> Answer {
    let mut events: Vec<String> = (0..words)
        .map(|_| {
            r#"{"choices":[{"index":0,"delta":{"content":"word"},"finish_reason":null}]}"#
                .to_owned()
        })
        .collect();
    events
        .push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}).to_string());
    events.push(
        json!({"choices": [], "usage": {"prompt_tokens": input, "completion_tokens": output}})
            .to_string(),
    );
    events.push("[DONE]".to_owned());
    let pieces: Vec<String> = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    Answer::stream(&pieces)
}

/// The tenant has so much and nothing else.
async fn left_with(gate: &Gate, nanos: i64) {
    gate.spend_all().await;
    gate.grant(Credits::from_nanos(nanos)).await;
}

/// What the upstream of a model was asked with, and what the client got.
async fn stream(gate: &Gate, path: &str, body: &Value) -> String {
    let answer = gate.post(path, body).send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.expect("a body")
}

#[tokio::test]
async fn eight_calls_that_ask_for_much_and_use_little_are_all_served_on_one_credit() {
    let gate = Gate::open_with(|config| config.idle = std::time::Duration::from_secs(20)).await;
    let (input, output) = (2_000, 1_200);
    let cost = input * INPUT_NANOS + output * 15_000;
    assert_eq!(cost, CREDIT / 50);
    let served = || chat_stream(5, input, output, "stop");
    let script = (0..8).map(|_| served().wait_first()).chain([served()]);
    let upstream = Upstream::start(script);
    gate.add_model_with("large", model::Kind::Chat, 64_000, 15_000)
        .await;
    gate.add_upstream(Kind::Openai, &upstream.base, "large")
        .await;
    left_with(&gate, CREDIT).await;

    let body = asking("large", 64_000);
    let calls: Vec<_> = (0..8)
        .map(|_| tokio::spawn(gate.post(CHAT, &body).send()))
        .collect();
    gate.until("all eight run at once", || async {
        upstream.requests().len() == 8
    })
    .await;
    (0..8).for_each(|_| upstream.release());
    for call in join_all(calls).await {
        let answer = call.expect("no panic").expect("an answer");
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.expect("a body");
        assert!(text.ends_with("data: [DONE]\n\n"), "none is cut: {text}");
    }

    let rows = gate.ended(8).await;
    for row in &rows {
        assert_eq!((row.finish, row.charge.nanos()), (Finish::Complete, cost));
    }
    for asked in upstream.requests() {
        assert_eq!(asked.body["max_tokens"], 64_000, "no limit was lowered");
    }
    assert_eq!(gate.available().await.nanos(), CREDIT - 8 * cost);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn ninety_nine_hundredths_of_a_wallet_can_be_spent() {
    let gate = Gate::open().await;
    let all = CREDIT / 10;
    left_with(&gate, all).await;

    let calls = [(CHAT, "max_tokens"), ("/v1/responses", "max_output_tokens")];
    for (path, field) in calls.into_iter().cycle() {
        let body = json!({"model": "sandbox/story", "messages": [{"role": "user", "content": "hi"}],
                          "input": "hi", field: 1_000});
        let answer = gate.post(path, &body).send().await.expect("an answer");
        if answer.status() != 200 {
            let (status, code, _) = refusal(answer).await;
            assert_eq!((status, code.as_str()), (402, "insufficient_credits"));
            break;
        }
    }

    let left = gate.available().await.nanos();
    assert!((0..=all / 100).contains(&left), "{left} of {all}");
    gate.finish().await;
}

#[tokio::test]
async fn what_cannot_be_paid_is_not_asked_for_and_its_end_is_called_by_its_name() {
    let gate = Gate::open().await;
    let table = [
        (CHAT, "max_tokens", "\"finish_reason\":\"length\""),
        (
            "/v1/responses",
            "max_output_tokens",
            "\"reason\":\"max_output_tokens\"",
        ),
        (
            "/v1/messages",
            "max_tokens",
            "\"stop_reason\":\"max_tokens\"",
        ),
    ];
    let mut calls = 0;

    for (path, field, upstreams_word) in table {
        for streamed in [true, false] {
            left_with(&gate, 900_000).await;
            let body = json!({"model": "sandbox/story", "stream": streamed, field: 1_000,
                              "messages": [{"role": "user", "content": "hi"}], "input": "hi"});

            let text = stream(&gate, path, &body).await;

            assert!(
                text.contains("credit_exhausted"),
                "{path} {streamed}: {text}"
            );
            assert!(!text.contains(upstreams_word), "{path} {streamed}: {text}");
            calls += 1;
            let row = gate.ended(calls).await.pop().expect("a row");
            assert_eq!(
                (row.finish, row.quality),
                (Finish::CreditExhausted, Quality::Exact),
                "{path} {streamed}"
            );
            assert!((256..450).contains(&row.output_tokens), "{row:?}");
            assert_eq!(
                row.charge.nanos(),
                row.input_tokens * INPUT_NANOS + row.output_tokens * OUTPUT_NANOS
            );
            assert!(row.charge <= row.hold_amount);
        }
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_translated_request_without_a_limit_gets_that_of_its_credits() {
    let gate = Gate::open().await;
    gate.add_model_with("large", model::Kind::Chat, 64_000, OUTPUT_NANOS)
        .await;
    let upstream = Upstream::start([chat_stream(3, 10, 3, "stop")]);
    gate.add_upstream(Kind::OpenaiCompatible, &upstream.base, "large")
        .await;
    let body = json!({"model": "large", "stream": true, "input": "one two three"});

    left_with(&gate, 4_000_000).await;
    stream(&gate, "/v1/responses", &body).await;
    gate.grant(Credits::from_nanos(CREDIT)).await;
    stream(&gate, "/v1/responses", &body).await;

    let asked = upstream.requests();
    let limit = asked[0].body["max_completion_tokens"].as_u64();
    assert!(
        limit.is_some_and(|limit| (256..2_000).contains(&limit)),
        "{limit:?}"
    );
    assert_eq!(asked[1].body["max_completion_tokens"], Value::Null);
    gate.ended(2).await;
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn half_a_tool_call_is_not_begun() {
    let gate = Gate::open().await;
    gate.add_model_with("large", model::Kind::Chat, 64_000, OUTPUT_NANOS)
        .await;
    let upstream = Upstream::start([chat_stream(3, 10, 3, "stop")]);
    gate.add_upstream(Kind::Openai, &upstream.base, "large")
        .await;
    left_with(&gate, 4_000_000).await;
    let mut body = asking("large", 64_000);
    body["stream"] = false.into();
    body["tools"] = json!([{"type": "function", "function": {"name": "look"}}]);

    let refused = refusal(gate.post(CHAT, &body).send().await.expect("an answer")).await;
    body["tools"] = json!([]);
    body["stream"] = true.into();
    let text = stream(&gate, CHAT, &body).await;

    assert_eq!(
        (refused.0, refused.1.as_str()),
        (402, "insufficient_credits")
    );
    assert!(text.ends_with("data: [DONE]\n\n"));
    let asked = upstream.requests();
    assert_eq!(asked.len(), 1);
    let limit = asked[0].body["max_tokens"].as_u64().expect("a limit");
    assert!((256..2_000).contains(&limit), "{limit}");
    upstream.stop().await;
    gate.finish().await;
}

/// Makes the gateway expect three tokens of output of a model.
async fn teach_brevity(gate: &Gate, upstream: &Upstream, model: &str) -> ModelId {
    gate.add_model_with(model, model::Kind::Chat, 64_000, OUTPUT_NANOS)
        .await;
    gate.add_upstream(Kind::Openai, &upstream.base, model).await;
    for _ in 0..20 {
        stream(gate, CHAT, &asking(model, 64_000)).await;
    }
    gate.model(model).await.id
}

#[tokio::test]
async fn a_hold_for_what_is_expected_grows_with_the_answer() {
    let gate = Gate::open().await;
    let script = (0..20).map(|_| chat_stream(3, 10, 3, "stop"));
    let upstream =
        Upstream::start(script.chain([chat_stream(3_000, 10, 3_000, "stop").wait_before_last()]));
    let model = teach_brevity(&gate, &upstream, "brief").await;

    let answer = gate
        .post(CHAT, &asking("brief", 64_000))
        .send()
        .await
        .expect("an answer");
    gate.until("the hold has grown", || async {
        let open = hold::Entity::of(gate.buyer.tenant)
            .one(gate.till.db.read())
            .await
            .expect("holds read");
        open.is_some_and(|open| {
            assert_eq!((open.model_id, open.expected_output), (model, Some(3)));
            open.amount.nanos() >= 3_000 * OUTPUT_NANOS
        })
    })
    .await;
    upstream.release();
    let text = answer.text().await.expect("a body");

    assert!(text.ends_with("data: [DONE]\n\n"));
    let row = gate.ended(21).await.pop().expect("a row");
    assert_eq!(
        (row.outcome, row.finish, row.quality),
        (Outcome::Settled, Finish::Complete, Quality::Exact)
    );
    assert_eq!(row.charge.nanos(), 10 * INPUT_NANOS + 3_000 * OUTPUT_NANOS);
    assert!(row.charge <= row.hold_amount, "nothing ran over");
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn an_answer_that_outgrows_the_credits_ends_with_an_error_event_and_is_charged() {
    let gate = Gate::open().await;
    let long = || chat_stream(5_000, 10, 5_000, "stop").then_hang();
    let script = (0..20).map(|_| chat_stream(3, 10, 3, "stop"));
    let upstream = Upstream::start(script.chain([long()]));
    teach_brevity(&gate, &upstream, "brief").await;
    left_with(&gate, 3_000_000).await;

    let text = stream(&gate, CHAT, &asking("brief", 64_000)).await;

    let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
    assert!(last.contains("\"code\":\"credit_exhausted\""), "{last}");
    assert!(last.contains("/console/redeem"), "{last}");
    let row = gate.ended(21).await.pop().expect("a row");
    assert_eq!(
        (row.finish, row.quality),
        (Finish::CreditExhausted, Quality::Counted)
    );
    assert_eq!(row.hold_amount.nanos(), 3_000_000, "it grew to the last");
    let left = gate.available().await.nanos();
    assert!((0..=30_000).contains(&left), "99 of 100 are spent: {left}");
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn an_answer_of_several_is_paid_for_until_the_last_of_them_has_ended() {
    let gate = Gate::open().await;
    let chunk = |index: u64, word: &str, finish: Value| {
        let delta = json!({"content": word});
        let choice = json!({"index": index, "delta": delta, "finish_reason": finish});
        format!("data: {}\n\n", json!({"choices": [choice]}))
    };
    let report = |output: u64| {
        let usage = json!({"prompt_tokens": 10, "completion_tokens": output});
        format!(
            "data: {}\n\ndata: [DONE]\n\n",
            json!({"choices": [], "usage": usage})
        )
    };
    let long = [
        vec![
            chunk(0, "short", Value::Null),
            chunk(1, "long", Value::Null),
            chunk(0, "", json!("stop")),
        ],
        vec![chunk(1, &"word ".repeat(100), Value::Null); 200],
        vec![chunk(1, "", json!("stop")), report(20_002)],
    ]
    .concat();
    let short = [
        chunk(0, "a", json!("stop")),
        chunk(1, "b", json!("stop")),
        report(2),
    ];
    let stream_of = |pieces: &[String]| {
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        Answer::stream(&pieces)
    };
    let upstream = Upstream::start([stream_of(&long), stream_of(&short)]);
    gate.add_model_with("several", model::Kind::Chat, 32_000, OUTPUT_NANOS)
        .await;
    gate.add_upstream(Kind::Openai, &upstream.base, "several")
        .await;
    left_with(&gate, 12_000_000).await;
    let mut body = asking("several", 32_000);
    body["n"] = json!(2);

    let cut = stream(&gate, CHAT, &body).await;
    gate.grant(Credits::from_nanos(CREDIT)).await;
    let whole = stream(&gate, CHAT, &body).await;

    assert!(cut.contains("credit_exhausted"), "{}", cut.len());
    assert!(whole.ends_with("data: [DONE]\n\n"), "{whole}");
    let rows = gate.ended(2).await;
    assert_eq!(
        (rows[0].finish, rows[0].quality),
        (Finish::CreditExhausted, Quality::Counted)
    );
    assert!(rows[0].charge.nanos() <= 12_000_000, "{}", rows[0].charge);
    assert_eq!(
        (rows[1].quality, rows[1].charge.nanos()),
        (Quality::Exact, 10 * INPUT_NANOS + 2 * OUTPUT_NANOS)
    );
    upstream.stop().await;
    gate.finish().await;
}
