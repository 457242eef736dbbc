//! An upstream that pauses its answer while its own tools work: the turn is sent again, told as one answer and billed as
//! the sum.

use entity::{Credits, Platform, channel::Kind, model, usage::Quality};
use sea_orm::{ColumnTrait, QueryFilter};
use serde_json::{Value, json};

use super::{CHAT, MESSAGES, RESPONSES, spoken};
use crate::support::{
    gate::{Gate, INPUT_NANOS, OUTPUT_NANOS},
    upstream::{Answer, Asked, Upstream},
};

fn search() -> [Value; 2] {
    [
        json!({"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "oslo"}}),
        json!({"type": "web_search_tool_result", "tool_use_id": "srv", "content": [
            {"type": "web_search_result", "url": "https://a.example", "title": "A", "encrypted_content": "zz"}]}),
    ]
}

pub(super) fn usage(input: u64, output: u64) -> Value {
    json!({"input_tokens": input, "output_tokens": output})
}

/// One request's part of an answer, whole.
fn whole(text: &str, stop: &str, input: u64, output: u64) -> Answer {
    whole_reporting(text, stop, &usage(input, output))
}

/// The same with this report of usage.
pub(super) fn whole_reporting(text: &str, stop: &str, usage: &Value) -> Answer {
    let mut content = vec![json!({"type": "text", "text": text})];
    content.extend(search());
    Answer::json(
        200,
        &json!({"id": "m", "type": "message", "role": "assistant", "model": "M", "content": content,
            "stop_reason": stop, "usage": usage}),
    )
}

/// The same as a stream.
fn stream(text: &str, stop: &str, input: u64, output: u64) -> Answer {
    let reports = [usage(input, 1), json!({"output_tokens": output})];
    stream_reporting(text, stop, &reports)
}

/// The same with these reports of usage at its start and its end.
pub(super) fn stream_reporting(text: &str, stop: &str, reports: &[Value; 2]) -> Answer {
    events(&part(text, stop, reports))
}

/// One request's part of an answer, event by event.
pub(super) fn part(text: &str, stop: &str, [start, end]: &[Value; 2]) -> Vec<Value> {
    let [mut call, result] = search();
    call["input"] = json!({});
    let args = |more: &str| json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": more}});
    let block = |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let stopped = |index: u64| json!({"type": "content_block_stop", "index": index});
    vec![
        json!({"type": "message_start", "message": {"id": "m", "model": "M", "usage": start}}),
        block(0, json!({"type": "text", "text": ""})),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        stopped(0),
        block(1, call),
        args("{\"query\":"),
        args("\"oslo\"}"),
        stopped(1),
        block(2, result),
        stopped(2),
        json!({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": end}),
        json!({"type": "message_stop"}),
    ]
}

/// These events as a stream, the last two of them in one piece.
pub(super) fn events(events: &[Value]) -> Answer {
    let mut frames: Vec<String> = events
        .iter()
        .map(|event| {
            format!(
                "event: {}\ndata: {event}\n\n",
                event["type"].as_str().expect("a type")
            )
        })
        .collect();
    let last = frames.pop().expect("events");
    frames.last_mut().expect("several").push_str(&last);
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    Answer::stream(&frames)
}

/// A question that the provider may search for.
pub(super) fn question(client: &str, model: &str, streamed: bool, most: u64) -> Value {
    let said = json!([{"role": "user", "content": "weather?"}]);
    if client == CHAT {
        json!({"model": model, "stream": streamed, "messages": said, "web_search_options": {},
               "max_completion_tokens": most})
    } else {
        json!({"model": model, "stream": streamed, "input": said, "tools": [{"type": "web_search"}],
               "max_output_tokens": most})
    }
}

/// What the client reads: the text and the last word.
pub(super) async fn told(gate: &Gate, client: &str, request: &Value) -> (String, String) {
    let answer = gate.post(client, request).send().await.expect("an answer");
    let status = answer.status();
    let text = answer.text().await.expect("a body");
    assert_eq!(status, 200, "{text}");
    if request["stream"] == true {
        let (said, _, _, last) = spoken(client, &text);
        return (said, last);
    }
    let body: Value = serde_json::from_str(&text).expect("JSON");
    if client == CHAT {
        let choice = &body["choices"][0];
        let said = choice["message"]["content"].as_str().unwrap_or_default();
        return (
            said.to_owned(),
            choice["finish_reason"]
                .as_str()
                .expect("a reason")
                .to_owned(),
        );
    }
    let output = body["output"].as_array().expect("items").iter();
    let said = output.filter_map(|item| item["content"][0]["text"].as_str());
    (
        said.collect(),
        body["status"].as_str().expect("a status").to_owned(),
    )
}

/// What a turn that was sent again ends with, without its mere settings.
fn said_again(asked: &Asked) -> &Value {
    let messages = asked.body["messages"].as_array().expect("messages");
    messages.last().expect("a message")
}

#[tokio::test]
async fn a_paused_answer_is_continued_told_as_one_and_billed_as_the_sum() {
    let gate = Gate::open().await;
    let ways = [
        ("streamed", true, 900),
        ("whole", false, 900),
        ("collected", false, 4_000),
    ];

    let mut number = 0;
    for client in [CHAT, RESPONSES] {
        for (name, streamed, most) in ways {
            number += 1;
            let part = if name == "whole" { whole } else { stream };
            let upstream = Upstream::start([
                part("It ", "pause_turn", 100, 20),
                part("is ", "pause_turn", 110, 30),
                part("cold.", "end_turn", 120, 40),
            ]);
            let model = format!("{number}-{name}");
            gate.add_upstream(Kind::Anthropic, &upstream.base, &model)
                .await;

            let (said, last) = told(&gate, client, &question(client, &model, streamed, most)).await;

            assert_eq!(said, "It is cold.", "{model}");
            assert!(
                ["stop", "completed", "response.completed"].contains(&&*last),
                "{last}"
            );
            let asked = upstream.requests();
            assert_eq!(asked.len(), 3, "{model}");
            assert_eq!(asked[0].path, MESSAGES);
            let [call, result] = search();
            let text = |text: &str| json!({"type": "text", "text": text});
            assert_eq!(
                *said_again(&asked[1]),
                json!({"role": "assistant", "content": [text("It "), call, result]})
            );
            assert_eq!(
                said_again(&asked[2])["content"],
                json!([text("It "), call, result, text("is "), call, result])
            );
            let limits: Vec<u64> = asked
                .iter()
                .map(|asked| asked.body["max_tokens"].as_u64().expect("a limit"))
                .collect();
            let limit = most.min(1_000);
            assert_eq!(limits, [limit, limit - 20, limit - 50], "{model}");
            let row = gate.ended(number).await.pop().expect("a row");
            assert_eq!(row.quality, Quality::Exact);
            assert_eq!(
                row.charge.nanos(),
                330 * INPUT_NANOS + 90 * OUTPUT_NANOS,
                "{model}"
            );
            upstream.stop().await;
        }
    }
    gate.finish().await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_continued_ends_where_it_paused() {
    let gate = Gate::open().await;
    let busy = || {
        Answer::json(
            529,
            &json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}),
        )
    };

    let mut number = 0;
    for client in [CHAT, RESPONSES] {
        for streamed in [true, false] {
            number += 1;
            let part = if streamed { stream } else { whole };
            let upstream = Upstream::start([part("It ", "pause_turn", 1_000, 20), busy()]);
            let model = format!("{number}-busy");
            gate.add_upstream(Kind::Anthropic, &upstream.base, &model)
                .await;

            let (said, last) = told(&gate, client, &question(client, &model, streamed, 900)).await;

            assert_eq!(said, "It ", "{model}");
            assert!(
                ["stop", "completed", "response.completed"].contains(&&*last),
                "{last}"
            );
            assert_eq!(upstream.requests().len(), 2);
            let row = gate.ended(number).await.pop().expect("a row");
            assert_eq!(
                row.charge.nanos(),
                1_000 * INPUT_NANOS + 20 * OUTPUT_NANOS,
                "{model}"
            );
            upstream.stop().await;
        }
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_turn_is_sent_again_ten_times_at_most_and_never_beyond_its_output_limit() {
    let gate = Gate::open().await;
    for (number, streamed, output, requests) in [
        (1, true, 2, 11),
        (2, false, 2, 11),
        (3, true, 300, 3),
        (4, false, 300, 3),
    ] {
        let part = if streamed { stream } else { whole };
        let upstream = Upstream::start([part("a", "pause_turn", 5, output)]);
        let model = format!("{number}-ever");
        gate.add_upstream(Kind::Anthropic, &upstream.base, &model)
            .await;

        let (said, last) = told(&gate, CHAT, &question(CHAT, &model, streamed, 900)).await;

        assert_eq!((said, &*last), ("a".repeat(requests), "stop"), "{model}");
        let sent = u64::try_from(upstream.requests().len()).expect("few");
        assert_eq!(sent, requests as u64, "{model}");
        let row = gate.ended(number).await.pop().expect("a row");
        let price = i64::try_from(sent).expect("few")
            * (5 * INPUT_NANOS + i64::try_from(output).expect("few") * OUTPUT_NANOS);
        assert_eq!(
            (row.charge.nanos(), row.quality),
            (price, Quality::Exact),
            "{model}"
        );
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_turn_is_sent_again_only_where_what_is_held_pays_for_it() {
    let gate = Gate::open().await;

    for (number, credits, requests) in [(1, 25_000_000, 1), (2, 200_000_000, 2)] {
        let upstream = Upstream::start([
            stream("It ", "pause_turn", 5, 5_000),
            stream("is.", "end_turn", 5_005, 10),
        ]);
        let model = format!("{number}-dear");
        gate.add_upstream(Kind::Anthropic, &upstream.base, &model)
            .await;
        let update = model::Entity::change().filter(model::Column::Name.eq(model.as_str()));
        gate.change(update, model::Column::MaxOutput, 8_000_i64)
            .await;
        gate.spend_all().await;
        gate.grant(Credits::from_nanos(credits)).await;

        let (said, last) = told(&gate, RESPONSES, &question(RESPONSES, &model, true, 8_000)).await;

        let all = ["It ", "is."];
        assert_eq!(
            (said, &*last),
            (all[..requests].concat(), "response.completed"),
            "{model}"
        );
        assert_eq!(upstream.requests().len(), requests, "{model}");
        let row = gate.ended(number).await.pop().expect("a row");
        assert_eq!(row.quality, Quality::Exact, "{model}");
        assert!(row.charge.nanos() <= credits, "{model}: {}", row.charge);
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_pause_passes_as_it_is_to_a_client_of_the_upstreams_own_protocol() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([stream("It ", "pause_turn", 10, 2)]);
    gate.add_upstream(Kind::Anthropic, &upstream.base, "own")
        .await;
    let request = json!({"model": "own", "stream": true, "max_tokens": 900, "messages": [{"role": "user", "content": "q"}],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}]});

    let answer = gate
        .post(MESSAGES, &request)
        .send()
        .await
        .expect("an answer");

    let text = answer.text().await.expect("a body");
    assert!(text.contains("pause_turn"), "{text}");
    assert_eq!(upstream.requests().len(), 1);
    upstream.stop().await;
    gate.finish().await;
}
