//! What the tap makes of answers, event by event.

use super::*;
use crate::wire::sse::Splitter;
use Protocol::{Chat, Embeddings, Messages, Responses};

const CHAT: &str = concat!(
    ": keep-alive\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello there\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1200,\"completion_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":1024}}}\n\n",
    "data: [DONE]\n\n",
);
const RESPONSES: &str = concat!(
    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"usage\":null}}\n\n",
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hello there\"}\n\n",
    "event: response.incomplete\ndata: {\"type\":\"response.incomplete\",\"response\":{\"usage\":{\"input_tokens\":10,\"output_tokens\":2}}}\n\n",
);
const MESSAGES: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":176,\"cache_read_input_tokens\":1024,\"output_tokens\":1}}}\n\n",
    "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello there\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":4}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

fn watch(protocol: Protocol, stream: &str) -> (Tap, Vec<Seen>) {
    let mut tap = Tap::new(protocol);
    let mut splitter = Splitter::new(1 << 20);
    splitter.push(stream.as_bytes());
    let mut seen = Vec::new();
    while let Some(frame) = splitter.next_frame().expect("small frames") {
        seen.push(tap.see(&frame));
    }
    (tap, seen)
}

fn tokens(input: u64, cache_read: u64, output: u64) -> Tokens {
    Tokens {
        input,
        cache_read,
        output,
        requests: 1,
        ..Tokens::default()
    }
}

#[test]
fn a_complete_stream_is_metered_exactly() {
    for (protocol, stream, expected) in [
        (Chat, CHAT, tokens(176, 1024, 4)),
        (Responses, RESPONSES, tokens(10, 0, 2)),
        (Messages, MESSAGES, tokens(176, 1024, 4)),
    ] {
        let (tap, seen) = watch(protocol, stream);

        assert_eq!(seen.last(), Some(&Seen::End), "{protocol:?}");
        assert!(tap.finished() && tap.delivered());
        assert_eq!(
            tap.metered(99),
            Metered {
                tokens: expected,
                exact: true
            }
        );
    }
}

#[test]
fn a_cut_stream_is_counted_from_the_text_that_passed() {
    for (protocol, stream, end, input) in [
        (Chat, CHAT, "\"stop\"", (99, 0)),
        (Responses, RESPONSES, "event: response.incomplete", (99, 0)),
        (Messages, MESSAGES, "event: message_delta", (176, 1024)),
    ] {
        let cut = stream.find(end).expect("the mark is there");
        let (tap, _) = watch(protocol, stream.get(..cut).expect("ASCII"));

        let metered = tap.metered(99);

        assert!(tap.delivered() && !tap.finished(), "{protocol:?}");
        assert!(!metered.exact);
        assert_eq!(metered.tokens, tokens(input.0, input.1, 3), "{protocol:?}");
    }
}

