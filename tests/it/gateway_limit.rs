//! What stops a call that could be made: no credits, a frozen wallet, a debt, a limit on how many run at once.

use billing::{
    cap::{Limit, SetCaps, Whose},
    plan::Window,
};
use entity::{Credits, Scoped, wallet};
use futures_util::future::join_all;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use crate::support::gate::{Gate, INPUT_NANOS, OUTPUT_NANOS, refusal};

const CHAT: &str = "/v1/chat/completions";

fn asking(max_tokens: u64) -> Value {
    json!({"model": "sandbox/echo", "max_tokens": max_tokens, "messages": [{"role": "user", "content": "one two three"}]})
}

#[tokio::test]
async fn a_call_that_may_cost_more_than_there_is_says_how_much_is_missing() {
    let gate = Gate::open().await;
    gate.spend_all().await;
    gate.grant(Credits::from_nanos(500_000)).await;

    let refused = refusal(
        gate.post(CHAT, &asking(1_000))
            .send()
            .await
            .expect("an answer"),
    )
    .await;
    let smaller = json!({"model": "sandbox/embedding", "input": "hi"});
    let served = gate
        .post("/v1/embeddings", &smaller)
        .send()
        .await
        .expect("an answer");

    assert_eq!(
        (refused.0, refused.1.as_str()),
        (402, "insufficient_credits")
    );
    assert!(refused.2.contains("0.0005 are available"), "{}", refused.2);
    assert_eq!(served.status(), 200, "what is affordable is served");
    gate.finish().await;
}

#[tokio::test]
async fn an_empty_wallet_is_402_in_every_protocol_and_never_retried() {
    let gate = Gate::open().await;
    let update = wallet::Entity::of_change(gate.buyer.tenant);
    gate.change(update, wallet::Column::Status, wallet::Status::Frozen)
        .await;
    let frozen = refusal(
        gate.post(CHAT, &asking(10))
            .send()
            .await
            .expect("an answer"),
    )
    .await;
    assert_eq!((frozen.0, frozen.1.as_str()), (403, "wallet_frozen"));
    let update = wallet::Entity::of_change(gate.buyer.tenant);
    gate.change(update, wallet::Column::Status, wallet::Status::Active)
        .await;

    gate.spend_all().await;
    for path in [CHAT, "/v1/responses", "/v1/messages", "/v1/embeddings"] {
        let body = json!({"model": if path == "/v1/embeddings" { "sandbox/embedding" } else { "sandbox/echo" }, "max_tokens": 50,
                          "input": "hi", "messages": [{"role": "user", "content": "hi"}]});
        let answer = gate.post(path, &body).send().await.expect("an answer");
        assert_eq!(
            answer
                .headers()
                .get("x-should-retry")
                .map(HeaderValue::as_bytes),
            Some(&b"false"[..])
        );
        let (status, code, message) = refusal(answer).await;
        assert_eq!(
            (status, code.as_str()),
            (402, "insufficient_credits"),
            "{path}"
        );
        assert!(message.contains("0 are available"), "{message}");
        assert!(
            message.contains("https://gate.example/console/"),
            "{message}"
        );
    }
    assert_eq!(gate.rejections(5).await.len(), 5);
    gate.finish().await;
}

#[tokio::test]
async fn two_hundred_calls_on_credits_for_three_serve_three() {
    let gate = Gate::open_with(|config| config.idle = std::time::Duration::from_secs(20)).await;
    gate.spend_all().await;
    let upstream =
        crate::support::upstream::Upstream::start([crate::support::upstream::Answer::json(
            200,
            &json!({"choices": [{"message": {"role": "assistant", "content": "ok"}}],
                "usage": {"prompt_tokens": 40, "completion_tokens": 100}}),
        )]);
    gate.add_upstream(entity::channel::Kind::Openai, &upstream.base, "dear")
        .await;
    let body = json!({"model": "dear", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]});
    let one = MARKERS * INPUT_NANOS + 100 * OUTPUT_NANOS;
    gate.grant(Credits::from_nanos(3 * one)).await;

    let answers = join_all((0..200).map(|_| gate.post(CHAT, &body).send())).await;

    let served = answers
        .iter()
        .filter(|answer| answer.as_ref().is_ok_and(|answer| answer.status() == 200))
        .count();
    let refused = answers
        .iter()
        .filter(|answer| answer.as_ref().is_ok_and(|answer| answer.status() == 402))
        .count();
    assert_eq!(served + refused, 200);
    let actual = 40 * INPUT_NANOS + 100 * OUTPUT_NANOS;
    let affordable = usize::try_from(3 * one / actual).expect("small");
    assert!((3..=affordable).contains(&served), "{served}");
    let spent = i64::try_from(served).expect("small") * actual;
    assert_eq!(gate.available().await.nanos(), 3 * one - spent);
    assert_eq!(
        upstream.requests().len(),
        served,
        "a refused call never reaches an upstream"
    );
    upstream.stop().await;
    gate.finish().await;
}

