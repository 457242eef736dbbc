//! Requests that lean on what an upstream keeps: `previous_response_id` and `store`.

use billing::shop::channel::{SealedSecret, add_key};
use entity::{Actor, ChannelId, Platform, channel, channel::Kind};
use identity::seal::seal_channel_secret;
use sea_orm::{ColumnTrait, QueryFilter};
use serde_json::{Value, json};

use crate::support::{
    gate::{Gate, OTHER_KEY, master, refusal},
    upstream::{Answer, Asked, Upstream},
};

const RESPONSES: &str = "/v1/responses";

fn whole(id: &str) -> Answer {
    let body = json!({"id": id, "object": "response", "status": "completed",
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}],
        "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}});
    Answer::json(200, &body)
}

fn streamed(id: &str) -> Answer {
    let created = json!({"type": "response.created", "response": {"id": id, "object": "response", "output": []}});
    let done = json!({"type": "response.completed", "response": {"id": id, "object": "response", "status": "completed",
        "output": [], "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}}});
    Answer::stream(&[
        &format!("event: response.created\ndata: {created}\n\n"),
        &format!("event: response.completed\ndata: {done}\n\n"),
    ])
}

async fn weigh(gate: &Gate, id: ChannelId, priority: i64) {
    let row = channel::Entity::change().filter(channel::Column::Id.eq(id));
    gate.change(row, channel::Column::Priority, priority).await;
}

async fn ask(gate: &Gate, body: &Value) -> String {
    let answer = gate.post(RESPONSES, body).send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "{body}");
    answer.text().await.expect("a body")
}

fn keys_of(requests: &[Asked]) -> Vec<&str> {
    requests
        .iter()
        .map(|asked| asked.header("authorization"))
        .collect()
}

#[tokio::test]
async fn a_request_that_goes_on_from_a_response_goes_to_the_account_that_made_it() {
    let gate = Gate::open().await;
    let one = Upstream::start([
        whole("resp_1"),
        streamed("resp_2"),
        whole("resp_3"),
        whole("resp_4"),
    ]);
    let two = Upstream::start([whole("resp_other")]);
    let first = gate.add_upstream(Kind::Openai, &one.base, "m").await;
    let second = gate.add_upstream(Kind::Openai, &two.base, "m").await;
    let sealed = SealedSecret {
        bytes: seal_channel_secret(&master(), first, "127.0.0.1", "sk-further").into_bytes(),
        hint: "ther".to_owned(),
    };
    add_key(
        &gate.till.db,
        first,
        sealed,
        Actor::System,
        gate.clock.now(),
    )
    .await
    .expect("a key is added");
    weigh(&gate, first, 1).await;
    weigh(&gate, second, 2).await;
    let begun = json!({"model": "m", "input": "one", "store": true});
    let next = |id: &str, stream: bool| json!({"model": "m", "input": "two", "store": true, "previous_response_id": id, "stream": stream});

    ask(&gate, &begun).await;
    // From now on the other channel would be first, and the next key's turn has come at the first one.
    weigh(&gate, first, 3).await;
    ask(&gate, &next("resp_1", true)).await;
    ask(&gate, &next("resp_2", false)).await;
    ask(&gate, &next("resp_unknown", false)).await;

    let asked = one.requests();
    assert_eq!((asked.len(), two.requests().len()), (3, 1));
    let keys = keys_of(&asked);
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    let previous: Vec<_> = asked
        .iter()
        .map(|asked| asked.body["previous_response_id"].clone())
        .collect();
    assert_eq!(previous, [json!(null), json!("resp_1"), json!("resp_2")]);
    assert!(
        asked.iter().all(|asked| asked.body["store"] == true),
        "it passes as it came"
    );
    let unknown = &two.requests()[0];
    assert_eq!(
        unknown.body["previous_response_id"], "resp_unknown",
        "what is not known goes the usual way"
    );

    let stranger = gate.till.buyer().await;
    gate.hire(stranger).await;
    gate.issue(OTHER_KEY, stranger).await;
    let stolen = gate
        .bare(reqwest::Method::POST, RESPONSES)
        .bearer_auth(OTHER_KEY);
    let stolen = stolen
        .json(&next("resp_1", false))
        .send()
        .await
        .expect("an answer");
    let (status, code, message) = refusal(stolen).await;
    assert_eq!(
        (status, code.as_str()),
        (400, "invalid_request"),
        "{message}"
    );
    assert!(
        message.contains("There is no response of this id"),
        "{message}"
    );
    assert_eq!(
        one.requests().len(),
        3,
        "nobody goes on from another tenant's response"
    );
    gate.ended(4).await;
    one.stop().await;
    two.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn state_that_a_translated_upstream_does_not_keep_is_refused_at_its_field_and_store_is_left_out()
 {
    let gate = Gate::open().await;
    let chat = json!({"id": "c", "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "hi"}}], "usage": {"prompt_tokens": 5, "completion_tokens": 2}});
    let messages = json!({"id": "m", "type": "message", "role": "assistant", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 5, "output_tokens": 2}});
    let table = [
        (Kind::OpenaiCompatible, "plain", chat),
        (Kind::Anthropic, "claude", messages),
    ];
    let mut calls = 0;
    for (kind, model, answer) in table {
        let upstream = Upstream::start([Answer::json(200, &answer)]);
        gate.add_upstream(kind, &upstream.base, model).await;
        let stateful = [
            ("previous_response_id", json!("resp_1")),
            ("conversation", json!("conv_1")),
            ("prompt", json!({"id": "pmpt_1"})),
            ("background", json!(true)),
        ];
        for (field, value) in stateful {
            let mut body = json!({"model": model, "input": "one"});
            body[field] = value;

            let refused = gate.post(RESPONSES, &body).send().await.expect("an answer");

            assert_eq!(refused.status(), 400, "{model} {field}");
            let told: Value = refused.json().await.expect("JSON");
            assert_eq!(told["error"]["param"], field, "{model}: {told}");
            assert!(
                told["error"]["message"]
                    .as_str()
                    .is_some_and(|text| text.contains(field)),
                "{model}: {told}"
            );
        }
        assert!(upstream.requests().is_empty(), "{model}: nothing was sent");
        for (store, named) in [
            (json!(true), true),
            (json!(false), false),
            (json!(null), false),
        ] {
            let mut body = json!({"model": model, "input": "one"});
            if !store.is_null() {
                body["store"] = store.clone();
            }
            let answer = gate.post(RESPONSES, &body).send().await.expect("an answer");
            assert_eq!(answer.status(), 200, "{model} {store}");
            let dropped = answer.headers().get("x-gateway-dropped").cloned();
            let dropped = dropped.map_or_else(String::new, |names| {
                names.to_str().expect("text").to_owned()
            });
            assert_eq!(
                dropped.contains("store"),
                named,
                "{model} {store}: {dropped}"
            );
            let told: Value = answer.json().await.expect("JSON");
            assert_eq!(
                told["store"], false,
                "{model} {store}: what nobody keeps is not called kept"
            );
            let asked = upstream.requests().pop().expect("a request");
            assert!(asked.body.get("store").is_none(), "{model} {store}");
            calls += 1;
        }
        upstream.stop().await;
    }
    gate.ended(calls).await;
    gate.finish().await;
}
