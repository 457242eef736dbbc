//! A request that is sent twice under one `Idempotency-Key` is one call and one charge, and whoever sends it again is told
//! what became of the first.

use std::time::Duration;

use billing::cap::{Limit, SetCaps, Whose};
use entity::{
    HoldId, Scoped, Timestamp, call_claim, channel::Kind, rejection::Fix, retention, usage,
    usage::Outcome,
};
use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use reqwest::{RequestBuilder, Response, header::HeaderValue};
use sea_orm::{ColumnTrait, QueryFilter};
use serde_json::{Value, json};

use crate::support::{
    gate::{Gate, INPUT_NANOS, KEY, OTHER_KEY, OUTPUT_NANOS, refusal},
    upstream::{Answer, Upstream},
};

const CHAT: &str = "/v1/chat/completions";
const HEADER: &str = "idempotency-key";
const ONCE: &str = "8e03978e-40d5-43dd-bc93-6894a57f9324";
/// What [`answered`] is charged.
const COST: i64 = 5 * INPUT_NANOS + 2 * OUTPUT_NANOS;

fn asking(model: &str) -> Value {
    json!({"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": "one two three four"}]})
}

fn answered() -> Answer {
    Answer::json(
        200,
        &json!({"id": "c", "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": "ok"}}],
                "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}),
    )
}

/// The request with the header.
fn once(gate: &Gate, model: &str) -> RequestBuilder {
    gate.post(CHAT, &asking(model)).header(HEADER, ONCE)
}

async fn sent(request: RequestBuilder) -> Response {
    request.send().await.expect("an answer")
}

/// Status, code and message of a request that is refused.
async fn refused(request: RequestBuilder) -> (u16, String, String) {
    refusal(sent(request).await).await
}

fn header(response: &Response, name: &str) -> String {
    let value = response.headers().get(name);
    value.map_or_else(String::new, |value| {
        value.to_str().expect("text").to_owned()
    })
}

async fn claims(gate: &Gate) -> Vec<call_claim::Model> {
    call_claim::Entity::of(gate.buyer.tenant)
        .all(gate.till.db.read())
        .await
        .expect("claims read")
}

/// A gateway and an upstream of the model `real` that answers so, in turn.
async fn opened(script: impl IntoIterator<Item = Answer>) -> (Gate, Upstream) {
    opened_with(script, |_| {}).await
}

async fn opened_with(
    script: impl IntoIterator<Item = Answer>,
    adjust: impl FnOnce(&mut gateway::Config),
) -> (Gate, Upstream) {
    let gate = Gate::open_with(adjust).await;
    let upstream = Upstream::start(script);
    gate.add_upstream(Kind::Openai, &upstream.base, "real")
        .await;
    (gate, upstream)
}

