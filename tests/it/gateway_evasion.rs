//! Ways to get a call for less than it costs: the rows of the bill-evasion battery that no other test has.

use std::time::Duration;

use billing::{
    code::{self, CodeKeys, Gives, NewBatch},
    ledger::{Adjustment, Change, GrantOrder, adjust, grant},
    payment::Money,
    shop::{
        model::{AddModel, NewPrice, add, set_price},
        price_table::{ListPrice, PriceSheet},
    },
};
use entity::{
    Actor, CodeBatchId, Credits, PersonId, Scoped,
    channel::Kind,
    grant::{self, Source},
    key, member, model,
    usage::{Finish, Outcome, Quality},
};
use identity::{
    email::EmailAddress,
    password::{Hasher, Password},
    person::{DisplayName, Locale, SignUp, sign_up},
};
use reqwest::{Method, header::HeaderValue};
use sea_orm::PaginatorTrait;
use serde_json::{Value, json};

use crate::support::{
    gate::{Gate, INPUT_NANOS, OTHER_KEY, OUTPUT_NANOS, refusal},
    till::{NOW, Till},
    upstream::{Answer, Upstream},
};

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";

fn asking(model: &str, streamed: bool) -> Value {
    json!({"model": model, "stream": streamed, "max_tokens": 50, "messages": [{"role": "user", "content": "one two"}]})
}

