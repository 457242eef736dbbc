//! What a turn costs that was sent again, where its client leaves, its upstream breaks off, or a report lacks something.

use std::time::Duration;

use entity::{
    Credits, Scoped,
    channel::{Kind, Options, Quirks},
    usage::{Finish, Model as Row, Quality},
    usage_doubt,
};
use sea_orm::PaginatorTrait;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{
    CHAT, RESPONSES,
    pause::{events, part, question, stream_reporting, told, usage, whole_reporting},
};
use crate::{
    gateway_routing::options,
    support::{
        gate::{CACHED_NANOS, Gate, INPUT_NANOS, KEY, OUTPUT_NANOS, WRITTEN_NANOS},
        upstream::{Answer, Upstream},
    },
};

/// How a client may want an answer, and how much of it at most: streamed, whole, or put together from a stream.
const WAYS: [(&str, bool, u64); 3] = [
    ("streamed", true, 900),
    ("whole", false, 900),
    ("collected", false, 4_000),
];

/// A part of an answer as its way has it, with reports at its start and its end.
fn reporting(way: &str, text: &str, stop: &str, reports: &[Value; 2]) -> Answer {
    if way != "whole" {
        return stream_reporting(text, stop, reports);
    }
    let mut report = reports[0].clone();
    if let (Some(report), Some(end)) = (report.as_object_mut(), reports[1].as_object()) {
        report.extend(end.clone());
    }
    whole_reporting(text, stop, &report)
}

/// A part with a sound report.
fn sound(way: &str, text: &str, stop: &str, (input, output): (u64, u64)) -> Answer {
    let reports = [usage(input, 1), json!({"output_tokens": output})];
    reporting(way, text, stop, &reports)
}

/// Asks over a connection of its own, which can be reset: that is noticed at once.
async fn asking(gate: &Gate, path: &str, body: &Value) -> TcpStream {
    let address = gate.base.trim_start_matches("http://").to_owned();
    let mut socket = TcpStream::connect(&address).await.expect("a connection");
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket
        .write_all(request.as_bytes())
        .await
        .expect("the request is sent");
    socket
}

fn hang_up(socket: TcpStream) {
    socket.set_zero_linger().expect("a socket option");
    drop(socket);
}

/// What a search costs where the price does not say.
const SEARCH_NANOS: i64 = 10_000_000;

/// The latest of so many calls.
async fn row(gate: &Gate, calls: u64) -> Row {
    let row = gate.ended(calls).await.pop().expect("a row");
    let price = row.input_tokens * INPUT_NANOS
        + row.output_tokens * OUTPUT_NANOS
        + row.web_searches * SEARCH_NANOS;
    // What was counted never comes to more than was held.
    let most = match row.quality {
        Quality::Counted => row.hold_amount.nanos(),
        _ => price,
    };
    assert_eq!(row.charge.nanos(), price.min(most), "{row:?}");
    row
}

/// So much output of the first part that no count of its text comes to it.
const HIDDEN: u64 = 500;

