//! The form of an answer for models that take none: a tool whose input is the answer, or words where none can be forced.

use serde_json::{Value, json};

use crate::translate::{
    names::Output,
    neutral::{Choice, Format, Request, SchemaFormat},
    schema,
    target::{Target, Thinking, Traits},
};

/// What asks a model for JSON that has no schema.
const JSON_ONLY: &str = "Reply with one JSON object only.";
/// What the tool says of itself.
const ANSWER: &str =
    "Gives the answer. Call it once, when the answer is ready; its input is all that is read.";

/// Whether the answer has to be a tool's input. Whoever must call a tool of the caller's gives no answer yet, and a model
/// that always thinks cannot be made to call one.
pub(in crate::translate) fn answers_by_tool(request: &Request, traits: Traits) -> bool {
    let must_call = matches!(
        request.choice,
        Some(
            Choice::Must
                | Choice::One { .. }
                | Choice::Among { must: true, .. }
                | Choice::Hosted(_)
        )
    );
    matches!(request.format, Format::Schema(_))
        && !traits.formats
        && traits.thinking != Thinking::Always
        && !must_call
}

/// Words for a form that cannot be asked for in another way.
pub(super) fn line(request: &Request, target: &Target<'_>) -> Option<String> {
    match &request.format {
        Format::Json => Some(JSON_ONLY.to_owned()),
        Format::Schema(given) if !target.traits.formats && target.names.output().is_none() => {
            Some(format!(
                "Give the answer as one JSON document only, without any other word. It must satisfy this JSON schema:\n{}",
                given.schema
            ))
        }
        Format::Schema(_) | Format::Text => None,
    }
}

/// The schema where it is asked for in the protocol's own way.
pub(super) fn asked<'a>(request: &'a Request, target: &Target<'_>) -> Option<&'a SchemaFormat> {
    match &request.format {
        Format::Schema(given) if target.traits.formats => Some(given),
        _ => None,
    }
}

/// The tool that takes the answer.
pub(super) fn tool(request: &Request, target: &Target<'_>) -> Option<Value> {
    let Output { name, wrapped } = target.names.output()?;
    let Format::Schema(given) = &request.format else {
        return None;
    };
    let description = match &given.description {
        Some(description) => format!("{ANSWER} {description}"),
        None => ANSWER.to_owned(),
    };
    let mut input = schema::tidy(Some(&given.schema));
    if *wrapped {
        input = schema::wrapped(input);
    }
    Some(json!({"name": name, "description": description, "input_schema": input}))
}

