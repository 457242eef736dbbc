//! Whom a group takes, where a call goes that it does not take, what its owner is told and shown, and the doctor.

use std::collections::BTreeSet;

use billing::{
    plan::Rule,
    shop::group::{self, AddGroup, ChangeGroup},
};
use entity::{Actor, ChannelId, GroupId, Platform, Protocol, channel, group::client};
use reqwest::{Method, Response};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

use crate::{
    gateway_plan::on_plan,
    support::gate::{Gate, KEY, refusal},
};

const CALLS: [&str; 4] = [
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/embeddings",
];
const CODEX: &str = "codex_exec/0.156.0 (Debian 12; x86_64)";
const CLAUDE: &str = "claude-cli/2.1.39 (external, cli)";

fn body(path: &str) -> Value {
    let model = if path.ends_with("embeddings") {
        "sandbox/embedding"
    } else {
        "sandbox/echo"
    };
    json!({"model": model, "max_tokens": 5, "input": "hi", "messages": [{"role": "user", "content": "hi"}]})
}

/// What a test says of a group; the rest is open.
#[derive(Default)]
struct Wish {
    title: &'static str,
    clients: &'static str,
    protocols: Vec<Protocol>,
    fallback: Option<GroupId>,
    empty: bool,
    /// Another channel than the sandbox.
    only: Option<ChannelId>,
    multiplier_ppm: i64,
}

async fn sandbox(gate: &Gate) -> ChannelId {
    let row = channel::Entity::every()
        .filter(channel::Column::Kind.eq(channel::Kind::Sandbox))
        .order_by_asc(channel::Column::Id)
        .one(gate.till.db.read())
        .await
        .expect("channels read");
    row.expect("the sandbox is there").id
}

async fn shape(gate: &Gate, id: GroupId, wish: Wish) {
    let channels = if wish.empty {
        BTreeSet::new()
    } else {
        BTreeSet::from([match wish.only {
            Some(channel) => channel,
            None => sandbox(gate).await,
        }])
    };
    let clients: Vec<client::Rule> = if wish.clients.is_empty() {
        Vec::new()
    } else {
        serde_json::from_str(wish.clients).expect("rules")
    };
    let change = ChangeGroup {
        group: id,
        title: wish.title.to_owned(),
        multiplier_ppm: wish.multiplier_ppm.max(1_000_000),
        default_model: None,
        channels,
        protocols: wish.protocols.into_iter().collect(),
        clients,
        fallback: wish.fallback,
        stops_when_left: false,
        counted_ppm: 1_000_000,
        strict_translation: false,
    };
    group::change(&gate.till.db, change, Actor::System, gate.clock.now())
        .await
        .expect("the group is changed");
}

async fn add(gate: &Gate, name: &str, wish: Wish) -> GroupId {
    let order = AddGroup {
        name: name.to_owned(),
        title: wish.title.to_owned(),
    };
    let id = group::add(&gate.till.db, order, Actor::System, gate.clock.now())
        .await
        .expect("a group is added");
    shape(gate, id, wish).await;
    id
}

async fn call(gate: &Gate, path: &str, agent: &str, header: &str) -> Response {
    let request = gate.bare(Method::POST, path).header("user-agent", agent);
    let request = match header {
        "x-api-key" => request.header("x-api-key", KEY),
        _ => request.bearer_auth(KEY),
    };
    request.json(&body(path)).send().await.expect("an answer")
}

