//! The form in which a client wants its answer, and the marks it makes: carried, or made up for.

use entity::{
    Platform,
    channel::{Kind, Options, Quirks},
    model,
};
use sea_orm::{ColumnTrait, QueryFilter};
use serde_json::{Value, json};

use super::{CHAT, MESSAGES, PAIRS, RESPONSES, events, frames, serve, spoken, whole_answer};
use crate::{
    gateway_routing::options,
    support::{
        gate::Gate,
        upstream::{Answer, Upstream},
    },
};

fn token(text: &str) -> Value {
    json!({"token": text, "logprob": -0.5, "bytes": text.as_bytes(), "top_logprobs": [
        {"token": "x", "logprob": -3.0, "bytes": [120]}]})
}

/// A model known by this name upstream.
async fn add(gate: &Gate, kind: Kind, upstream: &Upstream, name: &str) {
    gate.add_upstream(kind, &upstream.base, name).await;
}

#[tokio::test]
async fn likelihoods_of_tokens_are_asked_for_and_arrive_in_the_clients_form() {
    let gate = Gate::open().await;
    let by_chat = || {
        let chunk = |text: &str| json!({"choices": [{"index": 0, "delta": {"content": text}, "logprobs": {"content": [token(text)]}}]});
        frames(&[
            chunk("hi"),
            chunk(" you"),
            json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                   "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}),
        ])
    };
    let by_responses = || {
        let delta = |text: &str| json!({"type": "response.output_text.delta", "output_index": 0, "item_id": "m", "delta": text, "logprobs": [token(text)]});
        let part = json!({"type": "output_text", "text": "hi you", "logprobs": [token("hi"), token(" you")]});
        frames(&[
            json!({"type": "response.created", "response": {"id": "r"}}),
            delta("hi"),
            delta(" you"),
            json!({"type": "response.completed", "response": {"id": "r", "status": "completed",
                "output": [{"type": "message", "id": "m", "content": [part]}],
                "usage": {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}}}),
        ])
    };

    for pair in PAIRS
        .into_iter()
        .filter(|pair| pair.client != MESSAGES && pair.upstream != MESSAGES)
    {
        let answer = || {
            if pair.upstream == CHAT {
                by_chat()
            } else {
                by_responses()
            }
        };
        let upstream = Upstream::start([answer(), answer()]);
        serve(&gate, pair, &upstream, pair.name).await;
        let said = json!([{"role": "user", "content": "hi"}]);
        for streamed in [true, false] {
            let request = if pair.client == CHAT {
                json!({"model": pair.name, "messages": said, "stream": streamed, "logprobs": true, "top_logprobs": 1,
                       "max_completion_tokens": 4_000})
            } else {
                json!({"model": pair.name, "input": said, "stream": streamed, "top_logprobs": 1, "max_output_tokens": 4_000,
                       "include": ["message.output_text.logprobs"]})
            };

            let answer = gate
                .post(pair.client, &request)
                .send()
                .await
                .expect("an answer");

            assert_eq!(answer.status(), 200, "{}", pair.name);
            let text = answer.text().await.expect("a body");
            let documents = if streamed {
                events(&text)
            } else {
                vec![serde_json::from_str(&text).expect("JSON")]
            };
            let found: Vec<Value> = documents
                .iter()
                .flat_map(|document| {
                    let list = if pair.client == CHAT {
                        &document["choices"][0]["logprobs"]["content"]
                    } else if streamed {
                        if document["type"] == "response.output_text.delta" {
                            &document["logprobs"]
                        } else {
                            &Value::Null
                        }
                    } else {
                        &document["output"][0]["content"][0]["logprobs"]
                    };
                    list.as_array().cloned().unwrap_or_default()
                })
                .collect();
            assert_eq!(
                found,
                [token("hi"), token(" you")],
                "{} {streamed}: {text}",
                pair.name
            );
        }
        let asked = upstream.requests().pop().expect("a request").body;
        assert_eq!(asked["top_logprobs"], 1, "{asked}");
        if pair.upstream == CHAT {
            assert_eq!(asked["logprobs"], true);
        } else {
            let include = asked["include"].as_array().expect("a list");
            assert!(
                include.contains(&"message.output_text.logprobs".into()),
                "{asked}"
            );
        }
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn likelihoods_that_an_upstream_cannot_tell_are_left_out_by_name() {
    let gate = Gate::open().await;
    let answer = json!({"content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn",
                        "usage": {"input_tokens": 9, "output_tokens": 2}});
    let upstream = Upstream::start([Answer::json(200, &answer)]);
    add(&gate, Kind::Anthropic, &upstream, "m").await;
    let request = json!({"model": "m", "max_completion_tokens": 9, "logprobs": true,
                         "messages": [{"role": "user", "content": "hi"}]});

    let answer = gate.post(CHAT, &request).send().await.expect("an answer");

    let dropped = answer.headers().get("x-gateway-dropped").expect("a header");
    assert_eq!(dropped, "logprobs");
    let asked = upstream
        .requests()
        .pop()
        .expect("a request")
        .body
        .to_string();
    assert!(!asked.contains("logprobs"), "{asked}");
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_schema_is_kept_by_models_that_take_none_for_their_answer() {
    let gate = Gate::open().await;
    let schema = json!({"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"],
                        "additionalProperties": false});
    let blocks = |stop: &str| {
        frames(&[
            json!({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 9, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block":
                {"type": "tool_use", "id": "t", "name": "json_output", "input": {}}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{\"x\":"}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "4}"}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 4}}),
            json!({"type": "message_stop"}),
        ])
    };
    let upstream = Upstream::start([blocks("tool_use")]);
    add(&gate, Kind::Anthropic, &upstream, "claude-3-5-haiku").await;
    let update = model::Entity::change().filter(model::Column::Name.eq("claude-3-5-haiku"));
    gate.change(update, model::Column::MaxOutput, 8_000_i64)
        .await;

    for client in [CHAT, RESPONSES] {
        for streamed in [true, false] {
            let said = json!([{"role": "user", "content": "four"}]);
            let request = if client == CHAT {
                json!({"model": "claude-3-5-haiku", "stream": streamed, "messages": said, "max_completion_tokens": 4_000,
                    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}})
            } else {
                json!({"model": "claude-3-5-haiku", "stream": streamed, "input": said, "max_output_tokens": 4_000,
                    "text": {"format": {"type": "json_schema", "name": "n", "schema": schema}}})
            };

            let answer = gate.post(client, &request).send().await.expect("an answer");

            assert_eq!(answer.status(), 200);
            let text = answer.text().await.expect("a body");
            if streamed {
                let (said, _, calls, last) = spoken(client, &text);
                assert_eq!((&*said, calls.len()), ("{\"x\":4}", 0), "{text}");
                assert_eq!(last, super::last_word(client, "stop"), "{text}");
            } else {
                let body: Value = serde_json::from_str(&text).expect("JSON");
                let said = if client == CHAT {
                    assert_eq!(body["choices"][0]["finish_reason"], "stop", "{body}");
                    &body["choices"][0]["message"]["content"]
                } else {
                    assert_eq!(body["output"].as_array().map(Vec::len), Some(1), "{body}");
                    &body["output"][0]["content"][0]["text"]
                };
                assert_eq!(said, "{\"x\":4}", "{body}");
            }
            let asked = upstream.requests().pop().expect("a request").body;
            assert_eq!(asked["tool_choice"]["name"], "json_output", "{asked}");
            assert_eq!(asked["tools"][0]["input_schema"], schema, "{asked}");
            assert_eq!(asked["output_config"], Value::Null, "{asked}");
        }
    }
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn marks_of_a_prompt_cache_reach_an_upstream_that_has_them() {
    let gate = Gate::open().await;
    let answer = json!({"content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn",
                        "usage": {"input_tokens": 9, "output_tokens": 2}});
    let upstream = Upstream::start([Answer::json(200, &answer)]);
    add(&gate, Kind::Anthropic, &upstream, "m").await;
    let mark = |ttl: &str| json!({"mode": "explicit", "ttl": ttl});
    let part = |text: &str, ttl: &str| json!({"type": "input_text", "text": text, "prompt_cache_breakpoint": mark(ttl)});
    let request = json!({"model": "m", "max_output_tokens": 99, "input": [
        {"role": "user", "content": [part("long", "12h"), part("short", "30m"), {"type": "input_text", "text": "end"}]}]});

    let answer = gate
        .post(RESPONSES, &request)
        .send()
        .await
        .expect("an answer");

    assert_eq!(answer.status(), 200);
    let asked = upstream.requests().pop().expect("a request").body;
    let blocks = &asked["messages"][0]["content"];
    assert_eq!(
        blocks[0]["cache_control"],
        json!({"type": "ephemeral", "ttl": "1h"}),
        "{asked}"
    );
    assert_eq!(
        blocks[1]["cache_control"],
        json!({"type": "ephemeral"}),
        "{asked}"
    );
    assert_eq!(blocks[2]["cache_control"], Value::Null, "{asked}");
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_session_names_its_prompt_cache_and_is_not_told_itself() {
    let gate = Gate::open().await;
    let answer = json!({"status": "completed", "output": [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}],
        "usage": {"input_tokens": 9, "output_tokens": 2}});
    let upstream = Upstream::start([(); 4].map(|()| Answer::json(200, &answer)));
    let [.., pair] = PAIRS;
    serve(&gate, pair, &upstream, "m").await;
    let request =
        json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]});
    let mut named = request.clone();
    named["metadata"] = json!({"user_id": "somebody"});

    for (request, session) in [
        (&request, "one"),
        (&request, "two"),
        (&request, "one"),
        (&named, "one"),
    ] {
        let answer = gate
            .post(MESSAGES, request)
            .header("x-claude-code-session-id", session)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
    }

    let asked = upstream.requests();
    let keys: Vec<&str> = asked
        .iter()
        .map(|asked| asked.body["prompt_cache_key"].as_str().expect("a key"))
        .collect();
    assert_eq!(keys[0], keys[2]);
    assert_ne!(keys[0], keys[1]);
    assert_ne!(keys[0], keys[3]);
    assert!(keys.iter().all(|key| key.len() == 32), "{keys:?}");
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn calls_and_items_that_are_badly_numbered_are_not_mixed_up() {
    let gate = Gate::open().await;
    let call = |id: &str, name: Option<&str>, args: &str| {
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [
            {"index": 0, "id": id, "function": {"name": name, "arguments": args}}]}}]})
    };
    let by_chat = || {
        frames(&[
            call("a", Some("f"), "{\"x\""),
            call("a", None, ":1}"),
            call("b", Some("f"), "{\"x\":2}"),
            json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}],
                   "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}),
        ])
    };
    let item = |id: &str, args: &str| json!({"type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": "f", "arguments": args});
    let added = |id: &str| json!({"type": "response.output_item.added", "item": item(id, "")});
    let args = |id: &str, args: &str| json!({"type": "response.function_call_arguments.delta", "item_id": format!("fc_{id}"), "delta": args});
    let by_responses = || {
        frames(&[
            json!({"type": "response.created", "response": {"id": "r"}}),
            added("a"),
            added("b"),
            args("b", "{\"x\":2}"),
            args("a", "{\"x\":1}"),
            json!({"type": "response.output_item.done", "item": item("b", "{\"x\":2}")}),
            json!({"type": "response.output_item.done", "item": item("a", "{\"x\":1}")}),
            json!({"type": "response.completed", "response": {"id": "r", "status": "completed",
                "output": [item("a", "{\"x\":1}"), item("b", "{\"x\":2}")],
                "usage": {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}}}),
        ])
    };

    for pair in PAIRS.into_iter().filter(|pair| pair.upstream != MESSAGES) {
        let answer = if pair.upstream == CHAT {
            by_chat()
        } else {
            by_responses()
        };
        let upstream = Upstream::start([answer]);
        serve(&gate, pair, &upstream, pair.name).await;
        let request = super::request(pair, pair.name, true);

        let answer = gate
            .post(pair.client, &request)
            .send()
            .await
            .expect("an answer");

        let text = answer.text().await.expect("a body");
        let (_, _, mut calls, _) = spoken(pair.client, &text);
        calls.sort();
        assert_eq!(calls, ["{\"x\":1}", "{\"x\":2}"], "{}: {text}", pair.name);
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_channel_may_mark_the_prompts_of_callers_that_set_no_marks() {
    let gate = Gate::open().await;
    let answer = json!({"id": "m", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 9, "output_tokens": 1}});
    let script = [Answer::json(200, &answer), Answer::json(200, &answer)];
    let upstream = Upstream::start(script);
    let channel = gate
        .add_upstream(Kind::Anthropic, &upstream.base, "claude")
        .await;
    let tool =
        json!({"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}});
    let body = json!({"model": "claude", "max_tokens": 50, "tools": [tool], "messages": [
        {"role": "system", "content": "be brief"}, {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"}, {"role": "user", "content": "three"}]});
    let mut asked = Vec::new();

    for auto_cache in [false, true] {
        let quirks = Quirks {
            auto_cache,
            ..Quirks::default()
        };
        let wanted = Options {
            quirks,
            ..Options::default()
        };
        options(&gate, channel, wanted).await;
        let answer = gate.post(CHAT, &body).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        asked.push(upstream.requests().pop().expect("a request").body);
    }

    let marks = asked[0].to_string().matches("cache_control").count();
    assert_eq!(marks, 0, "{}", asked[0]);
    let mark = json!({"type": "ephemeral"});
    let places = [
        "/tools/0",
        "/system/0",
        "/messages/0/content/0",
        "/messages/2/content/0",
    ];
    for place in places {
        let block = asked[1].pointer(place).expect(place);
        assert_eq!(block["cache_control"], mark, "{}", asked[1]);
    }
    assert_eq!(
        asked[1].to_string().matches("cache_control").count(),
        places.len()
    );
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn how_often_may_be_searched_at_most_is_told_in_the_upstreams_words() {
    let gate = Gate::open().await;
    let said = json!([{"role": "user", "content": "q"}]);
    let by_responses = json!({"model": "a", "input": said, "tools": [{"type": "web_search"}], "max_tool_calls": 3});
    let by_messages = json!({"model": "b", "messages": said, "max_tokens": 100,
        "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}]});
    let table = [
        (
            (RESPONSES, by_responses, "a"),
            (Kind::Anthropic, MESSAGES),
            "/tools/0/max_uses",
            3,
        ),
        (
            (MESSAGES, by_messages, "b"),
            (Kind::Openai, RESPONSES),
            "/max_tool_calls",
            8,
        ),
    ];

    for ((client, request, model), (kind, way), place, most) in table {
        let upstream = Upstream::start([Answer::json(200, &whole_answer(way))]);
        gate.add_upstream(kind, &upstream.base, model).await;
        if way == RESPONSES {
            let update = model::Entity::change().filter(model::Column::Name.eq(model));
            let words = json!({"responses_only": true}).to_string();
            gate.change(update, model::Column::Capabilities, words)
                .await;
        }

        let answer = gate.post(client, &request).send().await.expect("an answer");

        assert_eq!(answer.status(), 200, "{client}");
        assert!(!answer.headers().contains_key("x-gateway-dropped"));
        let asked = upstream.requests().pop().expect("a request");
        assert_eq!(asked.path, way);
        assert_eq!(
            asked.body.pointer(place),
            Some(&json!(most)),
            "{}",
            asked.body
        );
        upstream.stop().await;
    }
    gate.finish().await;
}