/// Sets limits of the tenant's key.
async fn cap(gate: &Gate, limits: Vec<Limit>) {
    let order = SetCaps {
        tenant: gate.buyer.tenant,
        whose: Whose::Key(gate.key),
        limits,
        actor: entity::Actor::System,
        reason: None,
    };
    billing::cap::set(&gate.till.db, order, gate.clock.now())
        .await
        .expect("limits are set");
}

#[tokio::test]
async fn a_keys_own_spend_cap_is_402_and_names_its_window_and_reset() {
    let gate = Gate::open().await;
    let all = 50_000_000;
    cap(
        &gate,
        vec![Limit::credits(Window::Month, Credits::from_nanos(all))],
    )
    .await;
    let body = json!({"model": "sandbox/story", "max_tokens": 1_000, "messages": [{"role": "user", "content": "hi"}]});

    let refused = loop {
        let answer = gate.post(CHAT, &body).send().await.expect("an answer");
        if answer.status() != 200 {
            break answer;
        }
    };

    assert_eq!(
        refused
            .headers()
            .get("x-should-retry")
            .map(HeaderValue::as_bytes),
        Some(&b"false"[..])
    );
    let (status, code, message) = refusal(refused).await;
    assert_eq!((status, code.as_str()), (402, "spend_cap_reached"));
    assert!(message.contains("API key per month"), "{message}");
    assert!(message.contains("of 0.05 credits"), "{message}");
    assert!(message.contains("2026-12-01 00:00 UTC"), "{message}");
    let spent = 10_000_000_000 - gate.available().await.nanos();
    assert!(
        (all - all * 2 / 100..=all).contains(&spent),
        "a window can be spent: {spent} of {all}"
    );
    gate.finish().await;
}

#[tokio::test]
async fn calls_beyond_the_minutes_rate_are_429_and_told_when_to_come_back() {
    let gate = Gate::open().await;
    cap(&gate, vec![Limit::RequestsPerMinute(2)]).await;
    for _ in 0..2 {
        let answer = gate.post(CHAT, &asking(5)).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }

    let third = gate.post(CHAT, &asking(5)).send().await.expect("an answer");

    let wait: u64 = third.headers()["retry-after"]
        .to_str()
        .expect("text")
        .parse()
        .expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    let (status, code, message) = refusal(third).await;
    assert_eq!((status, code.as_str()), (429, "rate_limited"));
    assert!(message.contains("2 calls a minute"), "{message}");
    gate.clock.advance(std::time::Duration::from_mins(2));
    let later = gate.post(CHAT, &asking(5)).send().await.expect("an answer");
    assert_eq!(later.status(), 200);
    gate.finish().await;
}

#[tokio::test]
async fn a_process_that_ends_lets_no_new_call_in() {
    let gate = Gate::open().await;
    gate.gateway.close();

    let answer = gate
        .post(CHAT, &asking(10))
        .send()
        .await
        .expect("an answer");

    assert!(answer.headers().contains_key("retry-after"));
    // Codex would wait so long thirty times before it shows a word of it.
    let codex = gate
        .post(
            "/v1/responses",
            &json!({"model": "sandbox/echo", "input": "hi"}),
        )
        .header("user-agent", "codex_exec/0.169.0 (Debian)")
        .send()
        .await
        .expect("an answer");
    assert_eq!(codex.status(), 503);
    assert!(!codex.headers().contains_key("retry-after"));
    let (status, code, _) = refusal(answer).await;
    assert_eq!((status, code.as_str()), (503, "draining"));
    gate.finish().await;
}

/// What a hold expects of a short prompt beside its words, and a few words.
const MARKERS: i64 = 64 + 16;
