//! What an operator decides on a page binds the very next call.

use crate::support::{
    gate::refusal,
    house::House,
    office::{Browser, between},
};
use api::demo;
use entity::{MemberId, Platform, Scoped, member, model};
use identity::person::SignedUp;
use reqwest::{Method, Response};
use sea_orm::{ColumnTrait, QueryFilter};
use serde_json::json;

const BOB: &str = "bob@example.org";

async fn call(house: &House, key: &str) -> Response {
    house
        .bare(Method::POST, "/v1/chat/completions")
        .bearer_auth(key)
        .json(&json!({
            "model": "sandbox/echo",
            "messages": [{"role": "user", "content": "hi"}],
        }))
        .send()
        .await
        .expect("an answer")
}

async fn served(house: &House, key: &str) -> u16 {
    let answer = call(house, key).await;
    let status = answer.status().as_u16();
    answer.bytes().await.expect("a body");
    status
}

async fn decide(operator: &mut Browser, path: &str, reason: &str) {
    let done = operator.send(path, &[("reason", reason)]).await;
    assert_eq!(done.status, 303, "{path}: {}", done.text);
}

/// Makes Bob a member of the demo's tenant too; returns that membership and his key there.
async fn colleague(
    house: &House,
    stage: &demo::Stage,
    bob: &SignedUp,
    operator: &mut Browser,
) -> (MemberId, String) {
    let path = format!("/console/operator/tenants/{}/members/new", stage.tenant);
    let fields = [("email", BOB), ("role", "developer"), ("reason", "hired")];
    let added = operator.send(&path, &fields).await;
    assert_eq!(added.status, 303, "{}", added.text);
    let row = member::Entity::of(stage.tenant)
        .filter(member::Column::PersonId.eq(bob.person))
        .one(house.db().read())
        .await
        .expect("members read")
        .expect("the membership");
    let mut browser = house.signed_in(BOB).await;
    let settings = browser.open("/console/settings").await;
    let switch = format!("/console/settings/tenants/{}/switch", stage.tenant);
    assert!(
        settings.text.contains(&switch),
        "the pages offer the switch"
    );
    let switched = browser.send_from("/console/settings", &switch, &[]).await;
    assert_eq!(switched.status, 303, "{}", switched.text);
    let fields = [("name", "Laptop"), ("expiry", "never")];
    let page = browser.send("/console/keys/new", &fields).await;
    let key = between(&page.text, "id=\"issued-key\">", "</pre>");
    (row.id, key.expect("a key").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_on_a_page_ends_one_members_calls_and_nobody_elses() {
    let house = House::open().await;
    let stage = house.furnish().await;
    let bob = house.resident(BOB, "Bob").await;
    let mut operator = house.signed_in(stage.operator).await;
    let (member, key) = colleague(&house, &stage, &bob, &mut operator).await;
    let path = |verb: &str| format!("/console/operator/members/{member}/{verb}");

    let before = served(&house, &key).await;
    decide(&mut operator, &path("ban"), "abuse").await;
    let (status, code, message) = refusal(call(&house, &key).await).await;
    let colleague = served(&house, &stage.key).await;
    decide(&mut operator, &path("unban"), "sorted out").await;
    let after = served(&house, &key).await;

    let home = house.signed_in(BOB).await.open("/console").await;

    assert_eq!(before, 200);
    assert_eq!(home.status, 200, "his own tenant is his as before");
    assert_eq!((status, code.as_str()), (403, "user_banned"), "{message}");
    assert_eq!(colleague, 200, "the tenant's other members go on");
    assert_eq!(after, 200);
    let calls = entity::usage::Entity::of(stage.tenant)
        .all(house.db().read())
        .await
        .expect("usage reads");
    assert_eq!(calls.len(), 3, "the refused call left no usage");
    house.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_on_a_page_ends_one_models_calls_and_no_others() {
    let house = House::open().await;
    let stage = house.furnish().await;
    let mut operator = house.signed_in(stage.operator).await;
    let echo = model::Entity::every()
        .filter(model::Column::Name.eq("sandbox/echo"))
        .one(house.db().read())
        .await
        .expect("models read")
        .expect("the model");
    let path = |verb: &str| format!("/console/operator/models/{}/{verb}", echo.id);

    let before = served(&house, &stage.key).await;
    decide(&mut operator, &path("block"), "under repair").await;
    let (status, code, message) = refusal(call(&house, &stage.key).await).await;
    let other = house
        .bare(Method::POST, "/v1/embeddings")
        .bearer_auth(&stage.key)
        .json(&json!({"model": "sandbox/embedding", "input": "hi"}))
        .send()
        .await
        .expect("an answer")
        .status();
    let unblocked = operator
        .send_from("/console/operator/models", &path("unblock"), &[])
        .await;
    let after = served(&house, &stage.key).await;

    assert_eq!(before, 200);
    assert_eq!((status, code.as_str()), (403, "model_blocked"), "{message}");
    assert!(message.contains("under repair"), "{message}");
    assert_eq!(other, 200, "other models go on");
    assert_eq!(unblocked.status, 303);
    assert_eq!(after, 200);
    house.finish().await;
}
