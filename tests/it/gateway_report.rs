//! What an upstream reports, late, in part, or not at all: the charge is the price of what it used, an answer that never
//! began costs nothing, and none that is paid for is cut.

use std::time::Duration;

use entity::{
    Platform, Scoped, channel, group,
    usage::{Finish, Outcome, Quality},
    usage_doubt,
};
use sea_orm::PaginatorTrait;
use serde_json::{Value, json};

use crate::support::{
    gate::{Gate, INPUT_NANOS, OUTPUT_NANOS, WRITTEN_NANOS},
    upstream::{Answer, Upstream},
};

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";

fn asking(model: &str, most: u64) -> Value {
    json!({"model": model, "stream": true, "max_tokens": most, "input": "one two three four",
           "messages": [{"role": "user", "content": "one two three four"}]})
}

/// A stream of these events, with their names where their protocol gives them one.
fn events(events: &[Value]) -> Answer {
    let pieces: Vec<String> = events
        .iter()
        .map(|event| match event["type"].as_str() {
            Some(name) => format!("event: {name}\ndata: {event}\n\n"),
            None => format!("data: {event}\n\n"),
        })
        .collect();
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    Answer::stream(&pieces)
}

/// A message whose start and end report this usage.
fn message(start: &Value, end: &Value) -> Vec<Value> {
    vec![
        json!({"type": "message_start", "message": {"id": "m", "role": "assistant", "content": [], "usage": start}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "word word word"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": end}),
        json!({"type": "message_stop"}),
    ]
}

fn chunk(delta: &Value, finish: &Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

async fn said(gate: &Gate, path: &str, body: &Value) -> String {
    let answer = gate.post(path, body).send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.expect("a body")
}

#[tokio::test]
async fn what_comes_to_much_more_than_was_thought_is_not_cut_while_there_are_credits() {
    let gate = Gate::open().await;
    let written =
        json!({"input_tokens": 10, "cache_creation_input_tokens": 30_000, "output_tokens": 1});
    let paragraph = "word ".repeat(13_000);
    let upstreams = [
        (
            channel::Kind::Anthropic,
            MESSAGES,
            events(&message(&written, &json!({"output_tokens": 3}))),
            10 * INPUT_NANOS + 30_000 * WRITTEN_NANOS + 3 * OUTPUT_NANOS,
        ),
        (
            channel::Kind::Openai,
            CHAT,
            events(&[
                chunk(
                    &json!({"role": "assistant", "content": paragraph}),
                    &Value::Null,
                ),
                chunk(&json!({}), &json!("stop")),
                json!({"choices": [], "usage": {"prompt_tokens": 60, "completion_tokens": 13_000}}),
            ]),
            60 * INPUT_NANOS + 13_000 * OUTPUT_NANOS,
        ),
    ];

    for ((kind, path, long, price), number) in upstreams.into_iter().zip(0_u64..) {
        let short = || match kind {
            channel::Kind::Anthropic => events(&message(
                &json!({"input_tokens": 5, "output_tokens": 1}),
                &json!({"output_tokens": 3}),
            )),
            _ => events(&[
                chunk(&json!({"content": "word"}), &json!("stop")),
                json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}),
            ]),
        };
        let upstream = Upstream::start((0..20).map(|_| short()).chain([long]));
        let model = format!("brief-{number}");
        gate.add_model_with(&model, entity::model::Kind::Chat, 32_000, OUTPUT_NANOS)
            .await;
        gate.add_upstream(kind, &upstream.base, &model).await;
        for _ in 0..21 {
            said(&gate, path, &asking(&model, 32_000)).await;
        }

        let row = gate.ended(21 * (number + 1)).await.pop().expect("a row");
        assert_eq!(
            (row.finish, row.quality, row.charge.nanos()),
            (Finish::Complete, Quality::Exact, price),
            "{path}"
        );
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn text_that_begins_like_a_picture_costs_what_the_upstream_counts() {
    let gate = Gate::open().await;
    let letters = format!("iVBORw0KGgo{}", "A".repeat(120_000));
    let plain = json!([{"role": "user", "content": letters}]);
    let hidden = json!([
        {"role": "user", "content": "go on"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function",
            "function": {"name": "f", "arguments": json!({"data": letters}).to_string()}}]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "ok", "data": letters}]},
    ]);
    let counted = json!({"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
        "usage": {"prompt_tokens": 60_000, "completion_tokens": 20}});
    let upstream = Upstream::start([Answer::json(200, &counted), Answer::json(200, &counted)]);
    gate.add_upstream(channel::Kind::Openai, &upstream.base, "real")
        .await;

    for (messages, number) in [(plain, 1), (hidden, 2)] {
        let body = json!({"model": "real", "max_tokens": 50, "messages": messages});
        said(&gate, CHAT, &body).await;

        let row = gate.ended(number).await.pop().expect("a row");
        assert_eq!(
            (row.quality, row.charge.nanos()),
            (Quality::Exact, 60_000 * INPUT_NANOS + 20 * OUTPUT_NANOS),
            "{number}"
        );
    }
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_number_that_cannot_be_is_counted_for_and_the_others_of_the_report_stand() {
    let gate = Gate::open().await;
    let table = [
        (
            json!({"input_tokens": -5, "output_tokens": 1}),
            json!({"output_tokens": 10}),
            10,
        ),
        (
            json!({"input_tokens": "4000", "output_tokens": 1}),
            json!({"output_tokens": 10}),
            10,
        ),
        (
            json!({"output_tokens": 1}),
            json!({"output_tokens": 10}),
            10,
        ),
        (
            json!({"input_tokens": 500, "output_tokens": 1}),
            json!({"output_tokens": -1}),
            3,
        ),
        (
            json!({"input_tokens": -5, "output_tokens": 1}),
            json!({"input_tokens": 700, "output_tokens": 10}),
            10,
        ),
    ];
    let script = table
        .iter()
        .map(|(start, end, _)| events(&message(start, end)));
    let upstream = Upstream::start(script);
    gate.add_upstream(channel::Kind::Anthropic, &upstream.base, "real")
        .await;

    for ((start, end, output), number) in table.iter().zip(1_u64..) {
        said(&gate, MESSAGES, &asking("real", 50)).await;

        let row = gate.ended(number).await.pop().expect("a row");
        assert_eq!(row.output_tokens, *output, "{start} {end}");
        match number {
            4 => assert_eq!((row.quality, row.input_tokens), (Quality::Counted, 500)),
            5 => assert_eq!((row.quality, row.input_tokens), (Quality::Exact, 700)),
            _ => {
                assert_eq!(row.quality, Quality::Counted, "{start}");
                assert!((4..40).contains(&row.input_tokens), "{}", row.input_tokens);
            }
        }
    }
    gate.until("three doubts are kept", || async {
        let doubts = usage_doubt::Entity::of(gate.buyer.tenant);
        doubts.count(gate.till.db.read()).await.expect("a count") == 3
    })
    .await;
    upstream.stop().await;
    gate.finish().await;
}