#[tokio::test]
async fn fifty_equal_requests_at_once_are_one_call_and_one_charge() {
    let (gate, upstream) = opened([answered().wait_first()]).await;
    let before = gate.available().await.nanos();

    let mut requests: FuturesUnordered<_> = (0..50)
        .map(|_| tokio::spawn(once(&gate, "real").send()))
        .collect();
    let mut turned_away = Vec::new();
    while turned_away.len() < 49 {
        let answer = requests.next().await.expect("fifty were sent");
        turned_away.push(answer.expect("no panic").expect("an answer"));
    }
    gate.until("the one call reached its upstream", || async {
        upstream.requests().len() == 1
    })
    .await;
    upstream.release();
    let served = requests.next().await.expect("one is left");
    let served = served.expect("no panic").expect("an answer");

    assert_eq!(served.status(), 200);
    let row = gate.ended(1).await.pop().expect("a row");
    for answer in turned_away {
        assert_eq!(header(&answer, "x-should-retry"), "true");
        assert_eq!(header(&answer, "retry-after"), "2");
        let (status, code, message) = refusal(answer).await;
        assert_eq!((status, code.as_str()), (409, "idempotency_key_in_use"));
        assert!(message.contains(&row.id.to_string()), "{message}");
    }
    assert_eq!(upstream.requests().len(), 1);
    assert_eq!(gate.ended_so_far().await, 1);
    assert_eq!(before - gate.available().await.nanos(), COST);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_request_sent_again_after_its_answer_is_told_which_call_it_was_and_what_it_cost() {
    let (gate, upstream) = opened([answered()]).await;
    let first = sent(once(&gate, "real")).await;
    assert_eq!(first.status(), 200);
    let id = header(&first, "x-request-id");

    let again = sent(once(&gate, "real")).await;

    assert_eq!(header(&again, "x-should-retry"), "false");
    assert_eq!(header(&again, "retry-after"), "");
    assert_ne!(header(&again, "x-request-id"), id);
    let (status, code, message) = refusal(again).await;
    assert_eq!((status, code.as_str()), (409, "duplicate_request"));
    assert!(
        message.contains(&format!("call {id} was answered")),
        "{message}"
    );
    assert!(message.contains("charged 0.000009 credits"), "{message}");
    let shown = &gate.rejections(1).await[0];
    assert_eq!(shown.code, "duplicate_request");
    assert_eq!(
        shown.fix.as_deref().and_then(Fix::parse),
        Some(Fix::NewIdempotencyKey)
    );
    assert_eq!(upstream.requests().len(), 1);
    assert_eq!(gate.ended_so_far().await, 1);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_key_that_came_with_another_request_is_422() {
    let gate = Gate::open().await;
    let with = |path: &str, body: &Value| gate.post(path, body).header(HEADER, ONCE);
    let body = json!({"model": "sandbox/echo", "max_tokens": 50, "input": "one two three four",
                      "messages": [{"role": "user", "content": "one two three four"}]});
    assert_eq!(sent(with(CHAT, &body)).await.status(), 200);

    let mut longer = body.clone();
    longer["max_tokens"] = 51.into();
    for (path, body) in [(CHAT, &longer), ("/v1/responses", &body)] {
        let answer = sent(with(path, body)).await;

        assert_eq!(header(&answer, "x-should-retry"), "false");
        let (status, code, message) = refusal(answer).await;
        assert_eq!((status, code.as_str()), (422, "idempotency_key_reused"));
        assert!(message.contains("with another request before"), "{message}");
    }
    for path in ["/chat/completions", "/v1/v1/chat/completions/"] {
        let (status, code, _) = refused(with(path, &body)).await;
        assert_eq!(
            (status, code.as_str()),
            (409, "duplicate_request"),
            "{path}"
        );
    }
    assert_eq!(gate.ended_so_far().await, 1);
    gate.finish().await;
}

#[tokio::test]
async fn a_call_that_failed_upstream_does_not_stand_in_the_way_of_its_repetition() {
    let failed = Answer::json(503, &json!({"error": {"message": "busy"}}));
    let (gate, upstream) = opened([failed.clone(), failed, answered()]).await;
    let before = gate.available().await.nanos();

    for _ in 0..2 {
        let (status, code, _) = refused(once(&gate, "real")).await;
        assert_eq!((status, code.as_str()), (503, "channels_failed"));
    }
    let third = sent(once(&gate, "real")).await;
    let (_, code, _) = refused(once(&gate, "real")).await;

    assert_eq!(third.status(), 200);
    assert_eq!(code, "duplicate_request");
    assert_eq!(upstream.requests().len(), 3);
    let outcomes: Vec<_> = gate.ended(3).await.iter().map(|row| row.outcome).collect();
    assert_eq!(
        outcomes,
        [Outcome::Voided, Outcome::Voided, Outcome::Settled]
    );
    assert_eq!(before - gate.available().await.nanos(), COST);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn of_many_that_repeat_a_failed_call_at_once_one_is_made() {
    let failed = Answer::json(503, &json!({"error": {"message": "busy"}}));
    let (gate, upstream) = opened([failed, answered()]).await;
    let (status, _, _) = refused(once(&gate, "real")).await;
    assert_eq!(status, 503);

    let answers = join_all((0..20).map(|_| sent(once(&gate, "real")))).await;

    let served = answers.iter().filter(|answer| answer.status() == 200);
    assert_eq!(served.count(), 1);
    let told = answers.iter().filter(|answer| answer.status() == 409);
    assert_eq!(told.count(), 19);
    assert_eq!(upstream.requests().len(), 2);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_call_that_was_refused_for_want_of_credits_is_made_once_there_are_some() {
    let (gate, upstream) = opened([answered()]).await;
    gate.spend_all().await;

    let (status, code, _) = refused(once(&gate, "real")).await;
    let left = claims(&gate).await;
    gate.grant(entity::Credits::from_nanos(1_000_000_000)).await;
    let (longer, first) = (asking("sandbox/echo"), sent(once(&gate, "real")).await);
    let (_, other, _) = refused(gate.post(CHAT, &longer).header(HEADER, ONCE)).await;

    assert_eq!((status, code.as_str()), (402, "insufficient_credits"));
    assert!(left.is_empty(), "what came to nothing is given up");
    assert_eq!(first.status(), 200);
    assert_eq!(other, "idempotency_key_reused");
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn another_api_key_with_the_same_header_makes_a_call_of_its_own() {
    let (gate, upstream) = opened([answered()]).await;
    gate.issue(OTHER_KEY, gate.buyer).await;
    let by = |key: &str| {
        let request = gate.bare(reqwest::Method::POST, CHAT).bearer_auth(key);
        sent(request.json(&asking("real")).header(HEADER, ONCE))
    };

    let statuses = [
        by(KEY).await.status(),
        by(OTHER_KEY).await.status(),
        by(KEY).await.status(),
        by(OTHER_KEY).await.status(),
    ];

    assert_eq!(statuses.map(|status| status.as_u16()), [200, 200, 409, 409]);
    let digests: Vec<_> = claims(&gate)
        .await
        .into_iter()
        .map(|claim| claim.digest)
        .collect();
    assert_eq!(digests.len(), 2);
    assert_ne!(digests[0], digests[1]);
    assert_eq!(upstream.requests().len(), 2);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_stream_is_made_once_too_and_the_header_stays_here() {
    let piece = |delta: Value, reason: Value| {
        let event = json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
        format!("data: {event}\n\n")
    };
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}});
    let stream = Answer::stream(&[
        &piece(json!({"content": "ok"}), Value::Null),
        &piece(json!({}), "stop".into()),
        &format!("data: {usage}\n\ndata: [DONE]\n\n"),
    ]);
    let (gate, upstream) = opened([stream.wait_before_last()]).await;
    let streamed = || {
        let mut body = asking("real");
        body["stream"] = true.into();
        gate.post(CHAT, &body).header(HEADER, ONCE)
    };

    let mut first = sent(streamed()).await;
    assert_eq!(first.status(), 200);
    first.chunk().await.expect("a piece").expect("a piece");
    let (_, while_it_runs, _) = refused(streamed()).await;
    gate.clock.advance(Duration::from_mins(4));
    let (_, long_after, _) = refused(streamed()).await;
    upstream.release();
    let rest = first.text().await.expect("the rest");
    let (_, afterwards, _) = refused(streamed()).await;

    assert!(rest.contains("[DONE]"), "{rest}");
    assert_eq!(while_it_runs, "idempotency_key_in_use");
    assert_eq!(long_after, "idempotency_key_in_use", "its hold is open");
    assert_eq!(afterwards, "duplicate_request");
    let asked = upstream.requests();
    assert_eq!(asked.len(), 1);
    assert!(
        asked[0]
            .headers
            .iter()
            .all(|(name, value)| name != HEADER && !value.contains(ONCE)),
        "{:?}",
        asked[0].headers
    );
    assert_eq!(gate.ended(1).await[0].charge.nanos(), COST);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn no_upstream_of_any_protocol_sees_the_header() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([Answer::json(500, &json!({}))]);
    gate.add_upstream(Kind::Openai, &upstream.base, "open")
        .await;
    gate.add_upstream(Kind::Anthropic, &upstream.base, "claude")
        .await;
    let asked =
        json!({"max_tokens": 50, "input": "hi", "messages": [{"role": "user", "content": "hi"}]});

    for path in [CHAT, "/v1/responses", "/v1/messages"] {
        for model in ["open", "claude"] {
            let mut body = asked.clone();
            body["model"] = model.into();
            let request = gate
                .post(path, &body)
                .header("anthropic-version", "2023-06-01")
                .header("openai-beta", "x")
                .header(HEADER, ONCE);
            let (status, _, _) = refused(request).await;
            assert_eq!(status, 503, "{path} {model}");
        }
    }

    let seen = upstream.requests();
    assert_eq!(seen.len(), 6);
    assert!(
        seen.iter()
            .flat_map(|asked| &asked.headers)
            .all(|(name, value)| name != HEADER && !value.contains(ONCE))
    );
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_malformed_header_is_400_before_anything_is_held() {
    let gate = Gate::open().await;
    let long = "k".repeat(256);
    let values: [&[u8]; 5] = [
        b"",
        long.as_bytes(),
        b"two words",
        b"tab\there",
        "schlüssel".as_bytes(),
    ];

    for value in values {
        let value = HeaderValue::from_bytes(value).expect("it may be sent");
        let answer = sent(
            gate.post(CHAT, &asking("sandbox/echo"))
                .header(HEADER, value.clone()),
        )
        .await;

        assert_eq!(answer.status(), 400, "{value:?}");
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(body["error"]["code"], "invalid_request");
        assert_eq!(body["error"]["param"], "Idempotency-Key");
    }
    let twice = |one: &'static str, other: &'static str| {
        let request = gate.post(CHAT, &asking("sandbox/echo"));
        sent(request.header(HEADER, one).header(HEADER, other))
    };
    let (status, code, message) = refusal(twice("a", "b").await).await;
    assert_eq!((status, code.as_str()), (400, "invalid_request"));
    assert!(message.contains("sent twice"), "{message}");
    assert_eq!(gate.ended_so_far().await, 0, "nothing was held for");
    assert!(claims(&gate).await.is_empty());
    assert_eq!(twice("a", "a").await.status(), 200, "equal ones are one");
    gate.finish().await;
}

#[tokio::test]
async fn each_protocol_reads_of_it_in_its_own_form() {
    let gate = Gate::open().await;
    let paths = [
        (CHAT, "sandbox/echo"),
        ("/v1/responses", "sandbox/echo"),
        ("/v1/responses/compact", "sandbox/echo"),
        ("/v1/messages", "sandbox/echo"),
        ("/v1/embeddings", "sandbox/embedding"),
    ];

    for (number, (path, model)) in paths.into_iter().enumerate() {
        let body = json!({"model": model, "max_tokens": 50, "input": "one two three four",
                          "messages": [{"role": "user", "content": "one two three four"}]});
        let asked = |body: &Value| {
            gate.post(path, body)
                .header(HEADER, format!("key-{number}"))
        };
        assert_eq!(sent(asked(&body)).await.status(), 200, "{path}");
        let again = sent(asked(&body)).await;
        let mut other = body.clone();
        other["input"] = "other".into();
        other["messages"][0]["content"] = "other".into();
        let changed = sent(asked(&other)).await;

        for (answer, status, code) in [
            (again, 409, "duplicate_request"),
            (changed, 422, "idempotency_key_reused"),
        ] {
            assert_eq!(answer.status(), status, "{path}");
            assert_eq!(header(&answer, "x-tollgate-code"), code, "{path}");
            let id = header(&answer, "x-request-id");
            let body: Value = answer.json().await.expect("JSON");
            assert_eq!(body["error"]["type"], "invalid_request_error", "{path}");
            let message = body["error"]["message"].as_str().expect("a message");
            assert!(
                message.contains(&format!("https://gate.example/docs/errors#{code}")),
                "{message}"
            );
            if path == "/v1/messages" {
                assert_eq!(
                    (&body["type"], &body["request_id"]),
                    (&json!("error"), &json!(id))
                );
            } else {
                assert_eq!(body["error"]["code"], code, "{path}");
            }
        }
    }
    assert_eq!(gate.ended_so_far().await, 5);
    gate.finish().await;
}

#[tokio::test]
async fn a_call_whose_client_hung_up_is_known_when_it_is_asked_for_again() {
    let (gate, upstream) = opened([answered().wait_first()]).await;
    let first = tokio::spawn(once(&gate, "real").send());
    gate.until("the upstream was asked", || async {
        upstream.requests().len() == 1
    })
    .await;
    first.abort();
    drop(first.await);

    let (_, meanwhile, _) = refused(once(&gate, "real")).await;
    upstream.release();
    let row = gate.ended(1).await.pop().expect("a row");
    let (status, afterwards, message) = refused(once(&gate, "real")).await;

    assert_eq!(meanwhile, "idempotency_key_in_use");
    assert_eq!((status, afterwards.as_str()), (409, "duplicate_request"));
    assert_eq!((row.charge.nanos(), row.outcome), (COST, Outcome::Settled));
    assert!(message.contains(&row.id.to_string()), "{message}");
    assert!(message.contains("charged 0.000009 credits"), "{message}");
    assert_eq!(upstream.requests().len(), 1);
    upstream.stop().await;
    gate.finish().await;
}

/// Lets the tenant's key run one call at a time.
async fn one_at_a_time(gate: &Gate) {
    let order = SetCaps {
        tenant: gate.buyer.tenant,
        whose: Whose::Key(gate.key),
        limits: vec![Limit::OpenCalls(1)],
        actor: entity::Actor::System,
        reason: None,
    };
    billing::cap::set(&gate.till.db, order, gate.clock.now())
        .await
        .expect("limits are set");
}

/// A call, or the wait for it.
type Sending = tokio::task::JoinHandle<reqwest::Result<Response>>;

/// A call that runs, and one with a key that waits for its turn behind it.
async fn one_waits_behind_another() -> (Gate, Upstream, Sending, Sending) {
    let (gate, upstream) = opened_with([answered().wait_first(), answered()], |config| {
        config.patience = Duration::from_secs(20);
    })
    .await;
    one_at_a_time(&gate).await;
    let running = tokio::spawn(gate.post(CHAT, &asking("real")).send());
    gate.until("the first call runs", || async {
        upstream.requests().len() == 1
    })
    .await;
    let waiting = tokio::spawn(once(&gate, "real").send());
    gate.until("the second waits", || async { gate.lanes.waiting() == 1 })
        .await;
    (gate, upstream, running, waiting)
}

#[tokio::test]
async fn who_hangs_up_before_the_call_was_sent_may_ask_again_at_once() {
    let (gate, upstream, running, waiting) = one_waits_behind_another().await;
    assert_eq!(claims(&gate).await.len(), 1);

    waiting.abort();
    drop(waiting.await);
    gate.until("its key is given up", || async {
        claims(&gate).await.is_empty()
    })
    .await;
    upstream.release();
    let running = running.await.expect("no panic").expect("an answer");
    let again = sent(once(&gate, "real")).await;

    assert_eq!(
        (running.status(), again.status()),
        (
            200.try_into().expect("a status"),
            200.try_into().expect("a status")
        )
    );
    assert_eq!(upstream.requests().len(), 2);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_hold_that_comes_long_after_its_claim_is_given_back() {
    let (gate, upstream, running, waiting) = one_waits_behind_another().await;

    gate.clock.advance(Duration::from_secs(61));
    upstream.release();
    let late = refusal(waiting.await.expect("no panic").expect("an answer")).await;
    running.await.expect("no panic").expect("an answer");
    let again = sent(once(&gate, "real")).await;

    assert_eq!((late.0, late.1.as_str()), (503, "overloaded"));
    assert_eq!(again.status(), 200);
    let outcomes: Vec<_> = gate.ended(3).await.iter().map(|row| row.outcome).collect();
    assert_eq!(
        outcomes,
        [Outcome::Settled, Outcome::Voided, Outcome::Settled]
    );
    assert_eq!(upstream.requests().len(), 2, "the late one was not sent");
    upstream.stop().await;
    gate.finish().await;
}

/// Makes the claim that of a call whose process died before it had a hold.
async fn orphan(gate: &Gate, at: Timestamp) -> HoldId {
    let id = HoldId::fresh();
    let update = call_claim::Entity::of_change(gate.buyer.tenant)
        .col_expr(call_claim::Column::CreatedAt, at.micros().into());
    gate.change(update, call_claim::Column::Id, id.uuid()).await;
    id
}

#[tokio::test]
async fn the_claim_of_a_process_that_died_before_the_hold_is_free_after_two_minutes() {
    let (gate, upstream) = opened([answered()]).await;
    assert_eq!(sent(once(&gate, "real")).await.status(), 200);
    let dead = orphan(&gate, gate.clock.now()).await;

    gate.clock.advance(Duration::from_secs(119));
    let early = sent(once(&gate, "real")).await;
    assert_eq!(header(&early, "retry-after"), "60");
    let (status, code, message) = refusal(early).await;
    gate.clock.advance(Duration::from_secs(1));
    let answers = join_all((0..20).map(|_| sent(once(&gate, "real")))).await;

    assert_eq!((status, code.as_str()), (409, "idempotency_key_in_use"));
    assert!(message.contains(&dead.to_string()), "{message}");
    let served: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status() == 200)
        .map(|answer| header(answer, "x-request-id"))
        .collect();
    assert_eq!(served.len(), 1);
    let claim = claims(&gate).await.pop().expect("the claim");
    assert_eq!(claim.id.to_string(), served[0]);
    assert_eq!(claim.created_at, gate.clock.now());
    assert_eq!(upstream.requests().len(), 2);
    assert_eq!(gate.ended_so_far().await, 2);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_key_is_known_for_a_day_and_then_swept() {
    let (gate, upstream) = opened([answered()]).await;
    let sweep = || async {
        retention::sweep(&gate.till.db, gate.clock.now())
            .await
            .expect("a sweep")
    };
    assert_eq!(sent(once(&gate, "real")).await.status(), 200);

    gate.clock.advance(Duration::from_secs(24 * 3_600 - 1));
    assert_eq!(sweep().await, 0);
    let (within, _, _) = refused(once(&gate, "real")).await;
    gate.clock.advance(Duration::from_secs(1));
    let after = sent(once(&gate, "real")).await.status();
    gate.clock.advance(Duration::from_secs(24 * 3_600 + 1));
    let swept = sweep().await;

    assert_eq!((within, after.as_u16(), swept), (409, 200, 1));
    assert!(claims(&gate).await.is_empty());
    assert_eq!(sent(once(&gate, "real")).await.status(), 200);
    assert_eq!(upstream.requests().len(), 3);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn what_makes_no_call_takes_no_notice_of_the_header() {
    let gate = Gate::open().await;
    let body = json!({"model": "sandbox/echo", "messages": [{"role": "user", "content": "hi"}]});

    for _ in 0..2 {
        let counted = gate.post("/v1/messages/count_tokens", &body);
        let listed = gate.get("/v1/models");
        for request in [counted, listed] {
            let answer = sent(request.header(HEADER, "two words")).await;
            assert_eq!(answer.status(), 200);
        }
    }

    assert!(claims(&gate).await.is_empty());
    gate.finish().await;
}

#[tokio::test]
async fn a_call_without_the_header_leaves_no_claim_and_one_with_it_empties_no_cache() {
    let gate = Gate::open().await;
    let generation = gate.till.db.generation();

    for _ in 0..2 {
        let answer = sent(gate.post(CHAT, &asking("sandbox/echo"))).await;
        assert_eq!(answer.status(), 200);
    }
    let unclaimed = claims(&gate).await;
    assert_eq!(sent(once(&gate, "sandbox/echo")).await.status(), 200);
    let (status, _, _) = refused(once(&gate, "sandbox/echo")).await;

    assert!(unclaimed.is_empty());
    assert_eq!(status, 409);
    assert_eq!(gate.till.db.generation(), generation);
    let claim = claims(&gate).await.pop().expect("a claim");
    let used = usage::Entity::of(gate.buyer.tenant)
        .filter(usage::Column::Id.eq(claim.id))
        .one(gate.till.db.read())
        .await
        .expect("usage reads");
    assert!(used.is_some(), "a claim bears its call's id");
    gate.finish().await;
}
