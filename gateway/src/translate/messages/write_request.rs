//! A Messages request, written for an upstream.

use serde_json::{Map, Value, json};

use super::{
    write_format,
    write_thinking::{self, Plan},
    write_tool::{choice, tools},
};
use crate::translate::{
    answer::Opaque,
    lenient,
    mark::{Marks, set_usual},
    names::digest,
    neutral::{Call, CallResult, File, Image, Kind, Part, Request, Role, Source, Turn},
    target::Target,
    turns::in_order,
};

/// The word of a user who has none, where the protocol wants one.
const FILLER: &str = ".";
/// What makes a model go on where the conversation ends with its own words.
const GO_ON: &str = "Continue.";
/// The longest id of a user.
const LONGEST_USER: usize = 64;

/// Writes a request. What has no place is named in `dropped`.
pub(in crate::translate) fn write(
    request: &Request,
    target: &Target<'_>,
    dropped: &mut Vec<String>,
) -> Map<String, Value> {
    let turns = turns(request, target);
    let max_tokens = target.output_limit(request);
    let plan = write_thinking::plan(request, target, &turns, max_tokens).bound(&turns, target);

    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    put("model", Some(target.model.into()));
    put("max_tokens", Some(max_tokens.into()));
    let mut marks = Marks::default();
    let mut tools = tools(request, target, &mut marks);
    let mut system = system(request, target, &plan, &mut marks);
    let mut messages: Vec<Value> = turns
        .iter()
        .map(|turn| message(turn, target, &mut marks))
        .collect();
    if target.traits.caches {
        set_usual(&mut marks, &mut tools, system.as_mut(), &mut messages);
    }
    put("system", system);
    put("messages", Some(messages.into()));
    if marks.refused {
        dropped.push("cache_control".to_owned());
    }

    if !tools.is_empty() {
        put("tool_choice", choice(request, target, &plan));
        put("tools", Some(tools.into()));
    }
    put("thinking", plan.thinking.clone());
    put("output_config", output_config(request, target, &plan));
    sampling(request, target, &plan, &mut put, dropped);
    let stops: Vec<&String> = request
        .stop
        .iter()
        .filter(|stop| !stop.trim().is_empty())
        .collect();
    put("stop_sequences", (!stops.is_empty()).then(|| json!(stops)));
    put(
        "metadata",
        request
            .user
            .as_deref()
            .map(|user| json!({"user_id": user_id(user)})),
    );
    put(
        "service_tier",
        request.tier.as_deref().and_then(tier).map(Value::from),
    );
    put("stream", target.streamed.then(|| true.into()));
    for (name, given) in [
        ("metadata", request.metadata.is_some()),
        ("prompt_cache_key", request.cache_key.is_some()),
        ("verbosity", request.verbosity.is_some()),
        (
            "service_tier",
            request
                .tier
                .as_deref()
                .is_some_and(|word| tier(word).is_none()),
        ),
    ] {
        if given {
            dropped.push(name.to_owned());
        }
    }
    body
}

fn sampling(
    request: &Request,
    target: &Target<'_>,
    plan: &Plan,
    put: &mut impl FnMut(&str, Option<Value>),
    dropped: &mut Vec<String>,
) {
    let given = &request.sampling;
    let samples = target.traits.samples && !plan.thinks;
    let temperature = given.temperature.as_ref().map(|number| {
        let hot = number.as_f64().is_some_and(|degree| degree > 1.0);
        if hot { json!(1) } else { number.clone().into() }
    });
    // The newer of the models that take both refuse them together.
    let top_p = given.top_p.clone().filter(|_| temperature.is_none());
    if top_p != given.top_p {
        dropped.push("top_p".to_owned());
    }
    let values = [
        ("temperature", temperature),
        ("top_p", top_p.map(Value::from)),
        ("top_k", given.top_k.clone().map(Value::from)),
    ];
    for (name, value) in values {
        if samples {
            put(name, value);
        } else if value.is_some() {
            dropped.push(name.to_owned());
        }
    }
    for (name, given) in [
        ("frequency_penalty", given.frequency_penalty.is_some()),
        ("presence_penalty", given.presence_penalty.is_some()),
        ("seed", given.seed.is_some()),
        ("logit_bias", given.logit_bias.is_some()),
        ("logprobs", given.top_logprobs.is_some()),
    ] {
        if given {
            dropped.push(name.to_owned());
        }
    }
}

fn tier(tier: &str) -> Option<&'static str> {
    match tier {
        "auto" | "priority" => Some("auto"),
        "default" | "flex" => Some("standard_only"),
        _ => None,
    }
}

