//! Every wrong key gets its own answer, in the caller's envelope, and no retry.

use entity::{Platform, Scoped, Timestamp, key, member};
use reqwest::{Method, Response, header::HeaderValue};
use sea_orm::{ColumnTrait, QueryFilter};
use serde_json::{Value, json};

use crate::support::{
    gate::{Gate, KEY, OTHER_KEY, colleague, refusal},
    till::NOW,
};

const CHAT: &str = "/v1/chat/completions";

fn body() -> Value {
    json!({"model": "sandbox/echo", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5})
}

/// Sends a call with these credential headers.
async fn call(gate: &Gate, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = gate.bare(Method::POST, path).json(&body());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

/// Credential headers, the code they get, and words of the message.
type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

#[tokio::test]
async fn a_wrong_credential_is_told_what_is_wrong_with_it() {
    let gate = Gate::open().await;
    let bearer = |text: &str| format!("Bearer {text}");
    let mistyped = bearer(&KEY.replace("First", "Fisrt"));
    let quoted = bearer(&format!("\"{KEY}\""));
    let doubled = bearer(&bearer(KEY));
    let split = bearer(&KEY.replace("OfThe", " OfThe"));
    let unknown = bearer(OTHER_KEY);
    let table: &[Row<'_>] = &[
        (&[], "missing_key", "No API key"),
        (&[("authorization", "Bearer ")], "missing_key", "empty"),
        (&[("x-api-key", "")], "missing_key", "empty"),
        (
            &[("authorization", "Basic dXNlcjpw")],
            "missing_key",
            "Basic",
        ),
        (
            &[("authorization", &doubled)],
            "invalid_key",
            "Bearer stands twice",
        ),
        (
            &[("authorization", &quoted)],
            "invalid_key",
            "quotation marks",
        ),
        (&[("authorization", &split)], "invalid_key", "space"),
        (&[("authorization", &mistyped)], "invalid_key", "checksum"),
        (
            &[("authorization", "Bearer hello")],
            "invalid_key",
            "does not look like",
        ),
        (
            &[("authorization", &unknown)],
            "invalid_key",
            "not known here",
        ),
        (
            &[("x-api-key", "sk-ant-api03-abc")],
            "foreign_key",
            "Anthropic",
        ),
        (
            &[("authorization", "Bearer sk-proj-abc")],
            "foreign_key",
            "OpenAI",
        ),
        (
            &[
                ("authorization", "Bearer sk-proj-abc"),
                ("x-api-key", "sk-ant-abc"),
            ],
            "invalid_key",
            "Two different keys",
        ),
    ];

    for (headers, code, part) in table {
        for path in [CHAT, "/v1/messages"] {
            let response = call(&gate, path, headers).await;

            assert_eq!(
                response
                    .headers()
                    .get("x-should-retry")
                    .map(HeaderValue::as_bytes),
                Some(&b"false"[..])
            );
            let (status, found, message) = refusal(response).await;
            assert_eq!(
                (status, found.as_str()),
                (401, *code),
                "{headers:?} {message}"
            );
            assert!(message.contains(part), "{headers:?}: {message}");
            assert!(message.contains(&format!("https://gate.example/docs/errors#{code}")));
        }
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_key_with_letters_no_key_has_is_not_called_empty() {
    let gate = Gate::open().await;
    let pasted = format!("Bearer {KEY}\u{e9}");
    let pasted = HeaderValue::from_bytes(pasted.as_bytes()).expect("a header");

    let request = gate.bare(Method::POST, CHAT).json(&body());
    let answer = request.header("authorization", pasted).send().await;
    let (status, code, message) = refusal(answer.expect("an answer")).await;

    assert_eq!((status, code.as_str()), (401, "invalid_key"));
    assert!(message.contains("does not look like"), "{message}");
    gate.finish().await;
}

#[tokio::test]
async fn each_protocol_reads_its_own_envelope() {
    let gate = Gate::open().await;

    let openai: Value = call(&gate, CHAT, &[]).await.json().await.expect("JSON");
    let anthropic: Value = call(&gate, "/v1/messages", &[])
        .await
        .json()
        .await
        .expect("JSON");

    assert_eq!(openai["error"]["code"], "missing_key");
    assert_eq!(openai["error"]["type"], "authentication_error");
    assert_eq!(openai["error"]["param"], Value::Null);
    assert_eq!(anthropic["type"], "error");
    assert_eq!(anthropic["error"]["type"], "authentication_error");
    assert!(anthropic["request_id"].is_string());
    gate.finish().await;
}

#[tokio::test]
async fn ours_wins_over_a_foreign_key_in_the_other_header() {
    let gate = Gate::open().await;

    for headers in [
        vec![("authorization", format!("Bearer {KEY}"))],
        vec![("authorization", KEY.to_owned())],
        vec![("x-api-key", KEY.to_owned())],
        vec![
            ("authorization", "Bearer sk-ant-oat01-abc".to_owned()),
            ("x-api-key", KEY.to_owned()),
        ],
        vec![
            ("authorization", format!("bearer {KEY}")),
            ("x-api-key", KEY.to_owned()),
        ],
    ] {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(
            call(&gate, CHAT, &headers).await.status(),
            200,
            "{headers:?}"
        );
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_key_that_was_switched_off_revoked_or_outlived_is_refused_and_its_owner_sees_it() {
    let gate = Gate::open().await;
    let rows = || key::Entity::of(gate.buyer.tenant);
    let change = || key::Entity::of_change(gate.buyer.tenant);
    let key = format!("Bearer {KEY}");
    let authorized = [("authorization", key.as_str())];
    assert_eq!(call(&gate, CHAT, &authorized).await.status(), 200);

    gate.change(change(), key::Column::Status, key::Status::Disabled)
        .await;
    let disabled = refusal(call(&gate, CHAT, &authorized).await).await;
    gate.change(change(), key::Column::Status, key::Status::Revoked)
        .await;
    let revoked = refusal(call(&gate, CHAT, &authorized).await).await;
    gate.change(change(), key::Column::Status, key::Status::Active)
        .await;
    gate.change(
        change(),
        key::Column::ExpiresAt,
        Timestamp::from_micros(NOW.micros()),
    )
    .await;
    let expired = refusal(call(&gate, CHAT, &authorized).await).await;

    assert_eq!((disabled.0, disabled.1.as_str()), (401, "key_disabled"));
    assert_eq!((revoked.0, revoked.1.as_str()), (401, "invalid_key"));
    assert!(revoked.2.contains("revoked"));
    assert_eq!((expired.0, expired.1.as_str()), (401, "key_expired"));
    let mut seen: Vec<_> = gate
        .rejections(3)
        .await
        .into_iter()
        .map(|row| (row.code, row.http_status))
        .collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            ("invalid_key".to_owned(), 401),
            ("key_disabled".to_owned(), 401),
            ("key_expired".to_owned(), 401)
        ]
    );
    assert_eq!(
        rows().all(gate.till.db.read()).await.expect("keys").len(),
        1
    );
    gate.finish().await;
}

#[tokio::test]
async fn a_banned_member_is_refused_and_a_colleague_is_not() {
    let gate = Gate::open().await;
    let other = colleague(gate.buyer);
    gate.hire(other).await;
    gate.issue(OTHER_KEY, other).await;
    let banned = member::Entity::of_change(gate.buyer.tenant)
        .filter(member::Column::Id.eq(gate.buyer.member));
    gate.change(banned, member::Column::Status, member::Status::Banned)
        .await;

    let refused = refusal(call(&gate, CHAT, &[("x-api-key", KEY)]).await).await;
    let served = call(&gate, CHAT, &[("x-api-key", OTHER_KEY)]).await;

    assert_eq!((refused.0, refused.1.as_str()), (403, "user_banned"));
    assert_eq!(served.status(), 200);
    gate.finish().await;
}

#[tokio::test]
async fn a_suspended_tenant_is_refused() {
    let gate = Gate::open().await;
    gate.suspend_tenant().await;

    let refused = refusal(call(&gate, CHAT, &[("x-api-key", KEY)]).await).await;

    assert_eq!((refused.0, refused.1.as_str()), (403, "tenant_suspended"));
    assert_eq!(gate.rejections(1).await[0].code, "tenant_suspended");
    gate.finish().await;
}

#[tokio::test]
async fn a_group_takes_only_the_protocols_and_clients_it_is_for() {
    let gate = Gate::open().await;
    let group = || entity::group::Entity::change().filter(entity::group::Column::Id.eq(gate.group));
    gate.change(group(), entity::group::Column::Protocols, "[\"messages\"]")
        .await;
    let protocol = refusal(call(&gate, CHAT, &[("x-api-key", KEY)]).await).await;
    gate.change(group(), entity::group::Column::Protocols, "[]")
        .await;
    gate.change(group(), entity::group::Column::Clients, "[\"claude_code\"]")
        .await;
    let client = refusal(call(&gate, CHAT, &[("x-api-key", KEY)]).await).await;
    let right_one = call(
        &gate,
        CHAT,
        &[
            ("x-api-key", KEY),
            ("user-agent", "claude-cli/2.1.329 (external, cli)"),
        ],
    )
    .await;

    assert_eq!(
        (protocol.0, protocol.1.as_str()),
        (403, "protocol_not_allowed")
    );
    assert_eq!((client.0, client.1.as_str()), (403, "client_not_allowed"));
    assert!(client.2.contains("Claude Code"), "{}", client.2);
    assert_eq!(right_one.status(), 200);
    gate.finish().await;
}