/// The choice that makes a model answer by the tool, or call another first.
pub(super) fn choice(request: &Request, target: &Target<'_>) -> Option<Value> {
    let Output { name, .. } = target.names.output()?;
    let has_others = !request.tools.is_empty() || request.web_search.is_some();
    if has_others && request.choice != Some(Choice::Never) {
        let mut choice = json!({"type": "any"});
        if request.parallel == Some(false) {
            choice["disable_parallel_tool_use"] = true.into();
        }
        return Some(choice);
    }
    Some(json!({"type": "tool", "name": name, "disable_parallel_tool_use": true}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::Protocol::{self, Chat, Messages, Responses};

    use crate::translate::{Names, Translation, carrier::tests::carriers, golden, read};

    const OLD: &str = "claude-sonnet-4-20250514";

    /// A chat request as a model gets it, and the way back.
    fn written(
        client: Protocol,
        model: &str,
        words: &[&str],
        body: &Value,
    ) -> (Value, Translation) {
        let request = read(client, body.to_string().as_bytes()).expect("a good request");
        request.fits(Messages).expect("it fits");
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let traits = Traits::of(Messages, model, &words);
        let names = Names::of(&request, Messages).with_output(&request, traits);
        let target = Target {
            protocol: Messages,
            model,
            default_output: 32_000,
            most_output: None,
            streamed: false,
            traits,
            carriers: &carriers("x"),
            names: &names,
        };
        let body = serde_json::from_slice(&request.write(&target).body).expect("JSON");
        let way = Translation::new(&request, Messages, client, golden::voice(), names);
        (body, way)
    }

    fn asked(schema: &Value, more: Value) -> Value {
        let mut body = json!({"model": "M", "messages": [{"role": "user", "content": "q"}],
            "max_completion_tokens": 9_000,
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}});
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        body
    }

    fn object() -> Value {
        json!({"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]})
    }

    fn function() -> Value {
        json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]})
    }

    #[test]
    #[rustfmt::skip]
    fn each_model_is_asked_for_a_form_as_it_can_be() {
        let forced = || json!({"type": "tool", "name": "json_output", "disable_parallel_tool_use": true});
        let with = |more: Value| {
            let mut all = function();
            all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            all
        };
        let always: &[&str] = &["reasoning", "adaptive_thinking", "thinking_always_on"];
        // Model and what the price table says of it, what else is asked, the choice of a tool, the thinking, whether there
        // is a line with the schema, and one of the protocol's own.
        let table = [
            ("claude-sonnet-4-5", &[][..], json!({}), Value::Null, Value::Null, false, true),
            ("claude-opus-5", always, json!({}), Value::Null, Value::Null, false, true),
            (OLD, &["native_structured_output"], json!({}), Value::Null, Value::Null, false, true),
            (OLD, &[], json!({}), forced(), Value::Null, false, false),
            ("glm-5", &[], json!({}), forced(), Value::Null, false, false),
            ("claude-3-5-haiku", &[], json!({}), forced(), Value::Null, false, false),
            // A forced tool and thoughts exclude each other.
            (OLD, &[], json!({"reasoning_effort": "high"}), forced(), Value::Null, false, false),
            (OLD, &[], function(), json!({"type": "any"}), Value::Null, false, false),
            (OLD, &[], with(json!({"parallel_tool_calls": false})), json!({"type": "any", "disable_parallel_tool_use": true}), Value::Null, false, false),
            (OLD, &[], with(json!({"tool_choice": "none"})), forced(), Value::Null, false, false),
            // These give no answer yet.
            (OLD, &[], with(json!({"tool_choice": "required"})), json!({"type": "any"}), Value::Null, true, false),
            (OLD, &[], with(json!({"tool_choice": {"type": "function", "function": {"name": "f"}}})), json!({"type": "tool", "name": "f"}), Value::Null, true, false),
            ("kimi-x", always, json!({"reasoning_effort": "high"}), Value::Null, json!({"type": "adaptive"}), true, false),
        ];

        for (model, words, more, choice, thinking, line, native) in table {
            let (body, way) = written(Chat, model, words, &asked(&object(), more.clone()));
            let at = format!("{model} {more}: {body}");
            assert_eq!(body["tool_choice"], choice, "{at}");
            assert_eq!(body["thinking"], thinking, "{at}");
            assert_eq!(body["system"].to_string().contains("JSON schema"), line, "{at}");
            assert_eq!(body["output_config"]["format"]["schema"] == object(), native, "{at}");
            let tools = body["tools"].as_array().cloned().unwrap_or_default();
            let has = tools.iter().any(|tool| tool["name"] == "json_output" && tool["input_schema"] == object());
            assert_eq!(has, !line && !native, "{at}");
            assert_eq!(way.names.output().is_some(), has, "{at}");
        }
    }

    /// What a caller gets for an answer of these blocks, whole and as a stream.
    fn answers(way: &Translation, blocks: &[Value], stop: &str) -> (Value, Vec<Value>) {
        let usage = json!({"input_tokens": 5, "output_tokens": 7});
        let body = json!({"content": blocks, "stop_reason": stop, "usage": usage});
        let whole = way.whole(body.to_string().as_bytes());
        let (whole, _) = whole.expect("an answer").expect("a good one");
        let mut stream = way.stream();
        let mut out = Vec::new();
        let mut say = |event: Value| {
            out.extend_from_slice(&stream.translate(event.to_string().as_bytes()));
        };
        say(json!({"type": "message_start", "message": {"usage": usage}}));
        for (index, block) in blocks.iter().enumerate() {
            let mut opener = block.clone();
            if opener["type"] == "tool_use" {
                opener["input"] = json!({});
            } else {
                opener["text"] = "".into();
            }
            say(json!({"type": "content_block_start", "index": index, "content_block": opener}));
            let text = block["text"]
                .as_str()
                .map_or_else(|| block["input"].to_string(), str::to_owned);
            for letter in text.chars() {
                let delta = if block["type"] == "tool_use" {
                    json!({"type": "input_json_delta", "partial_json": letter.to_string()})
                } else {
                    json!({"type": "text_delta", "text": letter.to_string()})
                };
                say(json!({"type": "content_block_delta", "index": index, "delta": delta}));
            }
            say(json!({"type": "content_block_stop", "index": index}));
        }
        say(json!({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": usage}));
        say(json!({"type": "message_stop"}));
        let events = golden::events(&out, 0);
        let events = events
            .iter()
            .filter_map(|data| serde_json::from_slice(data).ok());
        (
            serde_json::from_slice(&whole).expect("JSON"),
            events.collect(),
        )
    }

    fn tool_use(name: &str, input: &Value) -> Value {
        json!({"type": "tool_use", "id": format!("toolu_{name}"), "name": name, "input": input})
    }

    #[test]
    fn the_tools_input_is_the_answers_text_and_no_call() {
        let union = json!({"anyOf": [{"$ref": "#/$defs/a"}, {"type": "array"}], "$defs": {"a": {"type": "integer"}}});
        let (body, wrapped) = written(Chat, OLD, &[], &asked(&union, json!({})));
        let input = &body["tools"][0]["input_schema"];
        assert_eq!(input["$defs"], union["$defs"], "{body}");
        assert_eq!(
            input["properties"]["value"],
            json!({"anyOf": union["anyOf"]})
        );
        let (_, plain) = written(Chat, OLD, &[], &asked(&object(), function()));
        // The way back, what the upstream says and why it stops, and the text, calls and end that arrive.
        let table = [
            (
                &plain,
                vec![tool_use("json_output", &json!({"x": 1}))],
                "tool_use",
                "{\"x\":1}",
                0,
                "stop",
            ),
            (
                &wrapped,
                vec![tool_use("json_output", &json!({"value": [1, 2]}))],
                "tool_use",
                "[1,2]",
                0,
                "stop",
            ),
            (
                &plain,
                vec![
                    tool_use("json_output", &json!({"x": 1})),
                    tool_use("json_output", &json!({"x": 2})),
                ],
                "tool_use",
                "{\"x\":1}",
                0,
                "stop",
            ),
            (
                &plain,
                vec![tool_use("f", &json!({"y": 1}))],
                "tool_use",
                "",
                1,
                "tool_calls",
            ),
            (
                &plain,
                vec![
                    tool_use("f", &json!({"y": 1})),
                    tool_use("json_output", &json!({"x": 1})),
                ],
                "tool_use",
                "{\"x\":1}",
                1,
                "tool_calls",
            ),
            (
                &plain,
                vec![tool_use("json_output", &json!({"x": 1}))],
                "max_tokens",
                "{\"x\":1}",
                0,
                "length",
            ),
            (
                &plain,
                vec![json!({"type": "text", "text": "no"})],
                "end_turn",
                "no",
                0,
                "stop",
            ),
        ];

        for (way, blocks, stop, text, calls, finish) in table {
            assert_told(way, (&blocks, stop), (text, calls, finish));
        }
    }

    #[test]
    fn words_beside_the_answer_are_not_it() {
        let (_, plain) = written(Chat, OLD, &[], &asked(&object(), function()));
        let number = json!({"type": "integer"});
        let (_, wrapped) = written(Chat, OLD, &[], &asked(&number, json!({})));
        let said = |text: &str| json!({"type": "text", "text": text});
        let table = [
            (
                &plain,
                vec![
                    said("Here it is:"),
                    tool_use("json_output", &json!({"x": 1})),
                    said("Done."),
                ],
                ("{\"x\":1}", 0, "stop"),
            ),
            (
                &wrapped,
                vec![
                    said("First"),
                    said("of all:"),
                    tool_use("json_output", &json!({"value": 7})),
                ],
                ("7", 0, "stop"),
            ),
            (
                &plain,
                vec![said("I look."), tool_use("f", &json!({"y": 1}))],
                ("I look.", 1, "tool_calls"),
            ),
        ];

        for (way, blocks, told) in table {
            assert_told(way, (&blocks, "tool_use"), told);
        }
    }

    /// Whether a caller is told this text, so many calls and this end, whole and in a stream.
    fn assert_told(
        way: &Translation,
        (blocks, stop): (&[Value], &str),
        (text, calls, finish): (&str, usize, &str),
    ) {
        let (whole, events) = answers(way, blocks, stop);
        let choice = &whole["choices"][0];
        let said = choice["message"]["content"].as_str().unwrap_or_default();
        let called = choice["message"]["tool_calls"]
            .as_array()
            .map_or(0, Vec::len);
        assert_eq!(
            (said, called, &choice["finish_reason"]),
            (text, calls, &json!(finish)),
            "{whole}"
        );
        let deltas = events.iter().filter_map(|event| event["choices"].get(0));
        let streamed: String = deltas
            .clone()
            .filter_map(|choice| choice["delta"]["content"].as_str())
            .collect();
        let opened = deltas
            .clone()
            .filter(|choice| choice["delta"]["tool_calls"][0]["id"].is_string());
        assert_eq!((&*streamed, opened.count()), (text, calls), "{events:?}");
        let last: Vec<&Value> = deltas
            .map(|choice| &choice["finish_reason"])
            .filter(|reason| reason.is_string())
            .collect();
        assert_eq!(last, [&json!(finish)]);
    }

    #[test]
    fn a_responses_caller_gets_a_message_and_the_callers_own_tool_keeps_its_name() {
        let body = json!({"model": "M", "input": "q",
            "tools": [{"type": "function", "name": "json_output", "parameters": {"type": "object"}}],
            "text": {"format": {"type": "json_schema", "name": "n", "schema": object()}}});

        let (sent, way) = written(Responses, OLD, &[], &body);

        assert_eq!(sent["tools"][1]["name"], "json_output_", "{sent}");
        let (whole, events) = answers(
            &way,
            &[tool_use("json_output_", &json!({"x": 1}))],
            "tool_use",
        );
        let part = &whole["output"][0]["content"][0];
        assert_eq!(
            (&part["text"], &whole["status"]),
            (&json!("{\"x\":1}"), &json!("completed"))
        );
        let last = events.last().expect("events");
        assert_eq!(last["response"]["output"][0]["type"], "message", "{last}");
        let (own, _) = answers(
            &way,
            &[tool_use("json_output", &json!({"x": 1}))],
            "tool_use",
        );
        assert_eq!(own["output"][0]["type"], "function_call");
    }
}