/// An id that says nothing about a person; what is no plain id is digested.
fn user_id(user: &str) -> String {
    let plain = user.len() <= LONGEST_USER
        && user
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
    if plain {
        user.to_owned()
    } else {
        digest(user, 32)
    }
}

/// One block, or one up to each mark and one for the rest.
fn system(request: &Request, target: &Target<'_>, plan: &Plan, marks: &mut Marks) -> Option<Value> {
    let mut rest = request.system.clone();
    rest.extend(write_format::line(request, target));
    rest.extend(plan.hint.clone());
    let mut blocks = Vec::new();
    let mut said = 0;
    for (mark, lasting) in &request.system_marks {
        let after = rest.split_off((mark - said).min(rest.len()));
        said = *mark;
        if let Some(mut block) = system_block(&rest) {
            marks.set(&mut block, *lasting);
            blocks.push(block);
        }
        rest = after;
    }
    blocks.extend(system_block(&rest));
    (!blocks.is_empty()).then(|| blocks.into())
}

fn system_block(texts: &[String]) -> Option<Value> {
    let texts: Vec<&str> = texts
        .iter()
        .map(String::as_str)
        .filter(|text| !text.trim().is_empty())
        .collect();
    (!texts.is_empty()).then(|| json!({"type": "text", "text": texts.join("\n\n")}))
}

fn output_config(request: &Request, target: &Target<'_>, plan: &Plan) -> Option<Value> {
    let mut config = Map::new();
    if let Some(effort) = plan.effort {
        config.insert("effort".to_owned(), effort.word().into());
    }
    if let Some(given) = write_format::asked(request, target) {
        let format = json!({"type": "json_schema", "schema": given.schema});
        config.insert("format".to_owned(), format);
    }
    (!config.is_empty()).then(|| Value::Object(config))
}

/// The conversation: begun by the user and not ended by the model, words of the system among the user's where the model
/// takes them nowhere else.
fn turns(request: &Request, target: &Target<'_>) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for mut turn in in_order(&request.turns) {
        if turn.role == Role::System && !target.traits.interjects {
            turn.role = Role::User;
            for part in &mut turn.parts {
                if let Part::Text(text) = part {
                    *text = format!("<system-reminder>\n{text}\n</system-reminder>");
                }
            }
        }
        match turns.last_mut() {
            Some(last) if last.role == turn.role => last.parts.append(&mut turn.parts),
            _ => turns.push(turn),
        }
    }
    let user = |text: &str| Turn::new(Role::User, vec![Part::Text(text.to_owned())]);
    if turns.first().is_none_or(|turn| turn.role != Role::User) {
        turns.insert(0, user(FILLER));
    }
    if turns
        .last()
        .is_some_and(|turn| turn.role == Role::Assistant)
    {
        turns.push(user(GO_ON));
    }
    turns
}

fn message(turn: &Turn, target: &Target<'_>, marks: &mut Marks) -> Value {
    let role = match turn.role {
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::System => "system",
    };
    if let [Part::Text(text)] = turn.parts.as_slice() {
        return json!({"role": role, "content": text});
    }
    let mut blocks: Vec<Value> = Vec::new();
    for part in &turn.parts {
        match (part, blocks.last_mut()) {
            (Part::CacheMark(lasting), Some(marked)) => marks.set(marked, *lasting),
            _ => blocks.extend(block(part, target)),
        }
    }
    if blocks.is_empty() {
        // Nothing but foreign thoughts: the turn still parts two of the user's.
        return json!({"role": role, "content": FILLER});
    }
    json!({"role": role, "content": blocks})
}

fn block(part: &Part, target: &Target<'_>) -> Option<Value> {
    match part {
        Part::Text(text) | Part::Refusal(text) => Some(json!({"type": "text", "text": text})),
        Part::Image(image) => Some(image_block(image)),
        Part::File(file) => Some(file_block(file)),
        Part::Thought(thought) => {
            let opened = target.carriers.open(thought.carrier.as_deref()?)?;
            match opened.opaque? {
                Opaque::Signature(signature) => Some(
                    json!({"type": "thinking", "thinking": opened.text, "signature": signature}),
                ),
                Opaque::Redacted(data) => Some(json!({"type": "redacted_thinking", "data": data})),
                Opaque::Encrypted(_) => None,
            }
        }
        Part::Call(call) => Some(tool_use(call, target)),
        Part::Result(result) => Some(tool_result(result, target)),
        Part::Audio(_) | Part::CacheMark(_) => None,
    }
}

