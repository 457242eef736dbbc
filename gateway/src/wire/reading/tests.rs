//! What is read of requests, what is refused of them, and what is cut into them.

use super::*;
use Protocol::{Chat, Embeddings, Messages, Responses};

fn body(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn reading(protocol: Protocol, text: &str) -> Reading {
    read(protocol, &body(text)).expect("a good request")
}

#[test]
fn the_fields_that_matter_are_read() {
    let chat = reading(
        Chat,
        r#"{"model":"a","messages":[1],"stream":true,"max_tokens":5,"max_completion_tokens":9,"n":3}"#,
    );
    assert_eq!(chat.model, "a");
    assert!(chat.streamed && !chat.usage_asked && !chat.stateful);
    assert_eq!((chat.max_output, chat.choices), (Some(9), 3));

    let responses = reading(
        Responses,
        r#"{"input":"hi","max_output_tokens":16,"previous_response_id":"resp_1","stream":null}"#,
    );
    assert_eq!(responses.model, "");
    assert!(responses.stateful && !responses.streamed);
    assert_eq!(responses.max_output, Some(16));

    let messages = reading(Messages, r#"{"model":"a","messages":[1],"max_tokens":0}"#);
    assert_eq!(messages.max_output, Some(0));

    let embeddings = reading(Embeddings, r#"{"input":[1,2],"stream":true}"#);
    assert!(!embeddings.streamed);
}

#[test]
fn searches_of_hosted_tools_are_foreseen() {
    let table = [
        (Chat, r#"{"messages":[1]}"#, 0),
        (Chat, r#"{"messages":[1],"web_search_options":{}}"#, 30),
        (
            Chat,
            r#"{"messages":[1],"tools":[{"type":"function","function":{"name":"web_search"}}]}"#,
            0,
        ),
        (
            Messages,
            r#"{"messages":[1],"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":5}]}"#,
            5,
        ),
        (
            Messages,
            r#"{"messages":[1],"tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"x"}]}"#,
            30,
        ),
        (
            Responses,
            r#"{"input":"a","tools":[{"type":"web_search"},{"type":"file_search"}],"max_tool_calls":7}"#,
            7,
        ),
        (
            Responses,
            r#"{"input":[{"type":"additional_tools","tools":[{"type":"web_search"}]}]}"#,
            30,
        ),
        (
            Responses,
            r#"{"input":"a","tools":[{"type":"namespace","name":"n","tools":[{"type":"web_search"}]}]}"#,
            30,
        ),
        (
            Messages,
            r#"{"messages":[1],"tools":[{"type":"web_search_20250305","max_uses":99999999999}]}"#,
            120,
        ),
    ];

    for (protocol, text, searches) in table {
        assert_eq!(reading(protocol, text).searches, searches, "{text}");
    }
}

#[test]
fn a_lowered_limit_replaces_the_one_that_is_there_and_takes_thinking_with_it() {
    let table = [
        (
            Chat,
            r#"{"messages":[1],"max_tokens":9000}"#,
            r#"{"messages":[1],"max_tokens":500}"#,
        ),
        (
            Chat,
            r#"{"messages":[1],"max_tokens":9, "max_completion_tokens":9000}"#,
            r#"{"messages":[1],"max_tokens":500, "max_completion_tokens":500}"#,
        ),
        (
            Chat,
            r#"{"messages":[1]}"#,
            r#"{"max_completion_tokens":500,"messages":[1]}"#,
        ),
        (
            Chat,
            r#"{"messages":[1],"max_completion_tokens":null}"#,
            r#"{"messages":[1],"max_completion_tokens":500}"#,
        ),
        (
            Responses,
            r#"{"input":"hi"}"#,
            r#"{"max_output_tokens":500,"input":"hi"}"#,
        ),
        (
            Responses,
            r#"{"input":"hi","max_output_tokens":null}"#,
            r#"{"input":"hi","max_output_tokens":500}"#,
        ),
        (
            Messages,
            r#"{"messages":[1]}"#,
            r#"{"max_tokens":500,"messages":[1]}"#,
        ),
    ];
    for (protocol, before, after) in table {
        let lowered = reading(protocol, before).lowered(
            protocol,
            &body(before),
            500,
            "max_completion_tokens",
        );
        assert_eq!(lowered, body(after), "{before}");
        let again = read(protocol, &lowered).expect("a good request");
        assert_eq!(again.max_output, Some(500));
    }

    let thinking = r#"{"messages":[1],"max_tokens":64000,"thinking":{"type":"enabled","budget_tokens":32000}}"#;
    let lowered = |limit| {
        let lowered = reading(Messages, thinking).lowered(Messages, &body(thinking), limit, "");
        String::from_utf8(lowered.to_vec()).expect("text")
    };
    assert!(
        lowered(8_000).contains("\"budget_tokens\":4000"),
        "{}",
        lowered(8_000)
    );
    assert!(
        lowered(1_600).contains("\"budget_tokens\":1024"),
        "{}",
        lowered(1_600)
    );
}

#[test]
fn tools_and_thinking_make_a_request_demanding() {
    let table = [
        (Chat, r#"{"messages":[1]}"#, false),
        (Chat, r#"{"messages":[1],"tools":[]}"#, false),
        (Chat, r#"{"messages":[1],"tools":[{}]}"#, true),
        (Chat, r#"{"messages":[1],"functions":[{}]}"#, true),
        (Chat, r#"{"messages":[1],"reasoning_effort":"high"}"#, true),
        (Chat, r#"{"messages":[1],"reasoning_effort":"none"}"#, false),
        (
            Responses,
            r#"{"input":"hi","reasoning":{"effort":"low"}}"#,
            true,
        ),
        (Responses, r#"{"input":"hi","reasoning":null}"#, false),
        (
            Messages,
            r#"{"messages":[1],"thinking":{"type":"enabled","budget_tokens":1024}}"#,
            true,
        ),
        (
            Messages,
            r#"{"messages":[1],"thinking":{"type":"disabled"}}"#,
            false,
        ),
    ];

    for (protocol, text, demanding) in table {
        assert_eq!(reading(protocol, text).demanding, demanding, "{text}");
    }
}

#[test]
fn a_tool_that_cannot_be_read_or_is_sold_apart_is_refused_wherever_it_stands() {
    let sold = r#"{"type":"code_interpreter","container":{"type":"auto"}}"#;
    let of_responses = [
        sold,
        r#"{"type":"code_interpreter","type":"code_interpreter"}"#,
        r#"{"type":"code_interpreter","\u0074ype":"function"}"#,
        r#"{"type":"code_interpreter","environment":"x"}"#,
        r#"{"type":["code_interpreter"]}"#,
        r#"{"type":"shell","environment":{"type":"local","type":"container_auto"}}"#,
        r#"{"type":"web_search","max_uses":1,"max_uses":9}"#,
        r#""code_interpreter""#,
        r#"{"type":"namespace","name":"n","tools":[SOLD]}"#,
        r#"{"type":"namespace","tools":[],"tools":[SOLD]}"#,
    ];
    let of_a_conversation = [
        r#"{"type":"additional_tools","tools":[SOLD]}"#,
        r#"{"type":"additional_tools","\u0074ools":[SOLD]}"#,
        r#"{"type":"additional_tools","tools":[],"tools":[SOLD]}"#,
        r#"{"type":"additional_tools","tools":[{"type":"namespace","tools":[SOLD]}]}"#,
        r#"{"type":"tool_search_output","tools":[SOLD]}"#,
    ];
    let of_messages = [
        r#"{"type":"code_execution_20250825","name":"code_execution"}"#,
        r#"{"type":"code_execution_20250825","type":"code_execution_20250825"}"#,
    ];
    let table = [
        (Responses, "tools", &of_responses[..]),
        (Responses, "input", &of_a_conversation[..]),
        (Messages, "tools", &of_messages[..]),
    ]
    .map(|(protocol, field, tools)| {
        tools
            .iter()
            .map(move |tool| (protocol, field, tool.replace("SOLD", sold)))
    })
    .into_iter()
    .flatten();
    for (protocol, field, tool) in table {
        let text = match (protocol, field) {
            (Responses, "tools") => format!(r#"{{"input":"a","tools":[{tool}]}}"#),
            (Responses, _) => format!(r#"{{"input":[{tool}]}}"#),
            _ => format!(r#"{{"messages":[1],"tools":[{tool}]}}"#),
        };
        let error = read(protocol, &body(&text)).expect_err(&text);
        assert_eq!(error.field, Some(field), "{text}");
    }

    let deep = "[{\"tools\":".repeat(5_000) + "[]" + &"}]".repeat(5_000);
    let deep = format!(r#"{{"input":"a","tools":{deep}}}"#);
    let error = read(Responses, &body(&deep)).expect_err("too deep");
    assert_eq!(error.field, Some("tools"));

    for text in [
        r#"{"input":"a","tools":null}"#,
        r#"{"input":"a","tools":[{"type":"shell","environment":{"type":"local"}},{"type":"custom","name":"x"}]}"#,
        r#"{"input":[{"type":"additional_tools","role":"developer","tools":[{"type":"namespace","name":"n","tools":[{"type":"function","name":"code_interpreter"}]}]}]}"#,
        r#"{"input":[{"type":"mcp_list_tools","tools":[{"name":"a","input_schema":{},"annotations":null}]},"b"]}"#,
    ] {
        read(Responses, &body(text)).expect(text);
    }
}

#[test]
fn a_bad_request_names_its_field() {
    let table = [
        (Chat, "", None),
        (Chat, "hello", None),
        (Chat, "[1]", None),
        (Chat, r#"{"messages":[1]} x"#, None),
        (Chat, r#"{"messages":[1],"model":7}"#, Some("model")),
        (
            Chat,
            r#"{"messages":[1],"model":"a","model":"b"}"#,
            Some("model"),
        ),
        (Chat, r#"{"messages":"hi"}"#, Some("messages")),
        (Chat, r#"{"messages":[]}"#, Some("messages")),
        (Chat, r#"{"messages":[1],"stream":"yes"}"#, Some("stream")),
        (
            Chat,
            r#"{"messages":[1],"max_tokens":-1}"#,
            Some("max_tokens"),
        ),
        (
            Chat,
            r#"{"messages":[1],"max_tokens":0}"#,
            Some("max_tokens"),
        ),
        (
            Chat,
            r#"{"messages":[1],"max_tokens":1.5}"#,
            Some("max_tokens"),
        ),
        (
            Chat,
            r#"{"messages":[1],"max_tokens":"9"}"#,
            Some("max_tokens"),
        ),
        (
            Chat,
            r#"{"messages":[1],"max_completion_tokens":18446744073709551616}"#,
            Some("max_completion_tokens"),
        ),
        (Chat, r#"{"messages":[1],"n":0}"#, Some("n")),
        (Chat, r#"{"messages":[1],"n":129}"#, Some("n")),
        (
            Chat,
            r#"{"messages":[1],"service_tier":"priority"}"#,
            Some("service_tier"),
        ),
        (Responses, r#"{"model":"a"}"#, Some("input")),
        (Responses, r#"{"input":{}}"#, Some("input")),
        (
            Responses,
            r#"{"input":"a","background":true}"#,
            Some("background"),
        ),
        (
            Messages,
            r#"{"messages":[1],"speed":"fast"}"#,
            Some("speed"),
        ),
        (Embeddings, r#"{"model":"a"}"#, Some("input")),
    ];

    for (protocol, text, field) in table {
        let error = read(protocol, &body(text)).expect_err(text);
        assert_eq!(error.field, field, "{text}");
    }
}

#[test]
fn only_what_must_change_changes_on_the_way_up() {
    let table = [
        (
            Chat,
            r#"{ "model" : "a", "messages":[1], "odd":{"x":1.0} }"#,
            r#"{ "model" : "up", "messages":[1], "odd":{"x":1.0} }"#,
        ),
        (
            Chat,
            r#"{"model":"up","messages":[1]}"#,
            r#"{"model":"up","messages":[1]}"#,
        ),
        (
            Chat,
            r#"{"model":"up","messages":[1],"stream":true}"#,
            r#"{"stream_options":{"include_usage":true},"model":"up","messages":[1],"stream":true}"#,
        ),
        (
            Chat,
            r#"{"stream_options":{"include_usage":false,"x":1},"model":"a","messages":[1],"stream":true}"#,
            r#"{"stream_options":{"include_usage":true,"x":1},"model":"up","messages":[1],"stream":true}"#,
        ),
        (
            Chat,
            r#"{"stream_options":null,"model":"up","messages":[1],"stream":true}"#,
            r#"{"stream_options":{"include_usage":true},"model":"up","messages":[1],"stream":true}"#,
        ),
        (
            Messages,
            r#"{"model":"up","messages":[1]}"#,
            r#"{"max_tokens":77,"model":"up","messages":[1]}"#,
        ),
        (
            Messages,
            r#"{"model":"up","messages":[1],"max_tokens":null}"#,
            r#"{"model":"up","messages":[1],"max_tokens":77}"#,
        ),
        (
            Responses,
            r#"{"model":"up","input":"a","stream":true}"#,
            r#"{"model":"up","input":"a","stream":true}"#,
        ),
        (
            Embeddings,
            r#"{"input":"a"}"#,
            r#"{"model":"up","input":"a"}"#,
        ),
        (
            Embeddings,
            r#"{"model":null,"input":"a"}"#,
            r#"{"model":"up","input":"a"}"#,
        ),
    ];

    for (protocol, text, expected) in table {
        let sent = reading(protocol, text).body_for(protocol, &body(text), "up", 77);
        assert_eq!(sent, expected, "{text}");
        serde_json::from_slice::<serde_json::Value>(&sent).expect("still JSON");
    }
}
