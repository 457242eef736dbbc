//! Counting tokens: by Anthropic where the call would go there, by our own estimate elsewhere, and for nothing.

use entity::{ChannelId, Platform, Scoped, channel, group, model, usage};
use reqwest::{Method, Response};
use sea_orm::{ColumnTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

use crate::support::{
    gate::{Gate, KEY, refusal},
    upstream::{Answer, Upstream},
};

const COUNT: &str = "/v1/messages/count_tokens";

fn question(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "one two three four"}], "future": {"a": 1}})
}

async fn count(gate: &Gate, body: &Value) -> Response {
    gate.post(COUNT, body).send().await.expect("an answer")
}

async fn json_of(response: Response) -> Value {
    assert_eq!(response.status(), 200);
    response.json().await.expect("JSON")
}

async fn calls(gate: &Gate) -> u64 {
    usage::Entity::of(gate.buyer.tenant)
        .count(gate.till.db.read())
        .await
        .expect("usage reads")
}

#[tokio::test]
async fn anthropic_counts_what_would_go_to_anthropic_and_nothing_is_charged() {
    let counted = json!({"input_tokens": 14, "context_management": {"original_input_tokens": 20}});
    let upstream = Upstream::start([Answer::json(200, &counted)]);
    let gate = Gate::open().await;
    gate.add_upstream(channel::Kind::Anthropic, &upstream.base, "claude")
        .await;
    let before = gate.available().await;

    let answer = gate
        .bare(Method::POST, "/messages/count_tokens/")
        .header("x-api-key", KEY)
        .header("anthropic-version", "2026-10-21")
        .header("anthropic-beta", "token-counting-2024-11-01")
        .header("x-surprise", "1")
        .json(&question("claude"))
        .send()
        .await
        .expect("an answer");

    assert_eq!(json_of(answer).await, counted);
    let asked = upstream.requests().pop().expect("one request");
    assert_eq!(asked.path, COUNT);
    assert_eq!(asked.header("x-api-key"), "sk-upstream");
    assert_eq!(asked.header("anthropic-version"), "2026-10-21");
    assert_eq!(asked.header("anthropic-beta"), "token-counting-2024-11-01");
    assert_eq!(asked.header("x-surprise"), "");
    assert_eq!(asked.body, question("upstream-claude"), "no field is added");
    assert_eq!(gate.available().await, before);
    assert_eq!(calls(&gate).await, 0);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn every_other_upstream_gets_a_tokenizers_count_and_a_tenth_or_the_groups_factor() {
    // Ten tokens a sentence, which are twelve by its letters.
    let sentences = ["The quick brown fox jumps over the lazy dog."; 100].join(" ");
    let upstream = Upstream::start([Answer::json(500, &json!({}))]);
    let gate = Gate::open().await;
    gate.add_upstream(channel::Kind::Openai, &upstream.base, "gpt")
        .await;
    let mut longer = question("gpt");
    longer["system"] = json!(sentences);
    let tokens = async |body: &Value| {
        let counted = json_of(count(&gate, body).await).await;
        assert_eq!(counted.as_object().map(serde_json::Map::len), Some(1));
        counted["input_tokens"].as_u64().expect("a number")
    };

    let few = tokens(&question("gpt")).await;
    let many = tokens(&longer).await;
    let sandbox = tokens(&question("sandbox/echo")).await;
    let every = group::Entity::change();
    gate.change(every, group::Column::CountedPpm, 2_000_000_i64)
        .await;
    let doubled = tokens(&longer).await;

    assert!((5..20).contains(&few), "{few}");
    assert!((few + 1_100..few + 1_105).contains(&many), "{many}");
    assert!(sandbox.abs_diff(few) < 5, "{sandbox}");
    assert_eq!((doubled * 11).div_ceil(20), many);
    assert_eq!(upstream.requests().len(), 0);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_count_that_does_not_come_is_estimated_and_the_channel_stays_in_use() {
    let cold =
        json!({"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}});
    let account = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}});
    let unknown = json!({"detail": "Not Found"});
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 3, "output_tokens": 1},
    });
    let upstream = Upstream::start([
        Answer::json(429, &cold),
        Answer::json(400, &account),
        Answer::json(404, &unknown),
        Answer::json(200, &json!({"input_tokens": -3})),
        Answer::json(200, &message),
    ]);
    let gate = Gate::open().await;
    gate.add_upstream(channel::Kind::Anthropic, &upstream.base, "claude")
        .await;

    let mut counts = Vec::new();
    for _ in 0..4 {
        counts.push(json_of(count(&gate, &question("claude")).await).await);
    }
    let call = gate
        .post("/v1/messages", &question("claude"))
        .send()
        .await
        .expect("an answer");

    assert!(
        counts.iter().all(|counted| counted == &counts[0]),
        "{counts:?}"
    );
    assert!(counts[0]["input_tokens"].as_u64() > Some(4));
    assert_eq!(call.status(), 200);
    assert_eq!(upstream.requests().len(), 5);
    gate.ended(1).await;
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_fault_of_the_request_passes_with_its_words() {
    let fault = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens: Extra inputs are not permitted"}});
    let upstream = Upstream::start([Answer::json(400, &fault)]);
    let gate = Gate::open().await;
    gate.add_upstream(channel::Kind::Anthropic, &upstream.base, "claude")
        .await;

    let answer = count(&gate, &question("claude")).await;

    assert_eq!(answer.status(), 400);
    assert_eq!(answer.json::<Value>().await.expect("JSON"), fault);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn refusals_are_those_of_messages_and_neither_balance_nor_policy_counts() {
    let gate = Gate::open_with(|config| config.body_limit = 4_096).await;
    gate.spend_all().await;
    let only = group::Entity::change();
    gate.change(only, group::Column::Clients, r#"["codex"]"#)
        .await;
    gate.add_model("orphan", model::Kind::Chat).await;

    let broke = count(&gate, &question("sandbox/echo")).await;
    let unknown = count(&gate, &question("sandbox/ecko")).await;
    let body: Value = unknown.json().await.expect("JSON");
    let orphan = refusal(count(&gate, &question("orphan")).await).await;
    let embeds = refusal(count(&gate, &question("sandbox/embedding")).await).await;
    let nothing = refusal(count(&gate, &json!({"model": "sandbox/echo"})).await).await;
    let mut large = question("sandbox/echo");
    large["system"] = json!("x".repeat(5_000));
    let large = refusal(count(&gate, &large).await).await;
    let keyless = gate
        .bare(Method::POST, COUNT)
        .json(&question("sandbox/echo"))
        .send()
        .await
        .expect("an answer");
    let keyless = refusal(keyless).await;
    gate.suspend_tenant().await;
    let suspended = refusal(count(&gate, &question("sandbox/echo")).await).await;

    assert_eq!(broke.status(), 200);
    assert_eq!(body["type"], "error");
    assert_eq!(body["error"]["type"], "not_found_error");
    assert_eq!((orphan.0, orphan.1.as_str()), (503, "no_channel"));
    assert_eq!((embeds.0, embeds.1.as_str()), (400, "invalid_request"));
    assert_eq!((nothing.0, nothing.1.as_str()), (400, "invalid_request"));
    assert_eq!((large.0, large.1.as_str()), (413, "request_too_large"));
    assert_eq!((keyless.0, keyless.1.as_str()), (401, "missing_key"));
    assert_eq!(
        (suspended.0, suspended.1.as_str()),
        (403, "tenant_suspended")
    );
    gate.finish().await;
}

#[tokio::test]
async fn a_flood_of_questions_ends_in_429_and_leaves_calls_alone() {
    let gate = Gate::open().await;
    let body = question("sandbox/echo");

    let mut counted = 0;
    let refused = loop {
        let answer = count(&gate, &body).await;
        if answer.status() != 200 {
            break refusal(answer).await;
        }
        counted += 1;
        assert!(counted <= 300, "no end of it");
    };
    let call = gate
        .post("/v1/messages", &body)
        .send()
        .await
        .expect("an answer");

    assert_eq!((refused.0, refused.1.as_str()), (429, "rate_limited"));
    assert_eq!(counted, 300);
    assert_eq!(call.status(), 200);
    gate.ended(1).await;
    gate.finish().await;
}

#[tokio::test]
async fn a_sandbox_channel_in_front_is_not_asked_upstream() {
    let upstream = Upstream::start([Answer::json(200, &json!({"input_tokens": 1}))]);
    let gate = Gate::open().await;
    let claude = gate
        .add_upstream(channel::Kind::Anthropic, &upstream.base, "claude")
        .await;
    let spare = ChannelId::fresh();
    gate.add_channel(spare, channel::Kind::Sandbox, "").await;
    gate.serve(spare, "claude", "sandbox/echo").await;
    let behind = channel::Entity::change().filter(channel::Column::Id.eq(claude));
    gate.change(behind, channel::Column::Priority, 9_i64).await;

    let counted = json_of(count(&gate, &question("claude")).await).await;

    assert!(counted["input_tokens"].as_u64() > Some(1));
    assert_eq!(upstream.requests().len(), 0);
    upstream.stop().await;
    gate.finish().await;
}
