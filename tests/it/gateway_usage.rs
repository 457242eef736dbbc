//! What is left, as programs that switch between providers poll it, and what a probe is told.

use billing::{
    cap::{Limit, SetCaps, Whose},
    plan::{Quantity, Rule, Window},
};
use entity::{Actor, Credits, Scoped, member, usage};
use reqwest::Method;
use sea_orm::{ColumnTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

use crate::{
    gateway_plan::on_plan,
    support::gate::{Gate, KEY, refusal},
};

async fn read(gate: &Gate, path: &str) -> Value {
    let answer = gate.get(path).send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.expect("JSON")
}

async fn promote(gate: &Gate, role: member::Role) {
    let row = member::Entity::of_change(gate.buyer.tenant)
        .filter(member::Column::Id.eq(gate.buyer.member));
    gate.change(row, member::Column::Role, role).await;
}

async fn call(gate: &Gate) {
    let body = json!({"model": "sandbox/echo", "max_tokens": 5, "messages": [{"role": "user", "content": "one two three"}]});
    let answer = gate.post("/v1/chat/completions", &body).send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
}

#[tokio::test]
async fn who_may_pay_sees_the_wallet_and_how_far_the_plans_windows_are_used() {
    let gate = Gate::open().await;
    promote(&gate, member::Role::Billing).await;
    let before = read(&gate, "/v1/usage").await;
    let daily = Rule::Quota {
        name: "daily".to_owned(),
        window: Window::Day,
        models: Vec::new(),
        limit: Quantity::Requests(20),
    };
    on_plan(&gate, vec![daily]).await;
    call(&gate).await;
    gate.ended(1).await;
    let after = read(&gate, "/v1/usage").await;
    let switcher = read(&gate, "/user/balance").await;
    let nested = read(&gate, "//v1//user/balance").await;

    assert_eq!(
        before["wallet"],
        json!({"available": 10, "held": 0, "debt": 0})
    );
    assert_eq!(before["remaining"], json!(10));
    assert_eq!(before["planName"], Value::Null);
    assert_eq!(
        (&before["plans"], &before["limits"]),
        (&json!([]), &json!([]))
    );
    let left = gate.available().await;
    assert!(left < Credits::from_nanos(10_000_000_000));
    assert_eq!(after["remaining"].to_string(), left.to_string());
    assert_eq!(after["wallet"]["available"].to_string(), left.to_string());
    assert_eq!(after["isValid"], true);
    assert_eq!(after["unit"], "USD");
    assert_eq!(after["planName"], "Starter");
    assert_eq!(
        after["plans"][0]["windows"],
        json!([{
            "name": "daily", "window": "day", "unit": "requests", "limit": 20, "used": 1,
            "resets_at": "2026-11-19T00:00:00Z",
        }])
    );
    assert_eq!(switcher["balance"].to_string(), left.to_string());
    assert_eq!(switcher["is_active"], true);
    assert_eq!(nested, switcher);
    gate.finish().await;
}

#[tokio::test]
async fn who_may_not_sees_the_limits_of_the_key_alone() {
    let gate = Gate::open().await;
    let bare = read(&gate, "/usage").await;
    let five = Credits::from_nanos(5_000_000_000);
    let order = SetCaps {
        tenant: gate.buyer.tenant,
        whose: Whose::Key(gate.key),
        limits: vec![
            Limit::credits(Window::Month, five),
            Limit::OpenCalls(3),
            Limit::RequestsPerMinute(60),
        ],
        actor: Actor::System,
        reason: None,
    };
    billing::cap::set(&gate.till.db, order, gate.clock.now())
        .await
        .expect("limits are set");
    call(&gate).await;
    let charge = gate.ended(1).await[0].charge;

    let answer = gate.get("/v1/v1/usage/").send().await;
    let text = answer.expect("an answer").text().await.expect("a body");
    let seen: Value = serde_json::from_str(&text).expect("JSON");
    let switcher = read(&gate, "/v1/user/balance").await;
    promote(&gate, member::Role::Owner).await;
    let owner = read(&gate, "/v1/usage").await;

    let left = five.checked_sub(charge).expect("some is left");
    assert_eq!(
        (&bare["wallet"], &bare["remaining"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(seen["wallet"], Value::Null);
    assert_eq!(seen["remaining"].to_string(), left.to_string());
    assert_eq!(switcher["balance"].to_string(), left.to_string());
    let limits = seen["limits"].as_array().expect("a list");
    assert_eq!(limits.len(), 3);
    let month = limits
        .iter()
        .find(|limit| limit["kind"] == "quota")
        .expect("the month");
    assert!(text.contains(&format!("\"used\":{charge},")), "{text}");
    assert_eq!(
        (&month["limit"], &month["unit"], &month["window"]),
        (&json!(5), &json!("credits"), &json!("month"))
    );
    assert_eq!(month["resets_at"], "2026-12-01T00:00:00Z");
    assert!(limits.contains(&json!({"kind": "calls_at_once", "limit": 3})));
    assert!(limits.contains(&json!({"kind": "requests_a_minute", "limit": 60})));
    assert_eq!(owner["wallet"]["held"], 0);
    assert_eq!(
        owner["remaining"].to_string(),
        left.to_string(),
        "the key's own limit is nearer than the wallet's"
    );
    gate.finish().await;
}

#[tokio::test]
async fn looking_costs_nothing_and_a_flood_of_it_ends() {
    let gate = Gate::open().await;
    let anthropic = gate
        .bare(Method::GET, "/v1/usage")
        .header("x-api-key", KEY)
        .header("anthropic-version", "2023-06-01")
        .send()
        .await
        .expect("an answer");
    let keyless = gate
        .bare(Method::GET, "/v1/usage")
        .send()
        .await
        .expect("an answer");
    let mut looked = 1;
    let refused = loop {
        let answer = gate.get("/user/balance").send().await.expect("an answer");
        if answer.status() != 200 {
            break refusal(answer).await;
        }
        looked += 1;
        assert!(looked <= 300, "no end of it");
    };

    assert_eq!(anthropic.status(), 200);
    let keyless = refusal(keyless).await;
    assert_eq!((keyless.0, keyless.1.as_str()), (401, "missing_key"));
    assert_eq!((refused.0, refused.1.as_str()), (429, "rate_limited"));
    assert_eq!(looked, 300);
    let calls = usage::Entity::of(gate.buyer.tenant)
        .count(gate.till.db.read())
        .await
        .expect("usage reads");
    assert_eq!(calls, 0);
    gate.finish().await;
}

#[tokio::test]
async fn a_probe_learns_the_methods_and_no_other_origin_is_let_in() {
    let gate = Gate::open().await;

    for (path, methods) in [
        ("/v1/messages", "POST"),
        ("/messages/count_tokens", "POST"),
        ("/v1/responses", "POST"),
        ("/v1/models", "GET, HEAD"),
        ("/v1/usage", "GET, HEAD"),
    ] {
        let answer = gate
            .bare(Method::OPTIONS, path)
            .header("origin", "https://elsewhere.example")
            .header("access-control-request-method", "POST")
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 204, "{path}");
        assert_eq!(answer.headers()["allow"], methods, "{path}");
        let opened =
            |name: &reqwest::header::HeaderName| name.as_str().starts_with("access-control");
        assert!(!answer.headers().keys().any(opened), "{path}");
    }
    for path in ["/v1/models", "//models", "/v1/usage", "/user/balance"] {
        let head = gate
            .bare(Method::HEAD, path)
            .bearer_auth(KEY)
            .send()
            .await
            .expect("an answer");
        assert_eq!(head.status(), 200, "{path}");
        assert!(head.bytes().await.expect("a body").is_empty(), "{path}");
    }
    let codex = read(&gate, "/v1/models?client_version=0.169.0").await;
    assert_eq!(codex["models"], json!([]), "the bundled catalogue stays");
    gate.finish().await;
}

#[tokio::test]
async fn a_switchers_template_for_another_gateway_reads_what_is_left_and_what_was_spent() {
    let gate = Gate::open().await;
    let hidden = read(&gate, "/api/user/self").await;
    assert_eq!(hidden["data"]["quota"], Value::Null);
    promote(&gate, member::Role::Billing).await;
    let body = json!({"model": "sandbox/echo", "max_tokens": 10, "messages": [{"role": "user", "content": "one two"}]});
    let called = gate.post("/v1/chat/completions", &body).send().await;
    assert_eq!(called.expect("an answer").status(), 200);
    let charged = gate.ended(1).await[0].charge.nanos();

    let answer = gate
        .get("/api/user/self")
        .header("new-api-user", "7")
        .send()
        .await
        .expect("an answer");

    let account: Value = answer.json().await.expect("JSON");
    assert_eq!(account["success"], true);
    let units = |nanos: i64| nanos / 2_000;
    assert_eq!(account["data"]["quota"], units(10_000_000_000 - charged));
    assert_eq!(account["data"]["used_quota"], units(charged));
    assert_eq!(account["data"]["group"], "Default");
    gate.finish().await;
}