fn chat_whole() -> Answer {
    let body = json!({"id": "c", "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "hi"}}], "usage": {"prompt_tokens": 5, "completion_tokens": 2}});
    Answer::json(200, &body)
}

/// A word, and the rest when it is released: 50 tokens in, 40 out.
fn chat_in_two() -> Answer {
    Answer::stream(&[
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":50,\"completion_tokens\":40}}\n\ndata: [DONE]\n\n",
    ])
    .wait_before_last()
}

const IN_TWO: i64 = 50 * INPUT_NANOS + 40 * OUTPUT_NANOS;

#[tokio::test]
async fn several_answers_or_inputs_are_held_for_each_and_their_number_is_capped() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([chat_whole()]);
    gate.add_upstream(Kind::OpenaiCompatible, &upstream.base, "many")
        .await;
    let mut calls = 0;
    for name in ["n", "best_of"] {
        let mut held = Vec::new();
        for number in [1, 4] {
            let mut body = asking("many", false);
            body[name] = number.into();
            let answer = gate.post(CHAT, &body).send().await.expect("an answer");
            assert_eq!(answer.status(), 200, "B-4 {name} {number}");
            calls += 1;
            held.push(
                gate.ended(calls)
                    .await
                    .pop()
                    .expect("a row")
                    .hold_amount
                    .nanos(),
            );
        }
        assert_eq!(held[1] - held[0], 3 * 50 * OUTPUT_NANOS, "B-4 {name}");
        for wrong in [
            json!(0),
            json!(129),
            json!(-1),
            json!(1.5),
            json!("2"),
            json!([2]),
        ] {
            let mut body = asking("many", false);
            body[name] = wrong.clone();
            let refused = gate.post(CHAT, &body).send().await.expect("an answer");
            assert_eq!(refused.status(), 400, "B-4 {name} {wrong}");
            let told: Value = refused.json().await.expect("JSON");
            assert_eq!(
                (&told["error"]["code"], &told["error"]["param"]),
                (&json!("invalid_request"), &json!(name)),
                "B-4 {wrong}: {told}"
            );
        }
    }
    let batch = |entries: usize| json!({"model": "sandbox/embedding", "input": vec!["one two three"; entries]});
    let mut held = Vec::new();
    for entries in [1, 64] {
        let answer = gate.post("/v1/embeddings", &batch(entries)).send().await;
        assert_eq!(
            answer.expect("an answer").status(),
            200,
            "B-4 batch of {entries}"
        );
        calls += 1;
        let row = gate.ended(calls).await.pop().expect("a row");
        let tokens = 3 * i64::try_from(entries).expect("small");
        assert_eq!(
            row.charge.nanos(),
            tokens * INPUT_NANOS,
            "B-4 batch of {entries}"
        );
        held.push(row.hold_amount.nanos());
        assert!(row.hold_amount >= row.charge, "B-4 batch of {entries}");
    }
    assert!(held[1] > held[0] + 100 * INPUT_NANOS, "B-4 {held:?}");
    assert_eq!(upstream.requests().len(), 4, "what is refused is not sent");
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn what_is_sold_apart_from_tokens_and_not_reported_is_refused() {
    let gate = Gate::open().await;
    let openai = Upstream::start([chat_whole()]);
    let claude = Upstream::start([chat_whole()]);
    gate.add_upstream(Kind::Openai, &openai.base, "gpt").await;
    gate.add_upstream(Kind::Anthropic, &claude.base, "claude")
        .await;
    let responses = |field: &str, value: Value| {
        let mut body = json!({"model": "gpt", "input": "one"});
        body[field] = value;
        (RESPONSES, body)
    };
    let tools = |value: Value| ("tools", responses("tools", value));
    let messages = |field: &str, value: Value| {
        let mut body = asking("claude", false);
        body[field] = value;
        (MESSAGES, body)
    };
    let table = [
        tools(json!([{"type": "code_interpreter", "container": {"type": "auto"}}])),
        tools(json!([{"type": "function", "name": "f"}, {"type": "image_generation"}])),
        tools(json!([{"type": "shell", "environment": {"type": "container_auto"}}])),
        (
            "tools",
            messages(
                "tools",
                json!([{"type": "code_execution_20250825", "name": "code_execution"}]),
            ),
        ),
        tools(json!([{"type": "code_interpreter", "environment": "x"}])),
        tools(json!([{"type": "namespace", "name": "n", "tools": [{"type": "code_interpreter"}]}])),
        (
            "input",
            responses(
                "input",
                json!([{"type": "additional_tools", "role": "developer", "tools": [{"type": "code_interpreter"}]}]),
            ),
        ),
        ("service_tier", responses("service_tier", json!("priority"))),
        ("background", responses("background", json!(true))),
        ("speed", messages("speed", json!("fast"))),
        ("inference_geo", messages("inference_geo", json!("us"))),
    ];
    for (field, (path, body)) in table {
        let refused = gate.post(path, &body).send().await.expect("an answer");
        assert_eq!(refused.status(), 400, "B-10 {body}");
        assert_eq!(
            refused
                .headers()
                .get("x-tollgate-code")
                .map(HeaderValue::as_bytes),
            Some(&b"invalid_request"[..]),
            "B-10 {body}"
        );
        let told: Value = refused.json().await.expect("JSON");
        assert!(
            told["error"]["message"]
                .as_str()
                .is_some_and(|text| text.contains(field)),
            "B-10 {told}"
        );
        if path == MESSAGES {
            assert_eq!(
                told["error"]["type"], "invalid_request_error",
                "B-10 {told}"
            );
        } else {
            assert_eq!(told["error"]["param"], field, "B-10 {told}");
        }
    }
    assert!(
        openai.requests().is_empty() && claude.requests().is_empty(),
        "B-10 nothing is sent"
    );
    assert_eq!(gate.ended_so_far().await, 0, "B-10 nothing is held");
    openai.stop().await;
    claude.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn an_endpoint_or_model_without_a_price_is_not_there() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([chat_whole()]);
    let order = AddModel {
        name: "unpriced".to_owned(),
        kind: model::Kind::Chat,
        context_window: None,
        max_output: None,
        capabilities: Vec::new(),
    };
    add(&gate.till.db, order, Actor::System, NOW)
        .await
        .expect("a model");
    gate.add_upstream(Kind::Openai, &upstream.base, "unpriced")
        .await;
    let paths = [
        "/v1/completions",
        "/v1/files",
        "/v1/batches",
        "/v1/realtime/sessions",
        "/v1/images/generations",
        "/v1/images/edits",
        "/v1/audio/speech",
        "/v1/audio/transcriptions",
        "/v1/videos",
        "/v1/moderations",
        "/v1/fine_tuning/jobs",
        "/v1/assistants",
        "/v1/threads",
        "/v1/vector_stores",
        "/v1/containers",
        "/v1/uploads",
        "/v1/responses/resp_1/cancel",
        "/v1/messages/batches",
        "/v1/complete",
        "/v1/organizations/api_keys",
    ];
    for path in paths {
        let (status, code, message) = refusal(
            gate.post(path, &asking("gpt", false))
                .send()
                .await
                .expect("an answer"),
        )
        .await;
        assert_eq!(
            (status, code.as_str()),
            (404, "route_not_found"),
            "B-11 {path}: {message}"
        );
    }
    let unpriced = gate.post(CHAT, &asking("unpriced", false)).send().await;
    let (status, code, message) = refusal(unpriced.expect("an answer")).await;

    assert_eq!(
        (status, code.as_str()),
        (404, "model_not_found"),
        "B-11 {message}"
    );
    assert!(
        !message.contains("Did you mean"),
        "B-11 it is not offered: {message}"
    );
    assert!(upstream.requests().is_empty());
    assert_eq!(gate.ended_so_far().await, 0);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_price_that_changes_under_a_running_call_is_the_next_calls() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([chat_in_two()]);
    gate.add_upstream(Kind::OpenaiCompatible, &upstream.base, "m")
        .await;
    let model = gate.model("m").await.id;
    let call = async |dearer: bool| {
        let mut answer = gate
            .post(CHAT, &asking("m", true))
            .send()
            .await
            .expect("an answer");
        answer.chunk().await.expect("a piece").expect("a piece");
        if dearer {
            let per_million = |nanos: i64| Credits::from_nanos(nanos * 1_000_000);
            let sheet = PriceSheet::plain(ListPrice {
                input: per_million(10 * INPUT_NANOS),
                output: per_million(10 * OUTPUT_NANOS),
                ..ListPrice::default()
            });
            set_price(
                &gate.till.db,
                NewPrice::of(model, sheet),
                Actor::System,
                NOW,
            )
            .await
            .expect("a price is set");
            // It begins a moment after the one that it follows.
            gate.clock.advance(Duration::from_secs(1));
        }
        upstream.release();
        answer.text().await.expect("a body");
    };

    call(true).await;
    call(false).await;

    let rows = gate.ended(2).await;
    let charges: Vec<_> = rows.iter().map(|row| row.charge.nanos()).collect();
    assert_eq!(charges, [IN_TWO, 10 * IN_TWO], "B-14");
    assert_ne!(rows[0].price_version_id, rows[1].price_version_id, "B-14");
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn credits_that_end_under_a_running_call_pay_for_it() {
    let gate = Gate::open().await;
    gate.spend_all().await;
    let order = GrantOrder {
        expires_at: Some(NOW.plus(Duration::from_mins(1))),
        ..GrantOrder::new(
            gate.buyer.tenant,
            Source::Promo,
            Credits::from_nanos(1_000_000_000),
            "a minute",
            Actor::System,
            NOW,
        )
    };
    grant(&gate.till.db, order, NOW).await.expect("credits");
    let upstream = Upstream::start([chat_in_two()]);
    gate.add_upstream(Kind::OpenaiCompatible, &upstream.base, "m")
        .await;
    let mut answer = gate
        .post(CHAT, &asking("m", true))
        .send()
        .await
        .expect("an answer");
    answer.chunk().await.expect("a piece").expect("a piece");

    gate.clock.advance(Duration::from_mins(2));
    upstream.release();
    answer.text().await.expect("a body");

    let row = gate.ended(1).await.pop().expect("a row");
    assert_eq!(
        (row.outcome, row.quality, row.charge.nanos()),
        (Outcome::Settled, Quality::Exact, IN_TWO),
        "B-15"
    );
    let wallet = billing::ledger::balance(&gate.till.db, gate.buyer.tenant, gate.clock.now())
        .await
        .expect("the balance reads");
    assert_eq!(
        wallet.debt,
        Credits::ZERO,
        "B-15 the lot that was held paid"
    );
    let after = gate.post(CHAT, &asking("m", false)).send().await;
    let (status, code, message) = refusal(after.expect("an answer")).await;
    assert_eq!(
        (status, code.as_str()),
        (402, "insufficient_credits"),
        "B-15 {message}"
    );
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn nothing_less_than_something_is_ever_credited() {
    let till = Till::open().await;
    let buyer = till.buyer().await;
    let operator = Actor::Operator(PersonId::fresh());
    let keys = CodeKeys::new(&[7; 32]).expect("a key");
    for nanos in [0, -1, i64::MIN] {
        let amount = Credits::from_nanos(nanos);
        let order = GrantOrder::new(
            buyer.tenant,
            Source::Goodwill,
            amount,
            "x",
            operator.clone(),
            NOW,
        );
        assert!(
            grant(&till.db, order, NOW).await.is_err(),
            "B-17 a grant of {nanos}"
        );
        for change in [
            Change::Credit {
                amount,
                expires_at: None,
            },
            Change::Debit { amount },
        ] {
            let wish = Adjustment {
                tenant: buyer.tenant,
                change,
                business_key: "x".to_owned(),
                actor: operator.clone(),
                reason: "why not".to_owned(),
            };
            assert!(
                adjust(&till.db, wish, NOW).await.is_err(),
                "B-17 {change:?}"
            );
        }
        let batch = NewBatch {
            id: CodeBatchId::fresh(),
            name: "Autumn".to_owned(),
            gives: Gives::Credits {
                amount,
                valid_days: None,
            },
            size: 1,
            max_uses: 1,
            most_per_member: None,
            starts_at: None,
            ends_at: None,
            operator: PersonId::fresh(),
        };
        assert!(
            code::create_batch(&till.db, &keys, batch, NOW)
                .await
                .is_err(),
            "B-17 codes of {nanos}"
        );
        assert!(Money::new(nanos, "usd").is_err(), "B-17 money of {nanos}");
    }
    for currency in ["", "us", "usdt", "u$d", "\u{ff55}sd"] {
        assert!(Money::new(500, currency).is_err(), "B-17 {currency}");
    }
    assert!(till.lots(buyer.tenant).await.is_empty(), "B-17");
    till.finish().await;
}

#[tokio::test]
async fn an_account_is_worth_nothing_until_somebody_pays_however_its_mailbox_is_written() {
    let till = Till::open().await;
    let mailboxes = [
        "some.one@example.org",
        "someone@example.org",
        "some.one+two@example.org",
        "some.one+three@example.org",
        "some.one@mail.example.org",
    ];
    for mailbox in mailboxes {
        let order = SignUp {
            email: EmailAddress::parse(mailbox).expect("an address"),
            password: Password::parse("a toll for every word").expect("a password"),
            display_name: DisplayName::parse("Some").expect("a name"),
            locale: Locale::English,
        };
        let made = sign_up(&till.db, &Hasher::new(), order, NOW)
            .await
            .expect("an account");
        assert_eq!(
            till.available(made.tenant, NOW).await,
            Credits::ZERO,
            "B-18 {mailbox}"
        );
    }
    let lots = grant::Entity::across_tenants().count(till.db.read()).await;
    assert_eq!(lots.expect("lots read"), 0, "B-18");
    till.finish().await;
}

#[tokio::test]
async fn a_call_is_charged_to_its_account_whatever_becomes_of_its_key_or_member() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([chat_in_two()]);
    gate.add_upstream(Kind::OpenaiCompatible, &upstream.base, "m")
        .await;
    let begin = async || {
        let mut answer = gate
            .post(CHAT, &asking("m", true))
            .send()
            .await
            .expect("an answer");
        answer.chunk().await.expect("a piece").expect("a piece");
        answer
    };
    let key_to = async |status: key::Status| {
        let row = key::Entity::of_change(gate.buyer.tenant);
        gate.change(row, key::Column::Status, status).await;
    };
    let member_to = async |status: member::Status| {
        let row = member::Entity::of_change(gate.buyer.tenant);
        gate.change(row, member::Column::Status, status).await;
    };
    let refused = async || {
        let answer = gate.post(CHAT, &asking("m", false)).send().await;
        refusal(answer.expect("an answer")).await.1
    };

    let running = begin().await;
    key_to(key::Status::Revoked).await;
    upstream.release();
    running.text().await.expect("the answer goes on");
    let revoked = refused().await;
    key_to(key::Status::Active).await;
    let running = begin().await;
    member_to(member::Status::Banned).await;
    upstream.release();
    running.text().await.expect("the answer goes on");
    let banned = refused().await;
    member_to(member::Status::Active).await;
    let running = begin().await;
    gate.suspend_tenant().await;
    upstream.release();
    running.text().await.expect("the answer goes on");
    let suspended = refused().await;

    assert_eq!(
        [revoked.as_str(), banned.as_str(), suspended.as_str()],
        ["invalid_key", "user_banned", "tenant_suspended"],
        "B-19 the next call is refused"
    );
    for row in gate.ended(3).await {
        assert_eq!(
            (row.outcome, row.finish, row.charge.nanos()),
            (Outcome::Settled, Finish::Complete, IN_TWO),
            "B-19"
        );
        assert_eq!(
            (row.tenant_id, row.key_id),
            (gate.buyer.tenant, gate.key),
            "B-19"
        );
    }
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn names_of_caches_and_users_are_kept_apart_by_tenant() {
    let gate = Gate::open().await;
    let responses = json!({"id": "r", "object": "response", "status": "completed",
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}],
        "usage": {"input_tokens": 5, "output_tokens": 2}});
    let chat = Upstream::start([chat_whole()]);
    let native = Upstream::start([Answer::json(200, &responses)]);
    let event = format!(
        "data: {}\n\n",
        json!({"type": "response.completed", "response": responses})
    );
    let crossed = Upstream::start([Answer::stream(&[&event])]);
    gate.add_upstream(Kind::OpenaiCompatible, &chat.base, "chats")
        .await;
    gate.add_upstream(Kind::Openai, &native.base, "responds")
        .await;
    gate.add_upstream(Kind::Openai, &crossed.base, "crosses")
        .await;
    let stranger = gate.till.buyer().await;
    gate.hire(stranger).await;
    gate.issue(OTHER_KEY, stranger).await;
    let order = GrantOrder::new(
        stranger.tenant,
        Source::Goodwill,
        Credits::from_nanos(1_000_000_000),
        "x",
        Actor::System,
        NOW,
    );
    grant(&gate.till.db, order, NOW).await.expect("credits");
    let named = |mut body: Value| {
        for name in ["prompt_cache_key", "user", "safety_identifier"] {
            body[name] = "the \"shared\" name".into();
        }
        body
    };
    let mut claude = asking("crosses", false);
    claude["metadata"] = json!({"user_id": "the \"shared\" name"});
    let table: [(&str, &Upstream, Value, &[&str]); 3] = [
        (
            CHAT,
            &chat,
            named(asking("chats", false)),
            &["prompt_cache_key", "user", "safety_identifier"],
        ),
        (
            RESPONSES,
            &native,
            named(json!({"model": "responds", "input": "one"})),
            &["prompt_cache_key", "user", "safety_identifier"],
        ),
        (MESSAGES, &crossed, claude, &["safety_identifier"]),
    ];
    for (path, upstream, body, names) in table {
        for key in [
            crate::support::gate::KEY,
            crate::support::gate::KEY,
            OTHER_KEY,
        ] {
            let request = gate.bare(Method::POST, path).bearer_auth(key).json(&body);
            assert_eq!(
                request.send().await.expect("an answer").status(),
                200,
                "B-22 {path}"
            );
        }
        let asked = upstream.requests();
        for name in names {
            let told: Vec<_> = asked
                .iter()
                .map(|asked| asked.body[*name].as_str().expect("a name").to_owned())
                .collect();
            assert_eq!(
                told[0], told[1],
                "B-22 {path} {name}: a tenant meets its own cache"
            );
            assert_ne!(told[0], told[2], "B-22 {path} {name}: and no other's");
            assert!(
                told.iter()
                    .all(|told| told.len() == 32 && !told.contains("shared")),
                "B-22 {told:?}"
            );
        }
    }
    let plain = asking("chats", false);
    gate.post(CHAT, &plain).send().await.expect("an answer");
    let asked = chat.requests().pop().expect("a request");
    assert!(asked.body.get("user").is_none(), "B-22 nothing is added");
    for upstream in [chat, native, crossed] {
        upstream.stop().await;
    }
    gate.finish().await;
}