#[tokio::test]
async fn a_client_that_leaves_between_two_requests_pays_for_the_first_and_for_the_input_of_the_next()
 {
    let gate = Gate::open_with(|config| {
        config.drain = Duration::from_millis(100);
        config.idle = Duration::from_secs(20);
    })
    .await;

    let mut calls = 0;
    for client in [CHAT, RESPONSES] {
        for (way, streamed, most) in WAYS {
            calls += 1;
            let upstream = Upstream::start([
                sound(way, "It ", "pause_turn", (100, HIDDEN)),
                sound(way, "is.", "end_turn", (700, 9)).wait_first(),
            ]);
            let model = format!("{calls}-{way}");
            gate.add_upstream(Kind::Anthropic, &upstream.base, &model)
                .await;
            let socket = asking(&gate, client, &question(client, &model, streamed, most)).await;
            gate.until("the turn was sent again", || async {
                upstream.requests().len() == 2
            })
            .await;

            hang_up(socket);

            let row = row(&gate, calls).await;
            assert_eq!(
                (row.finish, row.quality),
                (Finish::ClientGone, Quality::Counted),
                "{model}"
            );
            assert_eq!(
                (row.input_tokens, row.output_tokens),
                (100 + 600, 500),
                "{model}"
            );
            upstream.release();
            upstream.stop().await;
        }
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_turn_is_not_sent_again_for_a_client_that_has_gone() {
    let gate = Gate::open_with(|config| config.idle = Duration::from_secs(20)).await;

    for ((way, streamed, most), calls) in WAYS.into_iter().zip(1_u64..) {
        let upstream = Upstream::start([
            sound(way, "It ", "pause_turn", (100, HIDDEN)).wait_before_last(),
            sound(way, "is.", "end_turn", (700, 9)),
        ]);
        gate.add_upstream(Kind::Anthropic, &upstream.base, way)
            .await;
        let socket = asking(&gate, CHAT, &question(CHAT, way, streamed, most)).await;
        gate.until("the upstream was asked", || async {
            upstream.requests().len() == 1
        })
        .await;

        hang_up(socket);
        // The gateway sees it before the pause: it has nothing else to do.
        tokio::time::sleep(Duration::from_millis(300)).await;
        upstream.release();

        let row = row(&gate, calls).await;
        assert_eq!(
            (row.finish, row.quality),
            (Finish::ClientGone, Quality::Exact),
            "{way}"
        );
        assert_eq!((row.input_tokens, row.output_tokens), (100, 500), "{way}");
        assert_eq!(upstream.requests().len(), 1, "{way}");
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_client_that_leaves_while_its_answer_is_put_together_pays_for_what_has_come() {
    let gate = Gate::open_with(|config| {
        config.drain = Duration::from_millis(100);
        config.idle = Duration::from_secs(20);
    })
    .await;
    let mut begun = part(
        "one two three four",
        "end_turn",
        &[usage(100, 1), json!({})],
    );
    begun.truncate(3);
    let upstream = Upstream::start([events(&begun).then_hang()]);
    gate.add_upstream(Kind::Anthropic, &upstream.base, "model")
        .await;
    let socket = asking(&gate, CHAT, &question(CHAT, "model", false, 4_000)).await;
    gate.until("the upstream was asked", || async {
        upstream.requests().len() == 1
    })
    .await;
    // What was said has come by then: it was there at once.
    tokio::time::sleep(Duration::from_millis(300)).await;

    hang_up(socket);

    let row = row(&gate, 1).await;
    assert_eq!(
        (row.finish, row.quality),
        (Finish::ClientGone, Quality::Counted)
    );
    assert_eq!((row.input_tokens, row.output_tokens), (100, 4));
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn what_the_next_part_does_not_say_is_counted_and_what_was_said_before_stands() {
    let gate = Gate::open().await;
    // The reports of the second part, with the input and the least output that the call comes to.
    let table = [
        ([json!({}), json!({})], 700, 501),
        // Who does not know may say so by a zero.
        ([usage(0, 1), json!({"output_tokens": 40})], 700, 540),
        ([usage(650, 0), json!({"output_tokens": 0})], 750, 501),
        ([json!({}), json!({"output_tokens": 40})], 700, 540),
        ([json!({"input_tokens": 650}), json!({})], 750, 501),
        (
            [
                json!({"input_tokens": -5, "output_tokens": 1}),
                json!({"output_tokens": 40}),
            ],
            700,
            540,
        ),
        ([usage(650, 1), json!({"output_tokens": "many"})], 750, 501),
    ];

    let mut calls = 0;
    for (reports, input, output) in table {
        for (way, streamed, most) in WAYS {
            calls += 1;
            let upstream = Upstream::start([
                sound(way, "It ", "pause_turn", (100, HIDDEN)),
                reporting(way, "is cold.", "end_turn", &reports),
            ]);
            let model = format!("{calls}-{way}");
            gate.add_upstream(Kind::Anthropic, &upstream.base, &model)
                .await;

            let (said, _) = told(&gate, CHAT, &question(CHAT, &model, streamed, most)).await;

            assert_eq!(said, "It is cold.");
            let row = row(&gate, calls).await;
            let at = format!("{way} {reports:?} {row:?}");
            assert_eq!(row.quality, Quality::Counted, "{at}");
            assert_eq!(row.input_tokens, input, "{at}");
            // The whole of a search is some fifty tokens.
            assert!((output..output + 60).contains(&row.output_tokens), "{at}");
            upstream.stop().await;
        }
    }
    gate.until("what cannot be is kept for an operator", || async {
        let doubts = usage_doubt::Entity::of(gate.buyer.tenant);
        doubts.count(gate.till.db.read()).await.expect("a count") == 6
    })
    .await;
    gate.finish().await;
}

#[tokio::test]
async fn a_pause_that_does_not_say_what_it_used_is_the_end() {
    let gate = Gate::open().await;

    for ((way, streamed, most), calls) in WAYS.into_iter().zip(1_u64..) {
        let upstream = Upstream::start([
            reporting(way, "It ", "pause_turn", &[json!({}), json!({})]),
            sound(way, "is.", "end_turn", (700, 9)),
        ]);
        gate.add_upstream(Kind::Anthropic, &upstream.base, way)
            .await;

        let (said, _) = told(&gate, CHAT, &question(CHAT, way, streamed, most)).await;

        assert_eq!(said, "It ", "{way}");
        assert_eq!(upstream.requests().len(), 1, "{way}");
        assert_eq!(row(&gate, calls).await.quality, Quality::Counted, "{way}");
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn an_upstream_that_breaks_off_in_the_next_part_is_paid_for_both() {
    let gate = Gate::open().await;
    let mut cut = part(
        "one two three four",
        "end_turn",
        &[usage(650, 1), json!({})],
    );
    cut.truncate(3);
    let upstream = Upstream::start([
        sound("streamed", "It ", "pause_turn", (100, HIDDEN)),
        events(&cut),
    ]);
    gate.add_upstream(Kind::Anthropic, &upstream.base, "model")
        .await;

    told(&gate, CHAT, &question(CHAT, "model", true, 900)).await;

    let row = row(&gate, 1).await;
    assert_eq!(
        (row.finish, row.quality),
        (Finish::UpstreamCut, Quality::Counted)
    );
    assert_eq!((row.input_tokens, row.output_tokens), (750, 504));
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_next_part_that_fails_before_it_has_begun_costs_nothing() {
    let gate = Gate::open().await;
    let overloaded =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let ping = json!({"type": "ping"});
    let failures = [
        events(&[ping.clone(), overloaded]),
        events(&[ping.clone(), ping]),
        Answer::json(200, &json!({"what": "is this"})),
    ];

    for (failure, calls) in failures.into_iter().zip(1_u64..) {
        let upstream = Upstream::start([
            sound("streamed", "It ", "pause_turn", (100, HIDDEN)),
            failure,
        ]);
        let model = format!("model-{calls}");
        gate.add_upstream(Kind::Anthropic, &upstream.base, &model)
            .await;

        let (said, _) = told(&gate, CHAT, &question(CHAT, &model, true, 900)).await;

        assert_eq!(said, "It ", "{model}");
        assert_eq!(upstream.requests().len(), 2, "{model}");
        let row = row(&gate, calls).await;
        assert_eq!((row.input_tokens, row.output_tokens), (100, 500), "{model}");
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_process_that_stops_between_two_requests_charges_what_was_told() {
    for (way, streamed, most) in WAYS {
        let gate = Gate::open_with(|config| config.idle = Duration::from_secs(20)).await;
        let upstream = Upstream::start([
            sound(way, "It ", "pause_turn", (100, HIDDEN)),
            sound(way, "is.", "end_turn", (700, 9)).wait_first(),
        ]);
        gate.add_upstream(Kind::Anthropic, &upstream.base, way)
            .await;
        let request = gate.post(CHAT, &question(CHAT, way, streamed, most));
        let asked = tokio::spawn(request.send());
        gate.until("the turn was sent again", || async {
            upstream.requests().len() == 2
        })
        .await;

        gate.gateway.stop();

        let answer = asked.await.expect("a task").expect("an answer");
        let text = answer.text().await.expect("a body");
        assert!(text.contains("draining"), "{way}: {text}");
        let row = row(&gate, 1).await;
        assert_eq!(row.finish, Finish::Shutdown, "{way}");
        let used = (row.input_tokens, row.output_tokens);
        // Who gets nothing pays nothing.
        assert_eq!(used, if streamed { (100, 500) } else { (0, 0) }, "{way}");
        upstream.release();
        upstream.stop().await;
        gate.finish().await;
    }
}

#[tokio::test]
async fn caches_and_searches_of_all_parts_are_summed_and_each_part_bears_its_marks() {
    // A model that takes no form of an answer in another way than by a tool.
    const OLD: &str = "claude-sonnet-4-20250514";
    let gate = Gate::open().await;
    let reports = [
        [
            json!({"input_tokens": 10, "cache_read_input_tokens": 300, "cache_creation_input_tokens": 200, "output_tokens": 1}),
            json!({"output_tokens": 20, "server_tool_use": {"web_search_requests": 1}}),
        ],
        [
            json!({"input_tokens": 30, "cache_read_input_tokens": 500, "cache_creation_input_tokens": 40, "output_tokens": 1}),
            json!({"output_tokens": 50, "server_tool_use": {"web_search_requests": 2}}),
        ],
    ];
    let answer = json!({"type": "tool_use", "id": "t", "name": "json_output", "input": {}});
    let mut last = part("I look.", "tool_use", &reports[1]);
    let delta = |index: u64, more: &str| json!({"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": more}});
    let end = last.split_off(last.len() - 2);
    last.push(json!({"type": "content_block_start", "index": 3, "content_block": answer}));
    last.extend([delta(3, "{\"x\":"), delta(3, "1}")]);
    last.push(json!({"type": "content_block_stop", "index": 3}));
    last.extend(end);
    let upstream = Upstream::start([
        stream_reporting("I search.", "pause_turn", &reports[0]),
        events(&last),
    ]);
    let channel = gate
        .add_upstream(Kind::Anthropic, &upstream.base, OLD)
        .await;
    let quirks = Quirks {
        auto_cache: true,
        ..Quirks::default()
    };
    let wanted = Options {
        quirks,
        ..Options::default()
    };
    options(&gate, channel, wanted).await;
    let mut request = question(CHAT, OLD, true, 900);
    let schema = json!({"type": "object", "properties": {"x": {"type": "integer"}}});
    let more = json!({
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "weather?"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}});
    let fields = request.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());

    let (said, end) = told(&gate, CHAT, &request).await;

    assert_eq!((&*said, &*end), ("{\"x\":1}", "stop"));
    let row = gate.ended(1).await.pop().expect("a row");
    assert_eq!(row.quality, Quality::Exact);
    let price = 40 * INPUT_NANOS
        + 800 * CACHED_NANOS
        + 240 * WRITTEN_NANOS
        + 70 * OUTPUT_NANOS
        + 3 * SEARCH_NANOS;
    assert_eq!(row.charge.nanos(), price, "{row:?}");
    let asked = upstream.requests();
    assert_eq!(asked.len(), 2);
    for asked in asked {
        let marks = asked.body.to_string().matches("cache_control").count();
        assert_eq!(marks, 3, "{}", asked.body);
    }
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_block_that_is_none_ends_no_call() {
    let gate = Gate::open().await;
    let delta = |kind: &str, field: &str| json!({"type": "content_block_delta", "index": 0, "delta": {"type": kind, field: "x"}});
    let deltas = [
        delta("text_delta", "text"),
        delta("citations_delta", "citation"),
        delta("input_json_delta", "partial_json"),
    ];

    let mut calls = 0;
    for block in [json!("text"), json!(7), json!([{"type": "text"}])] {
        for delta in &deltas {
            calls += 1;
            let mut odd = part(
                "It ",
                "pause_turn",
                &[usage(100, 1), json!({"output_tokens": 20})],
            );
            odd[1]["content_block"] = block.clone();
            odd[2] = delta.clone();
            let upstream = Upstream::start([events(&odd), events(&odd)]);
            let model = format!("model-{calls}");
            gate.add_upstream(Kind::Anthropic, &upstream.base, &model)
                .await;

            let (_, last) = told(&gate, CHAT, &question(CHAT, &model, true, 900)).await;

            assert_eq!(last, "stop", "{block} {delta}");
            assert_eq!(upstream.requests().len(), 1, "it cannot be sent back");
            let row = row(&gate, calls).await;
            assert_eq!((row.input_tokens, row.output_tokens), (100, 20));
            assert_eq!(row.quality, Quality::Exact, "{block} {delta}");
            upstream.stop().await;
        }
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_whole_answer_is_continued_only_where_what_is_held_pays_for_it() {
    let gate = Gate::open().await;
    // Some thirty thousand letters, which are as many tokens at most and a quarter as many as expected.
    let letters = "word ".repeat(6_000);

    let mut calls = 0;
    for (way, streamed, most) in WAYS.into_iter().skip(1) {
        for (credits, requests) in [(14_000_000, 1), (200_000_000, 2)] {
            calls += 1;
            let upstream = Upstream::start([
                sound(way, "It ", "pause_turn", (8_000, 20)),
                sound(way, "is.", "end_turn", (8_000, 10)),
            ]);
            let model = format!("{calls}-{way}");
            gate.add_upstream(Kind::Anthropic, &upstream.base, &model)
                .await;
            gate.spend_all().await;
            gate.grant(Credits::from_nanos(credits)).await;
            let mut request = question(CHAT, &model, streamed, most);
            request["messages"][0]["content"] = letters.as_str().into();

            let (said, last) = told(&gate, CHAT, &request).await;

            let all = ["It ", "is."];
            assert_eq!(
                (said, &*last),
                (all[..requests].concat(), "stop"),
                "{model}"
            );
            assert_eq!(upstream.requests().len(), requests, "{model}");
            let row = row(&gate, calls).await;
            assert_eq!(row.quality, Quality::Exact, "{model}");
            assert!(
                row.charge <= row.hold_amount,
                "{model}: {} of {}",
                row.charge,
                row.hold_amount
            );
            upstream.stop().await;
        }
    }
    gate.finish().await;
}
