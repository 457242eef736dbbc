//! A group that rather refuses a request than leaves out what its answer depends on.

use entity::{Platform, channel::Kind, group};
use sea_orm::{ColumnTrait, QueryFilter};
use serde_json::{Value, json};

use super::{CHAT, MESSAGES, RESPONSES, whole_answer};
use crate::support::{
    gate::Gate,
    upstream::{Answer, Upstream},
};

async fn set(gate: &Gate, strict: bool) {
    let update = group::Entity::change().filter(group::Column::Id.eq(gate.group));
    gate.change(update, group::Column::StrictTranslation, strict)
        .await;
}

#[tokio::test]
async fn a_strict_group_refuses_what_would_be_left_out_and_holds_nothing_for_it() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([Answer::json(200, &whole_answer(MESSAGES))]);
    gate.add_upstream(Kind::Anthropic, &upstream.base, "claude-opus-4-8")
        .await;
    let said = json!([{"role": "user", "content": "q"}]);
    let by_chat =
        json!({"model": "claude-opus-4-8", "messages": said, "seed": 7, "metadata": {"a": "b"}});

    let lenient = gate.post(CHAT, &by_chat).send().await.expect("an answer");
    assert_eq!(lenient.status(), 200);
    assert_eq!(lenient.headers()["x-gateway-dropped"], "seed, metadata");
    gate.ended(1).await;
    let before = gate.available().await;

    set(&gate, true).await;
    let refused = gate.post(CHAT, &by_chat).send().await.expect("an answer");

    assert_eq!(refused.status(), 400);
    assert!(!refused.headers().contains_key("x-gateway-dropped"));
    let body: Value = refused.json().await.expect("JSON");
    assert_eq!(body["error"]["type"], "invalid_request_error", "{body}");
    assert_eq!(body["error"]["param"], "seed", "{body}");
    let words = body["error"]["message"].as_str().expect("words");
    assert!(words.contains("leave `seed` out of the request"), "{words}");
    assert_eq!(gate.available().await, before);
    assert_eq!(gate.ended_so_far().await, 1);
    assert_eq!(upstream.requests().len(), 1);
    let kept = gate.rejections(1).await;
    assert_eq!(
        kept.iter().map(|row| row.code.as_str()).collect::<Vec<_>>(),
        ["invalid_request"]
    );

    // What nobody misses is still left out and named.
    let mut mild = by_chat.clone();
    mild.as_object_mut().expect("an object").remove("seed");
    let served = gate.post(CHAT, &mild).send().await.expect("an answer");
    assert_eq!(served.status(), 200);
    assert_eq!(served.headers()["x-gateway-dropped"], "metadata");

    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_strict_group_names_the_field_as_its_caller_wrote_it() {
    let gate = Gate::open().await;
    set(&gate, true).await;
    let upstream = Upstream::start([Answer::json(200, &whole_answer(CHAT))]);
    gate.add_upstream(Kind::OpenaiCompatible, &upstream.base, "m")
        .await;
    let said = json!([{"role": "user", "content": "q"}]);
    let function = json!({"type": "function", "name": "f", "parameters": {"type": "object"}});
    let by_responses =
        json!({"model": "m", "input": said, "tools": [function, {"type": "web_search"}]});
    let by_messages = json!({"model": "m", "messages": said, "max_tokens": 100, "top_k": 3});

    let refused = gate.post(RESPONSES, &by_responses).send().await;
    let body: Value = refused.expect("an answer").json().await.expect("JSON");
    assert_eq!(body["error"]["param"], "tools[1]", "{body}");

    let refused = gate.post(MESSAGES, &by_messages).send().await;
    let body: Value = refused.expect("an answer").json().await.expect("JSON");
    let words = body["error"]["message"].as_str().expect("words");
    assert_eq!(body["error"]["type"], "invalid_request_error", "{body}");
    assert!(words.starts_with("`top_k` cannot be carried"), "{words}");

    assert_eq!(upstream.requests().len(), 0);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_strict_group_sends_such_a_request_to_a_channel_of_its_own_protocol() {
    let gate = Gate::open().await;
    set(&gate, true).await;
    let foreign = Upstream::start([Answer::json(200, &whole_answer(MESSAGES))]);
    let native = Upstream::start([Answer::json(200, &whole_answer(CHAT))]);
    let first = gate.add_upstream(Kind::Anthropic, &foreign.base, "m").await;
    let second = gate
        .add_upstream(Kind::OpenaiCompatible, &native.base, "m")
        .await;
    gate.prefer(first, second).await;
    let said = json!([{"role": "user", "content": "q"}]);
    let plain = json!({"model": "m", "messages": said});
    let seeded = json!({"model": "m", "messages": said, "seed": 7});

    for (request, asked) in [(&seeded, (0, 1)), (&plain, (1, 1))] {
        let served = gate.post(CHAT, request).send().await.expect("an answer");
        assert_eq!(served.status(), 200, "{request}");
        let counts = (foreign.requests().len(), native.requests().len());
        assert_eq!(counts, asked, "{request}");
    }
    assert_eq!(native.requests()[0].body["seed"], 7);

    foreign.stop().await;
    native.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_stop_of_white_space_that_an_upstream_does_not_take_still_ends_the_answer() {
    let gate = Gate::open().await;
    set(&gate, true).await;
    let answer = json!({"id": "m", "type": "message", "role": "assistant", "model": "M", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "one END two\nthree"}], "usage": {"input_tokens": 5, "output_tokens": 6}});
    let upstream = Upstream::start([Answer::json(200, &answer)]);
    gate.add_upstream(Kind::Anthropic, &upstream.base, "claude-opus-4-8")
        .await;

    for (stop, told) in [
        (json!("\n"), json!(null)),
        (json!([" \t", "\n", "STOP"]), json!(["STOP"])),
    ] {
        let request = json!({"model": "claude-opus-4-8", "stop": stop,
            "messages": [{"role": "user", "content": "q"}]});
        let served = gate.post(CHAT, &request).send().await.expect("an answer");

        assert_eq!(served.status(), 200, "{stop}");
        assert!(!served.headers().contains_key("x-gateway-dropped"));
        let body: Value = served.json().await.expect("JSON");
        let choice = &body["choices"][0];
        assert_eq!(choice["message"]["content"], "one END two", "{stop}");
        assert_eq!(choice["finish_reason"], "stop", "{stop}");
        let asked = upstream.requests().pop().expect("a request");
        assert_eq!(asked.body["stop_sequences"], told, "{stop}");
    }
    upstream.stop().await;
    gate.finish().await;
}
