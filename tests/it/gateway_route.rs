//! Paths: forgiving where the meaning is plain, helpful where it is not.

use reqwest::{Method, header::HeaderValue};
use serde_json::{Value, json};

use crate::support::gate::{Gate, KEY, refusal};

#[tokio::test]
async fn a_base_url_with_a_wrong_or_missing_version_still_arrives() {
    let gate = Gate::open().await;
    let body = json!({"model": "sandbox/echo", "messages": [{"role": "user", "content": "hi"}], "input": "hi", "max_tokens": 5});

    for endpoint in ["/chat/completions", "/responses", "/messages"] {
        for prefix in ["", "/v1", "/v1/v1", "//v1"] {
            for tail in ["", "/", "?beta=true"] {
                let path = format!("{prefix}{endpoint}{tail}");
                let answer = gate.post(&path, &body).send().await.expect("an answer");
                assert_eq!(answer.status(), 200, "{path}");
            }
        }
    }
    for path in [
        "/models",
        "/v1/models",
        "/v1/v1/models",
        "/v1/models/",
        "/models/sandbox/echo",
        "/v1/models/sandbox/echo/",
    ] {
        let answer = gate.get(path).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_wrong_path_is_answered_with_the_right_base_url() {
    let gate = Gate::open().await;
    let post = |path: &str| gate.post(path, &json!({})).send();

    let chat = refusal(post("/api/v3/chat/completions").await.expect("an answer")).await;
    let messages: Value = post("/anthropic/v1/messages")
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    let stray = refusal(post("/v1/files").await.expect("an answer")).await;
    let head = gate
        .bare(Method::HEAD, "/api/hello")
        .send()
        .await
        .expect("an answer");

    assert_eq!((chat.0, chat.1.as_str()), (404, "route_not_found"));
    assert!(chat.2.contains("https://gate.example/v1"), "{}", chat.2);
    assert_eq!(messages["type"], "error");
    let advice = messages["error"]["message"].as_str().expect("a message");
    assert!(
        advice.contains("https://gate.example (without /v1)"),
        "{advice}"
    );
    assert_eq!((stray.0, stray.1.as_str()), (404, "route_not_found"));
    assert_eq!(head.status(), 404);
    gate.finish().await;
}

#[tokio::test]
async fn an_unknown_path_is_answered_with_the_base_url_of_the_client() {
    let gate = Gate::open().await;
    let openai = "https://gate.example/v1";
    let claude = "https://gate.example (without /v1)";
    let table = [
        ("/foo", "claude-cli/2.1.39 (external, cli)", claude, openai),
        (
            "/foo/models",
            "claude-cli/2.1.39 (external, cli)",
            claude,
            openai,
        ),
        (
            "/foo",
            "codex_exec/0.156.0 (Debian 12; x86_64)",
            openai,
            "Anthropic",
        ),
        ("/foo", "somebody/1.0", openai, "(without /v1)"),
        (
            "/v1/dashboard/billing/usage",
            "somebody/1.0",
            "Ask https://gate.example/v1/usage instead",
            "base URL",
        ),
        (
            "/dashboard/billing/usage",
            "somebody/1.0",
            "Set the client's base URL to https://gate.example/v1.",
            "Anthropic",
        ),
    ];

    for (path, agent, told, not_told) in table {
        let asked = gate.post(path, &json!({})).header("user-agent", agent);
        let (status, code, message) = refusal(asked.send().await.expect("an answer")).await;
        assert_eq!((status, code.as_str()), (404, "route_not_found"), "{path}");
        assert!(message.contains(told), "{agent} {path}: {message}");
        assert!(!message.contains(not_told), "{agent} {path}: {message}");
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one_and_a_websocket_falls_back() {
    let gate = Gate::open().await;

    let get = gate
        .get("/v1/chat/completions")
        .send()
        .await
        .expect("an answer");
    let delete = gate
        .bare(Method::DELETE, "/v1/models")
        .bearer_auth(KEY)
        .send()
        .await
        .expect("an answer");
    for path in ["/v1/responses", "//v1//responses", "/v1//responses/compact"] {
        let socket = gate
            .get(path)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .send()
            .await
            .expect("an answer");
        assert_eq!(socket.status(), 426, "{path}");
    }
    let slashes = gate
        .bare(Method::DELETE, "//v1//models")
        .send()
        .await
        .expect("an answer");
    assert_eq!(slashes.status(), 405);

    assert_eq!(
        get.headers().get("allow").map(HeaderValue::as_bytes),
        Some(&b"POST"[..])
    );
    assert_eq!(refusal(get).await.1, "method_not_allowed");
    assert_eq!(delete.status(), 405);
    gate.finish().await;
}

#[tokio::test]
async fn every_answer_carries_the_id_of_its_usage_row() {
    let gate = Gate::open().await;
    let body = json!({"model": "sandbox/echo", "messages": [{"role": "user", "content": "hi"}]});

    let answer = gate
        .post("/v1/chat/completions", &body)
        .send()
        .await
        .expect("an answer");

    let id = answer
        .headers()
        .get("x-request-id")
        .expect("an id")
        .to_str()
        .expect("text")
        .to_owned();
    assert_eq!(gate.ended(1).await[0].id.to_string(), id);
    gate.finish().await;
}

#[test]
fn people_and_models_live_in_spaces_apart() {
    let people = ["/console", "/docs", "/static"];
    let programs = ["/api/v1", "/webhooks", "/healthz", "/readyz", "/metrics"];
    let belongs = |path: &str, space: &str| {
        path.strip_prefix(space)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };

    for route in console::routes::ROUTES {
        let at_home = route.path == "/" || people.iter().any(|space| belongs(route.path, space));
        assert!(at_home, "{} is outside of the console's spaces", route.path);
    }
    for prefix in gateway::routes::PREFIXES {
        for path in gateway::routes::PATHS {
            let path = format!("{prefix}{}", path.path);
            let foreign = people
                .iter()
                .chain(&programs)
                .any(|space| belongs(&path, space));
            assert!(
                !foreign && path != "/",
                "{path} is in somebody else's space"
            );
        }
    }
}
