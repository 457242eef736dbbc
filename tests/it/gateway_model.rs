//! Which models a key may use, what it sees of them, and what an impossible model is answered.

use entity::{ChannelId, Platform, channel, model};
use sea_orm::{ColumnTrait, QueryFilter};
use serde_json::{Value, json};

use crate::support::gate::{Gate, KEY, refusal};

const CHAT: &str = "/v1/chat/completions";

fn asking_for(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, "input": "hi"})
}

async fn refused(gate: &Gate, path: &str, model: &str) -> (u16, String, String) {
    let response = gate
        .post(path, &asking_for(model))
        .send()
        .await
        .expect("an answer");
    refusal(response).await
}

#[tokio::test]
async fn a_name_is_found_in_any_case_and_behind_a_provider_prefix() {
    let gate = Gate::open().await;

    for name in [
        "sandbox/echo",
        "Sandbox/ECHO",
        " sandbox/echo ",
        "openrouter/sandbox/echo",
    ] {
        let answer = gate
            .post(CHAT, &asking_for(name))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200, "{name}");
    }
    gate.finish().await;
}

#[tokio::test]
async fn an_unknown_model_is_answered_with_the_nearest_names() {
    let gate = Gate::open().await;

    let (status, code, message) = refused(&gate, CHAT, "sandbox/ecko").await;
    let claude = gate
        .post("/v1/messages", &asking_for("sandbox/ecko"))
        .header("user-agent", "claude-cli/2.1.329 (external, cli)")
        .send()
        .await
        .expect("an answer");

    assert_eq!((status, code.as_str()), (404, "model_not_found"));
    assert!(message.contains("Did you mean sandbox/echo"), "{message}");
    assert_eq!(claude.status(), 403, "Claude Code hides the text of a 404");
    assert_eq!(refusal(claude).await.1, "model_not_found");
    let kept = gate.rejections(2).await;
    assert_eq!(kept[0].model_name.as_deref(), Some("sandbox/ecko"));
    gate.finish().await;
}

#[tokio::test]
async fn a_blocked_model_is_refused_at_once_and_not_listed() {
    let gate = Gate::open().await;
    assert_eq!(
        gate.post(CHAT, &asking_for("sandbox/echo"))
            .send()
            .await
            .expect("an answer")
            .status(),
        200
    );
    let row = model::Entity::change().filter(model::Column::Name.eq("sandbox/echo"));
    gate.change(row, model::Column::Status, model::Status::Blocked)
        .await;

    let (status, code, _) = refused(&gate, CHAT, "sandbox/echo").await;
    let list: Value = gate
        .get("/v1/models")
        .send()
        .await
        .expect("a list")
        .json()
        .await
        .expect("JSON");

    assert_eq!((status, code.as_str()), (403, "model_blocked"));
    assert!(!list.to_string().contains("sandbox/echo"));
    gate.finish().await;
}

#[tokio::test]
async fn a_model_without_a_price_is_never_free() {
    let gate = Gate::open().await;
    let sandbox = ChannelId::fresh();
    gate.add_channel(sandbox, channel::Kind::Sandbox, "").await;
    let order = billing::shop::model::AddModel {
        name: "sandbox/unpriced".to_owned(),
        kind: model::Kind::Chat,
        context_window: None,
        max_output: None,
        capabilities: Vec::new(),
    };
    billing::shop::model::add(
        &gate.till.db,
        order,
        entity::Actor::System,
        gate.clock.now(),
    )
    .await
    .expect("a model is added");
    gate.serve(sandbox, "sandbox/unpriced", "sandbox/echo")
        .await;

    let hidden = refused(&gate, CHAT, "sandbox/unpriced").await;
    let row = model::Entity::change().filter(model::Column::Name.eq("sandbox/unpriced"));
    gate.change(row, model::Column::Status, model::Status::Active)
        .await;
    let unpriced = refused(&gate, CHAT, "sandbox/unpriced").await;

    assert_eq!((hidden.0, hidden.1.as_str()), (404, "model_not_found"));
    assert_eq!((unpriced.0, unpriced.1.as_str()), (503, "no_channel"));
    assert!(unpriced.2.contains("no price"));
    gate.finish().await;
}

#[tokio::test]
async fn a_model_without_a_channel_says_so_and_a_wrong_endpoint_names_the_right_one() {
    let gate = Gate::open().await;
    gate.add_model("orphan", model::Kind::Chat).await;

    let orphan = refused(&gate, CHAT, "orphan").await;
    let body = json!({"model": "orphan", "messages": [{"role": "user", "content": "hi"}]});
    let answer = gate.post(CHAT, &body).send().await.expect("an answer");
    assert_eq!(answer.headers()["x-should-retry"], "false");
    assert!(!answer.headers().contains_key("retry-after"));
    let embeds = refused(&gate, CHAT, "sandbox/embedding").await;
    let chats = refused(&gate, "/v1/embeddings", "sandbox/echo").await;

    assert_eq!((orphan.0, orphan.1.as_str()), (503, "no_channel"));
    assert_eq!((embeds.0, embeds.1.as_str()), (400, "invalid_request"));
    assert!(embeds.2.contains("/v1/embeddings"));
    assert_eq!((chats.0, chats.1.as_str()), (400, "invalid_request"));
    gate.finish().await;
}