#[tokio::test]
async fn the_policy_holds_on_every_endpoint_and_every_credential_header() {
    let gate = Gate::open().await;
    let only_claude = Wish {
        title: "Claude",
        clients: r#"["claude_code"]"#,
        ..Wish::default()
    };
    shape(&gate, gate.group, only_claude).await;

    for path in CALLS {
        for spelling in [
            path.to_owned(),
            path.replace("/v1", ""),
            path.replace("/v1", "/v1/v1"),
        ] {
            for header in ["authorization", "x-api-key"] {
                let refused = refusal(call(&gate, &spelling, CODEX, header).await).await;
                let served = call(&gate, &spelling, CLAUDE, header).await;

                assert_eq!(
                    (refused.0, refused.1.as_str()),
                    (403, "client_not_allowed"),
                    "{spelling} {header}"
                );
                assert_eq!(served.status(), 200, "{spelling} {header}");
            }
        }
    }
    gate.finish().await;
}

#[tokio::test]
async fn counts_lists_and_look_ups_are_answered_to_every_client() {
    let gate = Gate::open().await;
    let nobody = Wish {
        title: "Droid",
        clients: r#"["droid"]"#,
        protocols: vec![Protocol::Chat],
        ..Wish::default()
    };
    shape(&gate, gate.group, nobody).await;

    let count = call(&gate, "/v1/messages/count_tokens", CLAUDE, "x-api-key").await;
    assert_eq!(count.status(), 200);
    for path in [
        "/v1/models",
        "/v1/models/sandbox/echo",
        "/v1/usage",
        "/user/balance",
        "/v1/doctor",
    ] {
        let answer = gate
            .get(path)
            .header("user-agent", CODEX)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_client_outside_of_its_versions_is_told_which_to_use() {
    let gate = Gate::open().await;
    let between = Wish {
        title: "Codex",
        clients: r#"[{"kind": "codex", "least": "0.150", "most": "0.160.0"}]"#,
        ..Wish::default()
    };
    shape(&gate, gate.group, between).await;

    let old = refusal(call(&gate, CALLS[1], "codex_exec/0.149.9", "authorization").await).await;
    let new = refusal(call(&gate, CALLS[1], "codex_exec/0.160.1", "authorization").await).await;
    let silent = call(&gate, CALLS[1], "codex-tui", "authorization").await;
    let right = call(&gate, CALLS[1], CODEX, "authorization").await;

    assert_eq!(old.1, "client_not_allowed");
    assert!(
        old.2.contains("Codex 0.149.9") && old.2.contains("version 0.150 or later"),
        "{}",
        old.2
    );
    assert!(
        new.2
            .contains("version 0.160.0 of the client or an earlier"),
        "{}",
        new.2
    );
    assert_eq!(
        (silent.status().as_u16(), right.status().as_u16()),
        (200, 200)
    );
    gate.finish().await;
}

#[tokio::test]
async fn a_refusal_names_the_client_what_the_group_takes_and_the_group_that_would_fit() {
    let gate = Gate::open().await;
    let claude = Wish {
        title: "Claude only",
        clients: r#"["claude_code"]"#,
        ..Wish::default()
    };
    shape(&gate, gate.group, claude).await;
    let alone = refusal(call(&gate, CALLS[0], CODEX, "authorization").await).await;
    let wrong = Wish {
        title: "An empty one",
        empty: true,
        ..Wish::default()
    };
    add(&gate, "empty", wrong).await;
    let open = Wish {
        title: "For Codex",
        clients: r#"["codex"]"#,
        ..Wish::default()
    };
    add(&gate, "codex", open).await;

    let with_other = refusal(call(&gate, CALLS[0], CODEX, "authorization").await).await;

    for part in ["`Claude only`", "Claude Code", "Codex 0.156.0"] {
        assert!(
            alone.2.contains(part) && with_other.2.contains(part),
            "{}",
            with_other.2
        );
    }
    assert!(alone.2.contains("No other group"), "{}", alone.2);
    assert!(with_other.2.contains("`For Codex`"), "{}", with_other.2);
    gate.finish().await;
}

#[tokio::test]
async fn what_a_group_does_not_take_or_have_goes_to_its_fallback_at_the_fallbacks_price() {
    let gate = Gate::open().await;
    let dear = Wish {
        title: "Dear",
        multiplier_ppm: 2_000_000,
        ..Wish::default()
    };
    let fallback = add(&gate, "dear", dear).await;
    let claude = Wish {
        title: "Claude only",
        clients: r#"["claude_code"]"#,
        fallback: Some(fallback),
        ..Wish::default()
    };
    shape(&gate, gate.group, claude).await;

    let own = call(&gate, CALLS[0], CLAUDE, "authorization").await;
    let other = call(&gate, CALLS[0], CODEX, "authorization").await;
    let empty = Wish {
        title: "Claude only",
        fallback: Some(fallback),
        empty: true,
        ..Wish::default()
    };
    shape(&gate, gate.group, empty).await;
    let lacking = call(&gate, CALLS[0], CLAUDE, "authorization").await;

    for answer in [own, other, lacking] {
        assert_eq!(answer.status(), 200);
    }
    let ended = gate.ended(3).await;
    assert_eq!(
        (ended[0].group_id, ended[1].group_id),
        (gate.group, fallback)
    );
    assert_eq!(ended[2].group_id, fallback);
    assert_eq!(ended[1].charge.nanos(), 2 * ended[0].charge.nanos());
    gate.finish().await;
}

/// The key's group takes Codex only and has the sandbox; its fallback has `second` only, and that one's own `third`.
async fn two_steps(gate: &Gate) -> GroupId {
    let mut fallback = None;
    for (name, title, multiplier_ppm) in [
        ("third", "The third", 3_000_000),
        ("second", "The second", 2_000_000),
    ] {
        let channel = ChannelId::fresh();
        gate.add_channel(channel, channel::Kind::Sandbox, "").await;
        gate.add_model(name, entity::model::Kind::Chat).await;
        gate.serve(channel, name, "sandbox/echo").await;
        let wish = Wish {
            title,
            only: Some(channel),
            fallback,
            multiplier_ppm,
            ..Wish::default()
        };
        fallback = Some(add(gate, name, wish).await);
    }
    let own = Wish {
        title: "Codex only",
        clients: r#"["codex"]"#,
        fallback,
        ..Wish::default()
    };
    shape(gate, gate.group, own).await;
    fallback.expect("two groups were added")
}

async fn ask_for(gate: &Gate, agent: &str, model: &str) -> Response {
    let body =
        json!({"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
    gate.post(CALLS[0], &body)
        .header("user-agent", agent)
        .send()
        .await
        .expect("an answer")
}

#[tokio::test]
async fn a_call_makes_one_step_to_a_fallback_and_no_further() {
    let gate = Gate::open().await;
    let second = two_steps(&gate).await;

    let one_step = ask_for(&gate, CLAUDE, "second").await;
    let two = refusal(ask_for(&gate, CLAUDE, "third").await).await;
    let own = refusal(ask_for(&gate, CLAUDE, "sandbox/echo").await).await;

    assert_eq!(one_step.status(), 200);
    assert_eq!(gate.ended(1).await[0].group_id, second);
    for (status, code, message) in [&two, &own] {
        assert_eq!((*status, code.as_str()), (403, "client_not_allowed"));
        for part in ["`Codex only`", "Codex only", "Claude Code 2.1.39"] {
            assert!(message.contains(part), "{message}");
        }
    }
    assert!(two.2.contains("`The third`"), "{}", two.2);
    assert!(own.2.contains("No other group"), "{}", own.2);
    assert_eq!(gate.ended_so_far().await, 1);
    gate.finish().await;
}

#[tokio::test]
async fn the_list_and_the_doctor_say_of_a_fallback_what_a_call_finds() {
    let gate = Gate::open().await;
    two_steps(&gate).await;

    for agent in [CLAUDE, CODEX] {
        for (model, is_had) in [("second", true), ("third", false)] {
            let get = async |path: String| {
                let request = gate.get(&path).header("user-agent", agent);
                request.send().await.expect("an answer")
            };
            let called = ask_for(&gate, agent, model).await;
            let shown = get(format!("/v1/models/{model}")).await;
            let listed: Value = get("/v1/models".to_owned())
                .await
                .json()
                .await
                .expect("JSON");
            let doctor: Value = get(format!("/v1/doctor?model={model}&path={}", CALLS[0]))
                .await
                .json()
                .await
                .expect("JSON");

            assert_eq!(called.status() == 200, is_had, "{agent} {model}");
            assert_eq!(shown.status() == 200, is_had, "{agent} {model}");
            let names: Vec<_> = listed["data"].as_array().expect("a list").iter().collect();
            assert_eq!(
                names.iter().any(|entry| entry["id"] == model),
                is_had,
                "{listed}"
            );
            assert_eq!(doctor["ok"] == true, is_had, "{agent} {doctor}");
            let says = doctor["checks"][0]["says"].as_str().expect("words");
            assert_eq!(says.contains("`The second`, serves it"), is_had, "{says}");
        }
    }
    gate.finish().await;
}

#[tokio::test]
async fn the_doctor_names_no_group_that_lacks_the_model() {
    let gate = Gate::open().await;
    two_steps(&gate).await;
    let alone = Wish {
        title: "Codex only",
        clients: r#"["codex"]"#,
        ..Wish::default()
    };
    shape(&gate, gate.group, alone).await;

    let call = refusal(ask_for(&gate, CLAUDE, "sandbox/echo").await).await;
    let doctor: Value = gate
        .get("/v1/doctor?model=sandbox/echo&path=/v1/chat/completions")
        .header("user-agent", CLAUDE)
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");

    assert!(call.2.contains("No other group"), "{}", call.2);
    let checks = doctor["checks"].to_string();
    assert!(
        !checks.contains("The second") && !checks.contains("The third"),
        "{checks}"
    );
    assert_eq!(doctor["checks"][2]["state"], "bad");
    gate.finish().await;
}

#[tokio::test]
async fn thirty_equal_refusals_are_a_row_and_a_number_with_what_to_do() {
    let gate = Gate::open().await;
    let claude = Wish {
        title: "Claude only",
        clients: r#"["claude_code"]"#,
        ..Wish::default()
    };
    shape(&gate, gate.group, claude).await;
    let open = Wish {
        title: "Open",
        ..Wish::default()
    };
    add(&gate, "open", open).await;

    for _ in 0..30 {
        assert_eq!(
            call(&gate, CALLS[0], CODEX, "authorization").await.status(),
            403
        );
    }
    let first = gate.rejections(1).await.remove(0);
    gate.gateway.landed().await;
    let all = gate.rejections(2).await;

    assert_eq!(
        (first.calls, first.code.as_str()),
        (1, "client_not_allowed")
    );
    assert_eq!(all.iter().map(|row| row.calls).sum::<i64>(), 30);
    assert_eq!(all.len(), 2);
    assert_eq!(first.path.as_deref(), Some(CALLS[0]));
    assert_eq!(first.client_kind, "codex");
    let fix = first.fix.as_deref().and_then(entity::rejection::Fix::parse);
    assert_eq!(
        fix,
        Some(entity::rejection::Fix::UseGroup {
            group: "Open".to_owned()
        })
    );
    let headers = first.headers.expect("headers");
    assert!(
        headers.contains(CODEX) && headers.contains("Bearer ("),
        "{headers}"
    );
    assert!(!headers.contains(KEY), "never a credential");
    gate.finish().await;
}

#[tokio::test]
async fn a_wrong_base_url_of_a_known_key_is_kept_for_its_owner() {
    let gate = Gate::open().await;

    let stranger = gate
        .bare(Method::POST, "/api/v3/chat/completions")
        .send()
        .await
        .expect("an answer");
    let owner = gate
        .post("/api/v3/chat/completions", &json!({}))
        .send()
        .await
        .expect("an answer");

    assert_eq!(
        (stranger.status().as_u16(), owner.status().as_u16()),
        (404, 404)
    );
    let kept = gate.rejections(1).await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].code, "route_not_found");
    assert_eq!(kept[0].path.as_deref(), Some("/api/v3/chat/completions"));
    gate.finish().await;
}

#[tokio::test]
async fn the_doctor_explains_what_is_wrong_in_order() {
    let gate = Gate::open().await;
    let claude = Wish {
        title: "Claude only",
        clients: r#"["claude_code"]"#,
        ..Wish::default()
    };
    shape(&gate, gate.group, claude).await;
    refusal(call(&gate, CALLS[0], CODEX, "authorization").await).await;
    gate.rejections(1).await;
    let ask = |path: &str, agent: &str| gate.get(path).header("user-agent", agent).send();
    let read = |answer: Response| async move { answer.json::<Value>().await.expect("JSON") };

    let good = read(
        ask("/v1/doctor?model=sandbox/echo", CLAUDE)
            .await
            .expect("an answer"),
    )
    .await;
    let bad = read(
        ask("/doctor?model=sandbox/ecko&path=/api/chat", CODEX)
            .await
            .expect("an answer"),
    )
    .await;
    let broken = gate
        .bare(Method::GET, "/v1/doctor")
        .header("authorization", format!("Bearer \"{KEY}\""))
        .send()
        .await
        .expect("an answer");

    assert_eq!(good["ok"], true, "{good}");
    let recent = &good["recent"][0];
    assert_eq!(
        (&recent["code"], &recent["client"]),
        (&json!("client_not_allowed"), &json!("Codex"))
    );
    assert!(recent["fix"].is_string());
    let states: Vec<_> = bad["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .map(|check| (check["check"].clone(), check["state"].clone()))
        .collect();
    assert_eq!(
        states,
        [
            (json!("group_fits_model"), json!("bad")),
            (json!("base_url"), json!("bad")),
            (json!("client_fits_group"), json!("bad")),
            (json!("headers"), json!("good")),
            (json!("key_format"), json!("good")),
        ]
    );
    assert_eq!(bad["ok"], false);
    assert_eq!(broken.status(), 401);
    let broken = read(broken).await;
    assert_eq!(broken["error"]["code"], "invalid_key");
    assert_eq!(broken["checks"][4]["state"], "bad");
    assert!(!broken.to_string().contains(KEY));
    gate.finish().await;
}

#[tokio::test]
async fn a_key_of_a_closed_group_is_told_so() {
    let gate = Gate::open().await;
    let closed = entity::group::Entity::change().filter(entity::group::Column::Id.eq(gate.group));
    gate.change(
        closed,
        entity::group::Column::Status,
        entity::group::Status::Disabled,
    )
    .await;

    let refused = refusal(call(&gate, CALLS[0], CLAUDE, "authorization").await).await;

    assert_eq!((refused.0, refused.1.as_str()), (403, "group_mismatch"));
    assert_eq!(gate.rejections(1).await[0].key_id, gate.key);
    gate.finish().await;
}

#[tokio::test]
async fn a_model_outside_of_the_plan_names_the_group_in_which_the_plan_has_it() {
    let gate = Gate::open().await;
    let open = Wish {
        title: "In the plan",
        ..Wish::default()
    };
    let inside = add(&gate, "inside", open).await;
    on_plan(
        &gate,
        vec![Rule::Groups {
            groups: vec![inside],
        }],
    )
    .await;

    let refused = refusal(call(&gate, CALLS[0], CODEX, "authorization").await).await;

    assert_eq!((refused.0, refused.1.as_str()), (403, "model_not_in_plan"));
    assert!(refused.2.contains("`In the plan`"), "{}", refused.2);
    let fix = gate.rejections(1).await.remove(0).fix;
    assert!(fix.is_some_and(|fix| fix.contains("In the plan")));
    gate.finish().await;
}
