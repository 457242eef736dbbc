//! What an upstream refuses, and what no upstream can carry, in the words of the client's protocol.

use serde_json::{Value, json};

use super::{MESSAGES, PAIRS, request, sample_json, samples, serve, whole_answer};
use crate::support::{
    gate::Gate,
    upstream::{Answer, Upstream},
};

/// The error that an upstream gives to a prompt which is too long.
fn too_long(upstream: &str) -> Answer {
    let sample = if upstream == MESSAGES {
        sample_json("native/errors/anthropic_400_context.json")
    } else {
        sample_json("native/errors/openai_400_context.json")
    };
    Answer::json(400, &sample["body"])
}

#[tokio::test]
async fn errors_of_the_request_pass_in_the_callers_envelope_and_errors_of_the_account_never() {
    let gate = Gate::open().await;

    for pair in PAIRS {
        let unknown_key = json!({"error": {"type": "authentication_error", "code": "invalid_api_key",
                                           "message": "Incorrect API key provided: sk-up."}});
        let busy = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
        let table = [
            (too_long(pair.upstream), 400),
            (Answer::json(529, &busy), 503),
            (Answer::json(429, &busy), 429),
            (Answer::json(401, &unknown_key), 503),
        ];
        for (number, (bad, status)) in table.into_iter().enumerate() {
            let upstream = Upstream::start([bad]);
            let model = format!("{}-{number}", pair.name);
            serve(&gate, pair, &upstream, &model).await;
            let before = gate.available().await;

            let answer = gate
                .post(pair.client, &request(pair, &model, number % 2 == 0))
                .send()
                .await
                .expect("an answer");

            assert_eq!(answer.status(), status, "{model}");
            let body: Value = answer.json().await.expect("JSON");
            let text = body.to_string();
            assert!(!text.contains("sk-up"), "{text}");
            if status == 400 && pair.client == MESSAGES {
                let message = body["error"]["message"].as_str().expect("a message");
                assert!(message.starts_with("prompt is too long"), "{text}");
                assert_eq!(body["error"]["type"], "invalid_request_error");
                assert_eq!(body["type"], "error");
            } else if status == 400 {
                assert_eq!(body["error"]["code"], "context_length_exceeded", "{text}");
            }
            assert_eq!(gate.available().await, before, "{model}");
            upstream.stop().await;
        }
    }
    gate.finish().await;
}

#[tokio::test]
async fn an_upstream_that_blames_the_request_is_not_taken_for_a_broken_one() {
    let gate = Gate::open().await;
    let bad = "invalid_request_error";
    let table = [
        (json!({"type": bad, "code": "unknown_parameter"}), 400),
        (json!({"type": bad, "code": "decimal_above_max_value"}), 400),
        (
            json!({"type": bad, "code": "missing_required_parameter"}),
            400,
        ),
        (json!({"type": "BadRequestError", "code": 400}), 400),
        (json!({"code": "odd"}), 422),
    ];

    for pair in PAIRS {
        for (number, (error, status)) in table.iter().enumerate() {
            let mut error = error.clone();
            error["message"] = "This will not do.".into();
            error["param"] = "tools[0].name".into();
            let upstream = Upstream::start([Answer::json(*status, &json!({"error": error}))]);
            let model = format!("{}-blames-{number}", pair.name);
            serve(&gate, pair, &upstream, &model).await;

            let answer = gate
                .post(pair.client, &request(pair, &model, true))
                .send()
                .await
                .expect("an answer");

            assert_eq!(answer.status(), *status, "{model}");
            let body: Value = answer.json().await.expect("JSON");
            assert_eq!(body["error"]["type"], bad, "{model}: {body}");
            if pair.client != MESSAGES {
                let code = Some(&error["code"]).filter(|code| code.is_string());
                let code = code.cloned().unwrap_or_default();
                assert_eq!(body["error"]["code"], code, "{model}: {body}");
                assert_eq!(body["error"]["param"], "tools[0].name", "{model}: {body}");
            }
            upstream.stop().await;
        }
    }
    gate.finish().await;
}

#[tokio::test]
async fn what_no_upstream_can_carry_is_refused_at_its_field() {
    let gate = Gate::open().await;

    for pair in PAIRS {
        let upstream = Upstream::start([Answer::json(200, &whole_answer(pair.upstream))]);
        serve(&gate, pair, &upstream, pair.name).await;
        for name in samples(&format!("translate/{}/rejects", pair.name)) {
            let sample = sample_json(&format!("translate/{}/rejects/{name}", pair.name));
            let mut request = sample["client"].clone();
            request["model"] = pair.name.into();

            let answer = gate
                .post(pair.client, &request)
                .send()
                .await
                .expect("an answer");

            assert_eq!(answer.status(), 400, "{request}");
            let body: Value = answer.json().await.expect("JSON");
            let field = sample["expect"]["param"].as_str().expect("a field");
            if pair.client == MESSAGES {
                let message = body["error"]["message"].as_str().expect("a message");
                assert!(message.contains(field), "{message}");
            } else {
                assert_eq!(body["error"]["param"], field, "{body}");
            }
        }
        assert_eq!(upstream.requests().len(), 0, "{}", pair.name);
        upstream.stop().await;
    }
    gate.finish().await;
}