/// What each protocol says before anything of an answer has come, and how it fails then.
fn false_starts() -> Vec<(channel::Kind, &'static str, Vec<Value>)> {
    let opening =
        json!({"type": "response.created", "response": {"id": "r", "status": "in_progress"}});
    let failed = json!({"type": "response.failed", "response": {"id": "r", "status": "failed",
        "error": {"code": "server_error", "message": "boom"}}});
    let start = json!({"type": "message_start", "message": {"usage": {"input_tokens": 5_000, "output_tokens": 1}}});
    let overloaded =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let role = chunk(&json!({"role": "assistant", "content": ""}), &Value::Null);
    vec![
        (channel::Kind::Openai, CHAT, vec![role.clone()]),
        (
            channel::Kind::Openai,
            CHAT,
            vec![role, json!({"error": {"message": "boom"}})],
        ),
        (channel::Kind::Openai, RESPONSES, vec![opening, failed]),
        (
            channel::Kind::Anthropic,
            MESSAGES,
            vec![start, json!({"type": "ping"}), overloaded],
        ),
    ]
}

#[tokio::test]
async fn an_answer_that_fails_before_it_has_begun_is_asked_for_elsewhere_or_costs_nothing() {
    let gate = Gate::open().await;
    let mut calls = 0;

    for (kind, path, start) in false_starts() {
        let good = match path {
            CHAT => events(&[
                chunk(&json!({"content": "word"}), &json!("stop")),
                json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}),
            ]),
            RESPONSES => events(&[
                json!({"type": "response.output_text.delta", "delta": "word"}),
                json!({"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [],
                    "usage": {"input_tokens": 5, "output_tokens": 2}}}),
            ]),
            _ => events(&message(
                &json!({"input_tokens": 5, "output_tokens": 1}),
                &json!({"output_tokens": 2}),
            )),
        };
        let failing = Upstream::start([events(&start), events(&start), events(&start)]);
        let working = Upstream::start([good]);
        let model = format!("model-{calls}");
        let first = gate.add_upstream(kind, &failing.base, &model).await;
        let second = gate.add_upstream(kind, &working.base, &model).await;
        gate.prefer(first, second).await;

        let text = said(&gate, path, &asking(&model, 50)).await;

        assert!(text.contains("word") && !text.contains("boom"), "{text}");
        calls += 1;
        let row = gate.ended(calls).await.pop().expect("a row");
        assert_eq!(
            (row.channel_id, row.finish, row.charge.nanos()),
            (
                Some(second),
                Finish::Complete,
                5 * INPUT_NANOS + 2 * OUTPUT_NANOS
            ),
            "{path}"
        );
        working.stop().await;

        let alone = format!("alone-{calls}");
        gate.add_upstream(kind, &failing.base, &alone).await;
        let answer = gate.post(path, &asking(&alone, 50)).send().await;
        assert_eq!(answer.expect("an answer").status(), 503, "{path}");
        calls += 1;
        let row = gate.ended(calls).await.pop().expect("a row");
        assert_eq!((row.outcome, row.charge.nanos()), (Outcome::Voided, 0));
        failing.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_response_that_failed_or_was_cancelled_is_no_answer() {
    let gate = Gate::open().await;
    for (status, number) in [("failed", 1), ("cancelled", 2)] {
        let ended = json!({"id": "r", "object": "response", "status": status, "output": [],
            "error": {"code": "server_error", "message": "boom"}, "usage": {"input_tokens": 5, "output_tokens": 1}});
        let upstream = Upstream::start([Answer::json(200, &ended)]);
        gate.add_upstream(channel::Kind::Openai, &upstream.base, status)
            .await;

        let body = json!({"model": status, "input": "hi"});
        let answer = gate.post(RESPONSES, &body).send().await.expect("an answer");

        assert_eq!(answer.status(), 503, "{status}");
        let row = gate.ended(number).await.pop().expect("a row");
        assert_eq!((row.outcome, row.charge.nanos()), (Outcome::Voided, 0));
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn an_answer_whose_upstream_leaves_its_end_out_is_complete_and_costs_what_it_reports() {
    let gate = Gate::open_with(|config| config.idle = Duration::from_millis(500)).await;
    let finish = [
        chunk(&json!({"content": "word"}), &Value::Null),
        chunk(&json!({}), &json!("stop")),
    ];
    let usage = json!({"prompt_tokens": 500, "completion_tokens": 3});
    let with = |usage: Value| [finish.to_vec(), vec![usage]].concat();
    let mut unstopped = message(
        &json!({"input_tokens": 500, "output_tokens": 1}),
        &json!({"output_tokens": 3}),
    );
    unstopped.pop();
    let table = [
        (
            channel::Kind::Openai,
            CHAT,
            events(&with(json!({"choices": [], "usage": usage}))).then_hang(),
            "data: [DONE]\n\n",
        ),
        (
            channel::Kind::Openai,
            CHAT,
            events(&with(json!({"choices": null, "usage": usage}))),
            "data: [DONE]\n\n",
        ),
        (
            channel::Kind::Anthropic,
            MESSAGES,
            events(&unstopped),
            "data: {\"type\":\"message_stop\"}\n\n",
        ),
        (
            channel::Kind::OpenaiCompatible,
            MESSAGES,
            events(&with(json!({"choices": [], "usage": usage}))).then_hang(),
            "data: {\"type\":\"message_stop\"}\n\n",
        ),
    ];

    for ((kind, path, answer, end), number) in table.into_iter().zip(1_u64..) {
        let upstream = Upstream::start([answer]);
        let model = format!("model-{number}");
        gate.add_upstream(kind, &upstream.base, &model).await;

        let text = said(&gate, path, &asking(&model, 50)).await;

        assert!(text.ends_with(end), "{number}: {text}");
        let row = gate.ended(number).await.pop().expect("a row");
        assert_eq!(
            (row.finish, row.quality, row.charge.nanos()),
            (
                Finish::Complete,
                Quality::Exact,
                500 * INPUT_NANOS + 3 * OUTPUT_NANOS
            ),
            "{number}"
        );
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn an_empty_reason_to_finish_is_none() {
    let gate = Gate::open().await;
    let half = chunk(&json!({"content": "half"}), &json!(""));
    let upstream = Upstream::start([events(&[half.clone(), half])]);
    gate.add_upstream(channel::Kind::Openai, &upstream.base, "real")
        .await;

    let text = said(&gate, CHAT, &asking("real", 50)).await;

    assert!(
        !text.contains("[DONE]") && text.contains("\"error\""),
        "{text}"
    );
    let row = gate.ended(1).await.pop().expect("a row");
    assert_eq!(row.finish, Finish::UpstreamCut);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn the_text_of_custom_tools_and_old_functions_is_counted_where_no_usage_comes() {
    let gate = Gate::open().await;
    let letters = "word".repeat(500);
    let deltas = [
        json!({"tool_calls": [{"index": 0, "type": "custom", "custom": {"name": "f", "input": letters}}]}),
        json!({"function_call": {"name": "f", "arguments": letters}}),
        json!({"reasoning_details": [{"type": "reasoning.text", "text": letters}]}),
        json!({"audio": {"transcript": letters, "data": "AAAA"}}),
    ];
    let script = deltas.iter().map(|delta| {
        events(&[
            chunk(delta, &Value::Null),
            chunk(&json!({}), &json!("stop")),
        ])
    });
    let upstream = Upstream::start(script);
    gate.add_upstream(channel::Kind::Openai, &upstream.base, "real")
        .await;

    for number in 1..=4 {
        said(&gate, CHAT, &asking("real", 800)).await;
        let row = gate.ended(number).await.pop().expect("a row");
        assert!((500..=505).contains(&row.output_tokens), "{row:?}");
    }
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn every_line_of_a_header_that_may_come_twice_reaches_the_upstream() {
    let gate = Gate::open().await;
    let start = json!({"input_tokens": 5, "output_tokens": 1});
    let upstream = Upstream::start([events(&message(&start, &json!({"output_tokens": 3})))]);
    gate.add_upstream(channel::Kind::Anthropic, &upstream.base, "real")
        .await;

    let answer = gate
        .post(MESSAGES, &asking("real", 50))
        .header("anthropic-beta", "first-2025-01-01")
        .header("anthropic-beta", "second-2025-01-01")
        .send()
        .await
        .expect("an answer");

    assert_eq!(answer.status(), 200);
    let asked = upstream.requests().pop().expect("one request");
    assert_eq!(
        asked.header("anthropic-beta"),
        "first-2025-01-01, second-2025-01-01"
    );
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn what_had_to_be_counted_is_charged_by_the_tokenizer_with_the_factor_of_its_group_and_a_report_is_not()
 {
    // Ten tokens a sentence, of eleven times four letters.
    let sentences = ["The quick brown fox jumps over the lazy dog."; 10].join(" ");
    let gate = Gate::open().await;
    let reported = json!({"choices": [], "usage": {"prompt_tokens": 40, "completion_tokens": 3}});
    let answer = [
        chunk(&json!({"content": sentences}), &Value::Null),
        chunk(&json!({}), &json!("stop")),
    ];
    let with = [answer.to_vec(), vec![reported]].concat();
    let upstream = Upstream::start([events(&answer), events(&answer), events(&with)]);
    gate.add_upstream(channel::Kind::Openai, &upstream.base, "real")
        .await;
    let mut calls = 0;
    let mut called = async || {
        said(&gate, CHAT, &asking("real", 500)).await;
        calls += 1;
        let row = gate.ended(calls).await.pop().expect("a row");
        let charge = row.input_tokens * INPUT_NANOS + row.output_tokens * OUTPUT_NANOS;
        assert_eq!(row.charge.nanos(), charge);
        (row.quality, row.input_tokens, row.output_tokens)
    };

    let (quality, input, output) = called().await;
    assert_eq!((quality, output), (Quality::Counted, 100));
    let every = group::Entity::change();
    gate.change(every, group::Column::CountedPpm, 1_500_000_i64)
        .await;
    let half_more = (input * 3 + 1) / 2;
    assert_eq!(called().await, (Quality::Counted, half_more, 150));
    assert_eq!(called().await, (Quality::Exact, 40, 3));

    upstream.stop().await;
    gate.finish().await;
}

/// Whole answers and streams of each protocol that say one word and report this.
fn reporting(input: &Value, output: &Value) -> Vec<(channel::Kind, &'static str, bool, Answer)> {
    let chat = json!({"prompt_tokens": input, "completion_tokens": output});
    let other = json!({"input_tokens": input, "output_tokens": output});
    let told = json!({"role": "assistant", "content": "word"});
    let item = json!({"type": "message", "content": [{"type": "output_text", "text": "word"}]});
    let done = json!({"id": "r", "status": "completed", "output": [item], "usage": other});
    let block = json!({"type": "text", "text": "word"});
    vec![
        (
            channel::Kind::Openai,
            CHAT,
            false,
            Answer::json(
                200,
                &json!({"choices": [{"message": told, "finish_reason": "stop"}], "usage": chat}),
            ),
        ),
        (
            channel::Kind::Openai,
            CHAT,
            true,
            events(&[
                chunk(&json!({"content": "word"}), &json!("stop")),
                json!({"choices": [], "usage": chat}),
            ]),
        ),
        (
            channel::Kind::Openai,
            RESPONSES,
            false,
            Answer::json(200, &done),
        ),
        (
            channel::Kind::Openai,
            RESPONSES,
            true,
            events(&[json!({"type": "response.completed", "response": done})]),
        ),
        (
            channel::Kind::Anthropic,
            MESSAGES,
            false,
            Answer::json(
                200,
                &json!({"content": [block], "stop_reason": "end_turn", "usage": other}),
            ),
        ),
        (
            channel::Kind::Anthropic,
            MESSAGES,
            true,
            events(&message(&other, &other)),
        ),
    ]
}

#[tokio::test]
async fn no_prompt_takes_no_tokens_and_no_words_do_so_it_is_counted_where_a_report_says_it() {
    let gate = Gate::open().await;
    let table = [
        (json!(0), json!(5)),
        (json!(40), json!(0)),
        (json!(0), json!(0)),
        (json!(null), json!(null)),
    ];

    let mut calls = 0;
    for (input, output) in table {
        for (kind, path, streamed, answer) in reporting(&input, &output) {
            calls += 1;
            let upstream = Upstream::start([answer]);
            let model = format!("model-{calls}");
            gate.add_upstream(kind, &upstream.base, &model).await;
            let mut body = asking(&model, 50);
            body["stream"] = streamed.into();

            said(&gate, path, &body).await;

            let row = gate.ended(calls).await.pop().expect("a row");
            let at = format!("{path} {streamed} {input} {output} {row:?}");
            assert_eq!(row.quality, Quality::Counted, "{at}");
            match input.as_i64() {
                Some(40) => assert_eq!(row.input_tokens, 40, "{at}"),
                _ => assert!((4..40).contains(&row.input_tokens), "{at}"),
            }
            match output.as_i64() {
                Some(5) => assert_eq!(row.output_tokens, 5, "{at}"),
                _ => assert!((1..4).contains(&row.output_tokens), "{at}"),
            }
            let charge = row.input_tokens * INPUT_NANOS + row.output_tokens * OUTPUT_NANOS;
            assert_eq!(row.charge.nanos(), charge, "{at}");
            upstream.stop().await;
        }
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_report_in_the_middle_is_not_the_last_word() {
    let gate = Gate::open().await;
    let used = |output: u64| json!({"prompt_tokens": 40, "completion_tokens": output});
    let with = |word: &str, finish: &Value, output: u64| {
        let mut chunk = chunk(&json!({"content": word}), finish);
        chunk["usage"] = used(output);
        chunk
    };
    let words = " seven more words than it has told";
    let table = [
        // At its beginning, and then no more.
        (
            vec![
                with("one", &Value::Null, 1),
                chunk(&json!({"content": words}), &json!("stop")),
            ],
            Quality::Counted,
            8,
        ),
        // With each part, the last too.
        (
            vec![with("one", &Value::Null, 1), with(words, &json!("stop"), 9)],
            Quality::Exact,
            9,
        ),
        // Told before, and not known any more at the end.
        (
            vec![
                with("one", &Value::Null, 300),
                json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                       "usage": {"prompt_tokens": 0, "completion_tokens": 300}}),
                json!({"choices": [], "usage": {"prompt_tokens": 40, "completion_tokens": 0}}),
            ],
            Quality::Exact,
            300,
        ),
        // Before the reason to stop, which brings nothing else.
        (
            vec![
                with("one", &Value::Null, 3),
                chunk(&json!({"content": ""}), &json!("stop")),
            ],
            Quality::Exact,
            3,
        ),
    ];
    let script = table.iter().map(|(chunks, ..)| events(chunks));
    let upstream = Upstream::start(script);
    gate.add_upstream(channel::Kind::Openai, &upstream.base, "real")
        .await;

    for ((chunks, quality, output), number) in table.iter().zip(1_u64..) {
        said(&gate, CHAT, &asking("real", 50)).await;

        let row = gate.ended(number).await.pop().expect("a row");
        assert_eq!(
            (row.quality, row.input_tokens, row.output_tokens),
            (*quality, 40, *output),
            "{chunks:?}"
        );
    }
    upstream.stop().await;
    gate.finish().await;
}

/// An answer that searches and reads before it says three words, event by event.
fn researched() -> Vec<Value> {
    let sealed = "EqgfCioIARgBIiQ3YTAwMjY1Mi1mZjM5".repeat(1_000);
    let page = "A page that the model has read and not written. ".repeat(1_000);
    let block = |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let found = json!({"type": "web_search_result", "url": "https://a.example", "title": "A", "encrypted_content": sealed});
    let read = json!({"type": "web_fetch_result", "url": "https://a.example",
        "content": {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": page}}});
    let cited = json!({"type": "web_search_result_location", "url": "https://a.example", "title": "A",
        "encrypted_index": sealed, "cited_text": page});
    vec![
        json!({"type": "message_start", "message": {"id": "m", "role": "assistant", "content": [],
            "usage": {"input_tokens": 10, "output_tokens": 1}}}),
        block(
            0,
            json!({"type": "thinking", "thinking": "", "signature": ""}),
        ),
        delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
        delta(0, json!({"type": "signature_delta", "signature": sealed})),
        block(
            1,
            json!({"type": "web_search_tool_result", "tool_use_id": "s", "content": [found]}),
        ),
        block(
            2,
            json!({"type": "web_fetch_tool_result", "tool_use_id": "f", "content": read}),
        ),
        block(3, json!({"type": "text", "text": ""})),
        delta(3, json!({"type": "citations_delta", "citation": cited})),
        delta(3, json!({"type": "text_delta", "text": "word word word"})),
        json!({"type": "content_block_stop", "index": 3}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 40}}),
        json!({"type": "message_stop"}),
    ]
}

#[tokio::test]
async fn what_a_model_has_read_and_what_is_sealed_are_no_words_of_its_own() {
    let gate = Gate::open().await;
    let whole = researched();
    let cut = whole.get(..9).expect("events");
    let content: Vec<Value> = whole
        .iter()
        .filter_map(|event| event.get("content_block"))
        .cloned()
        .chain([
            json!({"type": "thinking", "thinking": "hm", "signature": "EqgfCioIARgB".repeat(900)}),
        ])
        .collect();
    let unreported = json!({"type": "message", "content": content, "stop_reason": "end_turn"});
    let upstream = Upstream::start([events(&whole), events(cut), Answer::json(200, &unreported)]);
    gate.add_model_with("real", entity::model::Kind::Chat, 32_000, OUTPUT_NANOS)
        .await;
    gate.add_upstream(channel::Kind::Anthropic, &upstream.base, "real")
        .await;
    gate.spend_all().await;
    gate.grant(entity::Credits::from_nanos(25_000_000)).await;

    let text = said(&gate, MESSAGES, &asking("real", 32_000)).await;
    assert!(
        text.ends_with("{\"type\":\"message_stop\"}\n\n"),
        "{}",
        text.len()
    );
    said(&gate, MESSAGES, &asking("real", 32_000)).await;
    let mut body = asking("real", 5_000);
    body["stream"] = false.into();
    said(&gate, MESSAGES, &body).await;

    let rows = gate.ended(3).await;
    assert_eq!(
        (rows[0].finish, rows[0].quality, rows[0].output_tokens),
        (Finish::Complete, Quality::Exact, 40)
    );
    assert_eq!(
        (rows[1].finish, rows[1].quality, rows[1].output_tokens),
        (Finish::UpstreamCut, Quality::Counted, 4)
    );
    assert_eq!(
        (rows[2].quality, rows[2].output_tokens),
        (Quality::Counted, 1)
    );
    upstream.stop().await;
    gate.finish().await;
}