fn image_block(image: &Image) -> Value {
    let source = match &image.source {
        Source::Data { media, data } => {
            json!({"type": "base64", "media_type": media, "data": data})
        }
        Source::Url(url) => json!({"type": "url", "url": url}),
    };
    json!({"type": "image", "source": source})
}

fn file_block(file: &File) -> Value {
    let source = match &file.source {
        Source::Data { media, data } if media == "text/plain" => {
            json!({"type": "text", "media_type": media, "data": data})
        }
        Source::Data { media, data } => {
            json!({"type": "base64", "media_type": media, "data": data})
        }
        Source::Url(url) => json!({"type": "url", "url": url}),
    };
    let mut block = json!({"type": "document", "source": source});
    if let Some(name) = &file.name {
        block["title"] = name.as_str().into();
    }
    block
}

fn tool_use(call: &Call, target: &Target<'_>) -> Value {
    let name = target.names.flat(call.namespace.as_deref(), &call.name);
    let wrapped = target.names.wraps(&name);
    let input = if call.kind == Kind::Custom {
        json!({"input": call.args})
    } else if call.args.trim().is_empty() {
        json!({})
    } else {
        match arguments(&call.args) {
            Some(value) if wrapped => json!({"value": value}),
            Some(value) if value.is_object() => value,
            _ => json!({"_raw": call.args}),
        }
    };
    json!({"type": "tool_use", "id": call.id, "name": name, "input": input})
}

/// Arguments as they were meant: a model that broke off may have left out the last brackets.
fn arguments(args: &str) -> Option<Value> {
    let whole = serde_json::from_str(args).ok();
    whole.or_else(|| serde_json::from_str(&format!("{args}{}", lenient::closing(args)?)).ok())
}