#[tokio::test]
async fn a_blank_model_takes_the_default_of_the_group() {
    let gate = Gate::open().await;
    let blank = refused(&gate, CHAT, "").await;
    let echo = gate.model("sandbox/echo").await.id;
    let group = entity::group::Entity::change().filter(entity::group::Column::Id.eq(gate.group));
    gate.change(group, entity::group::Column::DefaultModelId, echo)
        .await;

    let answer = gate
        .post(CHAT, &asking_for(""))
        .send()
        .await
        .expect("an answer");

    assert_eq!((blank.0, blank.1.as_str()), (400, "model_required"));
    assert_eq!(answer.status(), 200);
    assert_eq!(gate.ended(1).await[0].model_id, echo);
    gate.finish().await;
}

#[tokio::test]
async fn one_list_of_models_serves_every_dialect() {
    let gate = Gate::open().await;

    let list: Value = gate
        .get("/v1/models")
        .send()
        .await
        .expect("a list")
        .json()
        .await
        .expect("JSON");
    let page: Value = gate
        .bare(
            reqwest::Method::GET,
            "/v1/models?limit=2&after_id=sandbox/cut",
        )
        .header("x-api-key", KEY)
        .header("anthropic-version", "2023-06-01")
        .send()
        .await
        .expect("a list")
        .json()
        .await
        .expect("JSON");
    let one: Value = gate
        .get("/v1/models/sandbox/echo")
        .send()
        .await
        .expect("a model")
        .json()
        .await
        .expect("JSON");
    let none = refusal(
        gate.get("/v1/models/nothing")
            .send()
            .await
            .expect("an answer"),
    )
    .await;

    assert_eq!(list["object"], "list");
    assert_eq!(list["models"], json!([]));
    let names: Vec<_> = list["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|model| model["id"].clone())
        .collect();
    assert!(
        names.contains(&json!("sandbox/echo")) && names.contains(&json!("text-embedding-3-small"))
    );
    assert_eq!(page["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(page["first_id"], "sandbox/echo");
    assert_eq!(page["has_more"], true);
    assert_eq!(
        (
            one["id"].clone(),
            one["object"].clone(),
            one["type"].clone()
        ),
        (json!("sandbox/echo"), json!("model"), json!("model"))
    );
    assert_eq!((none.0, none.1.as_str()), (404, "model_not_found"));
    assert_eq!(
        gate.bare(reqwest::Method::GET, "/v1/models")
            .send()
            .await
            .expect("an answer")
            .status(),
        401
    );
    gate.finish().await;
}

#[tokio::test]
async fn a_page_before_a_model_ends_just_before_it() {
    let gate = Gate::open().await;
    let read = async |query: String| -> Value {
        let list = gate.get(&format!("/v1/models?{query}")).send().await;
        list.expect("a list").json().await.expect("JSON")
    };
    let names = |list: &Value| -> Vec<String> {
        let entries = list["data"].as_array().expect("a list").iter();
        entries
            .map(|entry| entry["id"].as_str().expect("a name").to_owned())
            .collect()
    };
    let all = names(&read(String::new()).await);

    let page = read(format!("limit=2&before_id={}", all[5])).await;
    assert_eq!(names(&page), all[3..5]);
    assert_eq!(
        (&page["first_id"], &page["last_id"], &page["has_more"]),
        (&json!(all[3]), &json!(all[4]), &json!(true))
    );
    let rest = read(format!("limit=4&before_id={}", all[3])).await;
    assert_eq!(names(&rest), all[..3]);
    assert_eq!(rest["has_more"], false);
    let none = read(format!("before_id={}", all[0])).await;
    assert_eq!((names(&none).len(), &none["has_more"]), (0, &json!(false)));
    let between = read(format!("after_id={}&before_id={}&limit=2", all[0], all[5])).await;
    assert_eq!(names(&between), all[3..5]);
    assert_eq!(between["has_more"], true);
    gate.finish().await;
}

#[tokio::test]
async fn a_list_that_the_asker_has_is_not_sent_again() {
    let gate = Gate::open().await;
    let first = gate.get("/v1/models").send().await.expect("an answer");
    let tag = first.headers()["etag"].to_str().expect("text").to_owned();
    assert_eq!(first.headers()["cache-control"], "private, no-cache");

    let again = gate.get("/v1/models").header("if-none-match", &tag);
    let again = again.send().await.expect("an answer");
    assert_eq!(again.status(), 304);
    assert!(again.bytes().await.expect("a body").is_empty());

    gate.add_upstream(
        channel::Kind::OpenaiCompatible,
        "http://127.0.0.1:9",
        "new-one",
    )
    .await;
    let changed = gate.get("/v1/models").header("if-none-match", &tag);
    let changed = changed.send().await.expect("an answer");
    assert_eq!(changed.status(), 200);
    assert_ne!(changed.headers()["etag"], tag.as_str());
    gate.finish().await;
}
