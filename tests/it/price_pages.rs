//! Promises of the pages about prices, statements and refunds, as operators and members see them.

use crate::support::house::House;
use entity::{
    AttemptId, Credits, Platform, attempt, ledger_transaction::Kind, model, price_version,
};
use entity::{Scoped, ledger_transaction, tenant, usage};
use reqwest::Method;
use sea_orm::{ActiveModelTrait, ColumnTrait, DbErr, IntoActiveModel, QueryFilter};
use serde_json::json;

/// A house with a member who made one call.
async fn with_a_call() -> (House, api::demo::Stage, usage::Model) {
    let house = House::open().await;
    let stage = house.furnish().await;
    let answer = house
        .bare(Method::POST, "/v1/chat/completions")
        .bearer_auth(&stage.key)
        .json(&json!({"model": "sandbox/echo", "messages": [{"role": "user", "content": "one two three"}]}))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.bytes().await.expect("a body");
    let call = usage::Entity::of(stage.tenant)
        .one(house.db().read())
        .await
        .expect("usage reads")
        .expect("a call");
    (house, stage, call)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refunded_call_shows_on_the_call_and_in_the_statement_of_its_member() {
    let (house, stage, call) = with_a_call().await;
    let mut operator = house.signed_in(stage.operator).await;
    let mut member = house.signed_in(stage.member).await;
    let path = format!("/console/operator/calls/{}/refund", call.id);

    let shown = operator
        .open(&format!("/console/operator/calls/{}", call.id))
        .await;
    let form = operator.open(&path).await;
    let silent = operator.send(&path, &[("once", "a")]).await;
    let too_much = [("once", "a"), ("reason", "outage"), ("amount", "999")];
    let too_much = operator.send(&path, &too_much).await;
    let fields = [("once", "a"), ("reason", "the provider was down")];
    let done = operator.send(&path, &fields).await;
    let again = operator.send(&path, &fields).await;
    let twice = [("once", "b"), ("reason", "once more")];
    let twice = operator.send(&path, &twice).await;

    assert_eq!((shown.status, form.status), (200, 200));
    assert_eq!((silent.status, too_much.status), (422, 422));
    assert_eq!((done.status, again.status, twice.status), (303, 303, 422));
    let seen = member.open(&format!("/console/usage/{}", call.id)).await;
    assert!(seen.text.contains("the provider was down"));
    let statement = member.open("/console/statement").await;
    assert!(statement.text.contains("Refund of a call"));
    assert!(statement.text.contains("the provider was down"));
    let entry = ledger_transaction::Entity::of(stage.tenant)
        .filter(ledger_transaction::Column::Kind.eq(Kind::Correct))
        .one(house.db().read())
        .await
        .expect("entries read")
        .expect("the correction");
    let entry = member
        .open(&format!("/console/statement/{}", entry.id))
        .await;
    assert!(entry.text.contains(&call.id.to_string()));
    let file = member.open("/console/statement.csv").await;
    assert!(file.text.starts_with("id,posted_at,kind,credits"));
    assert!(file.text.contains(",correct,"), "{}", file.text);
    let calls = member.open("/console/usage.csv").await;
    assert!(calls.text.contains(&call.id.to_string()));
    assert!(!calls.text.contains("upstream_cost"));
    let operators = format!("/console/operator/tenants/{}/usage.csv", stage.tenant);
    let operators = operator.open(&operators).await;
    assert!(operators.text.contains("upstream_cost"));
    house.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statement_tells_the_balance_at_a_moment_and_no_future() {
    let (house, stage, _) = with_a_call().await;
    let mut member = house.signed_in(stage.member).await;

    let before = member.open("/console/statement?at=2020-01-01").await;
    let now = member
        .open("/console/statement?at=2026-11-18T11:06:40")
        .await;
    let future = member.open("/console/statement?at=2100-01-01").await;

    assert!(before.text.contains("Balance then"));
    assert_eq!((before.status, now.status, future.status), (200, 200, 422));
    assert!(future.text.contains("Write a time of the past"));
    house.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sets_a_tenants_multiplier_and_a_price_with_every_class() {
    let (house, stage, _) = with_a_call().await;
    let mut operator = house.signed_in(stage.operator).await;
    let path = format!("/console/operator/tenants/{}/multiplier", stage.tenant);

    let absurd = [("multiplier", "-1"), ("reason", "x")];
    let absurd = operator.send(&path, &absurd).await;
    let silent = operator.send(&path, &[("multiplier", "0.8")]).await;
    let set = [("multiplier", "0.8"), ("reason", "a large customer")];
    let set = operator.send(&path, &set).await;

    assert_eq!((absurd.status, silent.status, set.status), (422, 422, 303));
    let kept = tenant::Entity::every()
        .filter(tenant::Column::Id.eq(stage.tenant))
        .one(house.db().read())
        .await;
    let kept = kept.expect("reads").expect("the tenant");
    assert_eq!(kept.multiplier_ppm, 800_000);

    let echo = model::Entity::every()
        .filter(model::Column::Name.eq("sandbox/echo"))
        .one(house.db().read())
        .await;
    let echo = echo.expect("reads").expect("the model");
    let path = format!("/console/operator/models/{}/price", echo.id);
    let fields = [
        ("input", "3"),
        ("output", "15"),
        ("output_audio", "64"),
        ("web_search", "0.02"),
        ("lengths", "272000 input=5 output=22.5"),
        ("cost_input", "2"),
        ("cost_output", "10"),
        ("from", "2027-01-01T00:00"),
    ];
    let planned = operator.send(&path, &fields).await;
    let past = [
        ("input", "3"),
        ("output", "15"),
        ("from", "2020-01-01T00:00"),
    ];
    let past = operator.send(&path, &past).await;
    let shown = operator.open(&path).await;

    assert_eq!((planned.status, past.status), (303, 422));
    assert!(shown.text.contains("planned") && shown.text.contains("One web search: 0.02"));
    let stored = price_version::Entity::every()
        .filter(price_version::Column::ModelId.eq(echo.id))
        .filter(price_version::Column::Classes.is_not_null())
        .one(house.db().read())
        .await;
    let stored = stored.expect("reads").expect("the price");
    assert_eq!(stored.cost_output, Some(10_000_000_000));
    house.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pasted_table_is_shown_first_and_taken_over_when_ticked() {
    let house = House::open().await;
    let stage = house.furnish().await;
    let mut operator = house.signed_in(stage.operator).await;
    let path = "/console/operator/models/import";
    let table = r#"{"spoken": {"litellm_provider": "v", "mode": "chat", "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "output_cost_per_image": 0.04}}"#;

    let looked = [("step", "look"), ("table", table)];
    let looked = operator.send(path, &looked).await;
    let nonsense = operator
        .send(path, &[("step", "look"), ("table", "{}")])
        .await;
    let taken = operator
        .send(path, &[("models", "spoken"), ("table", table)])
        .await;

    assert_eq!(
        (looked.status, nonsense.status, taken.status),
        (200, 422, 303)
    );
    assert!(
        looked
            .text
            .contains("Not charged apart: output_cost_per_image")
    );
    let model = model::Entity::every()
        .filter(model::Column::Name.eq("spoken"))
        .one(house.db().read())
        .await;
    assert_eq!(
        model.expect("reads").expect("the model").status,
        model::Status::Active
    );
    house.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_on_a_call_what_was_tried_in_vain_and_members_do_not() {
    let (house, stage, call) = with_a_call().await;
    let mut operator = house.signed_in(stage.operator).await;
    let mut member = house.signed_in(stage.member).await;
    let at = format!("/console/operator/calls/{}", call.id);
    let before = operator.open(&at).await;
    let tried = attempt::Model {
        id: AttemptId::fresh(),
        call_id: call.id,
        channel_id: call.channel_id.expect("a channel"),
        model_id: call.model_id,
        status: Some(529),
        fault: "status 529: overloaded_error <b>Overloaded</b>".to_owned(),
        took_ms: 1_234,
        cost: Some(Credits::from_nanos(5_000_000)),
        created_at: call.started_at,
    };
    let stored: Result<attempt::Model, DbErr> = house
        .db()
        .write(|tx| Box::pin(async move { tried.into_active_model().reset_all().insert(tx).await }))
        .await;
    stored.expect("a try is stored");

    let shown = operator.open(&at).await;
    let seen = member.open(&format!("/console/usage/{}", call.id)).await;

    assert!(!before.text.contains("Tried in vain"));
    for part in [
        "Tried in vain",
        "HTTP 529",
        "1,234 ms",
        "overloaded_error &#60;b&#62;Overloaded",
        "0.00<span class=\"fraction\">5</span>",
    ] {
        assert!(shown.text.contains(part), "{part}: {}", shown.text);
    }
    assert!(!seen.text.contains("Tried in vain") && !seen.text.contains("529"));
    house.finish().await;
}