fn tool_result(result: &CallResult, target: &Target<'_>) -> Value {
    let mut block = json!({"type": "tool_result", "tool_use_id": result.call});
    match result.parts.as_slice() {
        [] => {}
        [Part::Text(text)] => block["content"] = text.as_str().into(),
        parts => {
            let parts = parts
                .iter()
                .filter(|part| !matches!(part, Part::Text(text) if text.trim().is_empty()));
            let blocks: Vec<Value> = parts.filter_map(|part| self::block(part, target)).collect();
            block["content"] = blocks.into();
        }
    }
    if result.failed {
        block["is_error"] = true.into();
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::Protocol;

    use crate::translate::{Names, Traits, carrier::tests::carriers, read};

    /// A request as a Messages upstream gets it, and what had no place in it.
    fn written(client: Protocol, body: &Value) -> (Value, Vec<String>) {
        written_with(client, &[], body)
    }

    fn written_with(client: Protocol, words: &[&str], body: &Value) -> (Value, Vec<String>) {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let request = read(client, body.to_string().as_bytes()).expect("a good request");
        request.fits(Protocol::Messages).expect("it fits");
        let target = Target {
            protocol: Protocol::Messages,
            model: "claude-sonnet-4-5",
            default_output: 32_000,
            most_output: None,
            streamed: false,
            traits: Traits::of(Protocol::Messages, "claude-sonnet-4-5", &words),
            carriers: &carriers("x"),
            names: &Names::of(&request, Protocol::Messages),
        };
        let written = request.write(&target);
        let body = serde_json::from_slice(&written.body).expect("JSON");
        (body, written.dropped)
    }

    #[test]
    fn marks_of_a_prompt_cache_stay_where_they_are_as_far_as_there_is_room() {
        let mark = json!({"type": "ephemeral"});
        let said = |text: &str| json!({"type": "text", "text": text, "cache_control": mark});
        let function = json!({"name": "f", "parameters": {"type": "object"}});
        let body = json!({"model": "M",
            "tools": [{"type": "function", "function": function, "cache_control": mark}],
            "messages": [
                {"role": "system", "content": [said("one"), {"type": "text", "text": "two"}]},
                {"role": "user", "content": [said("three"), said(" "), {"type": "text", "text": "four"}]},
                {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "a", "content": [said("five")]},
                {"role": "user", "content": [said("six")]},
                {"role": "user", "content": [said("seven")]}]});

        let (written, dropped) = written(Protocol::Chat, &body);

        assert_eq!(written["tools"][0]["cache_control"], mark);
        assert_eq!(
            written["system"],
            json!([said("one"), {"type": "text", "text": "two"}])
        );
        assert_eq!(
            written["messages"][0]["content"],
            json!([said("three"), {"type": "text", "text": "four"}])
        );
        let last = &written["messages"][2]["content"];
        assert_eq!(
            *last,
            json!([{"type": "tool_result", "tool_use_id": "a", "content": "five"},
                   said("six"), {"type": "text", "text": "seven"}])
        );
        assert_eq!(
            dropped,
            ["messages[3].content.cache_control", "cache_control"]
        );
    }

    #[test]
    fn marks_of_a_responses_caller_last_as_long_as_the_upstream_can_keep_them() {
        let said = |text: &str, ttl: &str| json!({"type": "input_text", "text": text, "prompt_cache_breakpoint": {"mode": "explicit", "ttl": ttl}});
        let body = json!({"model": "M", "instructions": "zero", "input": [
            {"role": "developer", "content": [said("one", "12h")]},
            {"role": "user", "content": [said("two", "12h"), {"type": "input_text", "text": "three"}]},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": [said("four", "30m")]},
            {"role": "user", "content": [said("five", "30m"), said(" ", "30m")]},
            {"role": "user", "content": [said("six", "12h")]},
            {"role": "user", "content": [said("seven", "12h")]}]});

        let (written, dropped) = written(Protocol::Responses, &body);

        let text = |text: &str, mark: Value| {
            let mut block = json!({"type": "text", "text": text});
            if !mark.is_null() {
                block["cache_control"] = mark;
            }
            block
        };
        let long = || json!({"type": "ephemeral", "ttl": "1h"});
        let short = || json!({"type": "ephemeral"});
        assert_eq!(written["system"], json!([text("zero\n\none", long())]));
        let messages = &written["messages"];
        assert_eq!(
            messages[0]["content"],
            json!([text("two", long()), text("three", Value::Null)])
        );
        // A long mark does not come after a short one, and there are four.
        let last = messages[2]["content"].as_array().expect("blocks");
        assert_eq!(
            last[1..],
            [
                text("five", short()),
                text("six", short()),
                text("seven", Value::Null)
            ]
        );
        assert_eq!(
            dropped,
            ["input[3].output.prompt_cache_breakpoint", "cache_control"]
        );
    }

    #[test]
    fn words_of_the_system_stay_where_they_are_with_a_model_that_takes_them_there() {
        let body = json!({"model": "M", "messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": "a"},
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": "and?"}]});

        let (kept, _) = written_with(Protocol::Chat, &["mid_conversation_system"], &body);
        let (wrapped, _) = written(Protocol::Chat, &body);

        assert_eq!(
            kept["messages"][2],
            json!({"role": "system", "content": "be brief"})
        );
        assert_eq!(kept["messages"][3]["content"], "and?");
        assert_eq!(wrapped["messages"].as_array().map(Vec::len), Some(3));
        let reminder = wrapped["messages"][2]["content"][0]["text"].as_str();
        assert!(reminder.is_some_and(|text| text.starts_with("<system-reminder>")));
    }

    #[test]
    fn what_falls_away_is_named() {
        let said = json!([{"role": "user", "content": "q"}]);
        let warm = json!({"model": "M", "messages": said, "temperature": 0.5, "top_p": 0.9});
        let idle = json!({"model": "M", "messages": said,
                          "tool_choice": {"type": "function", "function": {"name": "f"}}});

        let (both, dropped) = written(Protocol::Chat, &warm);
        assert_eq!(
            (&both["temperature"], &both["top_p"]),
            (&json!(0.5), &Value::Null)
        );
        assert_eq!(dropped, ["top_p"]);

        let (free, dropped) = written(Protocol::Chat, &idle);
        assert_eq!(free["tool_choice"], Value::Null);
        assert_eq!(dropped, ["tool_choice"]);
    }

    #[test]
    fn arguments_that_lack_their_last_brackets_are_closed_and_others_told_as_they_are() {
        let table = [
            (r#"{"a":{"b":[1"#, json!({"a": {"b": [1]}})),
            (r#"{"a":"x"#, json!({"_raw": r#"{"a":"x"#})),
            ("[1", json!({"_raw": "[1"})),
            ("", json!({})),
        ];

        for (args, input) in table {
            let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": args}});
            let body = json!({"model": "M", "messages": [{"role": "user", "content": "q"},
                {"role": "assistant", "tool_calls": [call]}]});
            let (written, _) = written(Protocol::Chat, &body);
            assert_eq!(
                written["messages"][1]["content"][0]["input"], input,
                "{args}"
            );
        }
    }

    #[test]
    fn a_choice_of_a_tool_that_is_not_among_those_given_is_refused() {
        let body = json!({"model": "M", "messages": [{"role": "user", "content": "q"}],
            "tools": [{"type": "function", "function": {"name": "g"}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}}});
        let request = read(Protocol::Chat, body.to_string().as_bytes()).expect("a good request");

        assert!(request.fits(Protocol::Messages).is_err());
    }
}