#[test]
fn what_a_report_leaves_out_is_counted_and_what_it_says_stands() {
    let chat = |usages: &[&str]| {
        let begun =
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello there\"},\"finish_reason\":\"stop\"}]}\n\n"
                .to_owned();
        let reports = usages
            .iter()
            .map(|usage| format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\n"));
        let stream: String = [begun].into_iter().chain(reports).collect();
        (Chat, stream + "data: [DONE]\n\n")
    };
    let messages = |start: &str, end: &str| {
        let stream = MESSAGES.replace("{\"output_tokens\":4}", end);
        let begun = "{\"input_tokens\":176,\"cache_read_input_tokens\":1024,\"output_tokens\":1}";
        (Messages, stream.replace(begun, start))
    };
    let table = [
        (chat(&[r#"{"prompt_tokens":10}"#]), (10, 3, false)),
        (chat(&[r#"{"completion_tokens":5}"#]), (99, 5, false)),
        (
            chat(&[
                r#"{"prompt_tokens":10,"completion_tokens":0}"#,
                r#"{"completion_tokens":5}"#,
            ]),
            (10, 5, true),
        ),
        (
            chat(&[r#"{"completion_tokens":5}"#, r#"{"prompt_tokens":10}"#]),
            (10, 5, true),
        ),
        (
            chat(&[r#"{"prompt_tokens":10,"completion_tokens":0}"#]),
            (10, 3, false),
        ),
        (
            chat(&[r#"{"prompt_tokens":0,"completion_tokens":5}"#]),
            (99, 5, false),
        ),
        (
            messages(
                r#"{"input_tokens":0,"output_tokens":1}"#,
                r#"{"input_tokens":0,"output_tokens":9}"#,
            ),
            (99, 9, false),
        ),
        (
            messages(
                r#"{"input_tokens":7,"output_tokens":0}"#,
                r#"{"output_tokens":0}"#,
            ),
            (7, 3, false),
        ),
        (
            messages(r#"{"input_tokens":7,"output_tokens":1}"#, "{}"),
            (7, 3, false),
        ),
        (
            messages(r#"{"output_tokens":1}"#, r#"{"output_tokens":9}"#),
            (99, 9, false),
        ),
        (
            messages(
                r#"{"input_tokens":7,"output_tokens":1}"#,
                r#"{"output_tokens":9}"#,
            ),
            (7, 9, true),
        ),
    ];
    for ((protocol, stream), (input, output, exact)) in table {
        let (tap, _) = watch(protocol, &stream);
        let Metered {
            tokens: used,
            exact: is_exact,
        } = tap.metered(99);
        assert_eq!(
            (used, is_exact),
            (tokens(input, 0, output), exact),
            "{stream}"
        );
    }
}

#[test]
fn a_report_before_the_last_words_is_not_the_last() {
    let said = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello there\"}}\n\n";
    let stop = "event: message_stop";
    let stream = MESSAGES.replace(stop, &format!("{said}{stop}"));

    let (tap, _) = watch(Messages, &stream);

    assert_eq!(
        tap.metered(99),
        Metered {
            tokens: tokens(176, 1024, 6),
            exact: false
        }
    );
}

#[test]
fn a_whole_chat_answer_without_any_answer_is_none() {
    for body in [
        r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":0}}"#,
        r#"{"choices":[ ],"usage":{"prompt_tokens":5,"completion_tokens":1}}"#,
    ] {
        assert_eq!(Tap::new(Chat).see_whole(body.as_bytes()), Seen::Garbage);
    }
    let empty = br#"{"content":[],"usage":{"input_tokens":5,"output_tokens":1}}"#;
    assert_eq!(Tap::new(Messages).see_whole(empty), Seen::End);
}

#[test]
fn searches_of_hosted_tools_are_counted_as_they_pass_and_once() {
    let item = |kind: &str| {
        format!(r#"{{"type":"web_search_call","action":{{"type":"{kind}","query":"q"}}}}"#)
    };
    let output = format!(
        r#"[{},{},{{"type":"file_search_call"}},{{"type":"message","content":[]}}]"#,
        item("search"),
        item("open_page")
    );
    let done = |item: String| {
        format!("data: {{\"type\":\"response.output_item.done\",\"item\":{item}}}\n\n")
    };
    let cut = done(item("search")) + &done(item("search"));
    let whole = done(item("search"))
        + &done(item("open_page"))
        + &format!(
            "data: {{\"type\":\"response.completed\",\"response\":{{\"output\":{output},\"usage\":{{\"input_tokens\":1,\"output_tokens\":1}}}}}}\n\n"
        );
    let messages = concat!(
        "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n",
        "data: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"server_tool_use\",\"name\":\"web_search\",\"input\":{}}}\n\n",
        "data: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"server_tool_use\",\"name\":\"web_fetch\",\"input\":{}}}\n\n",
    );

    for (protocol, stream, web, file) in [
        (Responses, cut.as_str(), 2, 0),
        (Responses, whole.as_str(), 1, 1),
        (Messages, messages, 1, 0),
    ] {
        let tokens = watch(protocol, stream).0.metered(9).tokens;
        assert_eq!(
            (tokens.web_searches, tokens.file_searches),
            (web, file),
            "{stream}"
        );
    }
}

#[test]
fn the_usage_event_of_chat_is_told_apart() {
    let (_, seen) = watch(Chat, CHAT);

    assert_eq!(seen[0], Seen::Idle);
    assert_eq!(seen[1..4], [Seen::Opening, Seen::Content, Seen::Content]);
    assert_eq!(seen[4], Seen::UsageOnly);
}

#[test]
fn usage_that_cannot_be_is_replaced_by_a_count() {
    let (tap, _) = watch(
        Chat,
        &CHAT.replace("\"completion_tokens\":4", "\"completion_tokens\":-4"),
    );

    assert!(tap.anomaly().is_some());
    assert_eq!(
        tap.metered(99),
        Metered {
            tokens: tokens(99, 0, 3),
            exact: false
        }
    );
}

#[test]
fn failures_are_recognised_in_every_protocol() {
    let failure = |code: &str, message: &str| {
        Seen::Failure(Failure {
            code: code.to_owned(),
            message: message.to_owned(),
        })
    };
    let table = [
        (
            Chat,
            "data: {\"error\":{\"message\":\"m\",\"type\":\"server_error\",\"code\":\"c\"}}\n\n",
            failure("c", "m"),
        ),
        (Chat, "data: {\"error\":\"m\"}\n\n", failure("", "m")),
        (
            Messages,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n",
            failure("overloaded_error", "m"),
        ),
        (
            Responses,
            "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"c\",\"message\":\"m\"}}}\n\n",
            failure("c", "m"),
        ),
        (
            Responses,
            "data: {\"type\":\"error\",\"code\":\"c\",\"message\":\"m\",\"param\":null}\n\n",
            failure("c", "m"),
        ),
        (Chat, "data: <html>\n\n", Seen::Garbage),
        (Messages, "data: {\"no\":\"type\"}\n\n", Seen::Garbage),
        (Responses, "data: {{\n\n", Seen::Garbage),
    ];

    for (protocol, stream, expected) in table {
        let (tap, seen) = watch(protocol, stream);
        assert_eq!(seen, [expected], "{stream}");
        assert!(!tap.delivered());
    }
}

#[test]
fn whole_answers_are_metered_too() {
    let table = [
        (
            Chat,
            r#"{"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#,
            tokens(5, 0, 2),
            true,
        ),
        (
            Chat,
            r#"{"choices":[{"message":{"role":"assistant","content":"Hello there"}}]}"#,
            tokens(99, 0, 3),
            false,
        ),
        (
            Responses,
            r#"{"status":"completed","error":null,"output":[],"usage":{"input_tokens":5,"output_tokens":2}}"#,
            tokens(5, 0, 2),
            true,
        ),
        (
            Messages,
            r#"{"type":"message","content":[],"usage":{"input_tokens":6,"output_tokens":3}}"#,
            tokens(6, 0, 3),
            true,
        ),
        (
            Embeddings,
            r#"{"object":"list","data":[{"embedding":[0.1]}],"usage":{"prompt_tokens":2,"total_tokens":2}}"#,
            tokens(2, 0, 0),
            true,
        ),
    ];

    for (protocol, body, expected, exact) in table {
        let mut tap = Tap::new(protocol);
        assert_eq!(tap.see_whole(body.as_bytes()), Seen::End, "{body}");
        assert_eq!(
            tap.metered(99),
            Metered {
                tokens: expected,
                exact
            },
            "{body}"
        );
    }
    let searched = br#"{"content":[{"type":"server_tool_use","name":"web_search","id":"s","input":{"query":"q"}}]}"#;
    let mut tap = Tap::new(Messages);
    assert_eq!(tap.see_whole(searched), Seen::End);
    assert_eq!(
        tap.metered(99).tokens.web_searches,
        1,
        "nobody else says so"
    );
    let mut tap = Tap::new(Chat);
    assert_eq!(tap.see_whole(b"<html>"), Seen::Garbage);
    assert!(matches!(
        tap.see_whole(br#"{"error":{"message":"m"}}"#),
        Seen::Failure(_)
    ));
}
