//! A chat request, written for an upstream.

use serde_json::{Map, Value, json};

use super::think;
use crate::translate::{
    media,
    neutral::{
        Call, CallResult, Choice, Effort, File, Format, Image, Kind, Part, Request, Role, Source,
        Thought, Tool, Turn,
    },
    schema,
    target::{Target, Thinking},
    turns::{in_order, joined_text, result_text},
};

/// The most stop texts that providers take.
const MOST_STOPS: usize = 4;

/// Writes a request. What has no place is named in `dropped`.
pub(in crate::translate) fn write(
    request: &Request,
    target: &Target<'_>,
    dropped: &mut Vec<String>,
) -> Map<String, Value> {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    put("model", Some(target.model.into()));
    put("messages", Some(messages(request, target)));
    let tools: Vec<Value> = request
        .tools
        .iter()
        .filter(|given| !target.traits.is_plain || request.allows(given))
        .map(|given| tool(given, target))
        .collect();
    let has_tools = !tools.is_empty();
    put("tools", has_tools.then(|| tools.into()));
    if has_tools {
        put(
            "tool_choice",
            request.choice.as_ref().map(|given| choice(given, target)),
        );
        put("parallel_tool_calls", request.parallel.map(Value::from));
    }
    let limit = target.limited(request.max_output);
    let limit_name = if target.traits.is_plain {
        "max_tokens"
    } else {
        "max_completion_tokens"
    };
    put(limit_name, limit.map(Value::from));
    let sampling = &request.sampling;
    put("temperature", sampling.temperature.clone().map(Value::from));
    put("top_p", sampling.top_p.clone().map(Value::from));
    if sampling.top_k.is_some() {
        dropped.push("top_k".to_owned());
    }
    if let Some(top) = sampling.top_logprobs {
        put("logprobs", Some(true.into()));
        put("top_logprobs", (top > 0).then(|| top.into()));
    }
    let stops: Vec<&String> = request.stop.iter().take(MOST_STOPS).collect();
    if request.stop.len() > MOST_STOPS {
        dropped.push("stop_sequences".to_owned());
    }
    put("stop", (!stops.is_empty()).then(|| json!(stops)));
    put(
        "reasoning_effort",
        effort(request, target).map(|effort| effort.word().into()),
    );
    put("response_format", format(&request.format));
    if target.traits.is_plain && request.verbosity.is_some() {
        dropped.push("verbosity".to_owned());
    } else {
        put("verbosity", request.verbosity.clone().map(Value::from));
    }
    if request.web_search.is_some() {
        dropped.push("web_search".to_owned());
    }
    // Vendors of the same dialect refuse what they do not know, and these are OpenAI's alone.
    let is_known = target.traits.is_openai;
    if is_known {
        let cache = request.cache_key.as_ref().or(request.session.as_ref());
        put("service_tier", request.tier.clone().map(Value::from));
        put("prompt_cache_key", cache.cloned().map(Value::from));
        put("safety_identifier", request.user.clone().map(Value::from));
    }
    for (name, given) in [
        ("cache_control", request.has_marks()),
        // OpenAI takes it with answers that it stores, and none is.
        ("metadata", request.metadata.is_some()),
        ("service_tier", request.tier.is_some() && !is_known),
        ("prompt_cache_key", request.cache_key.is_some() && !is_known),
        ("user", request.user.is_some() && !is_known),
    ] {
        if given {
            dropped.push(name.to_owned());
        }
    }
    if target.streamed {
        put("stream", Some(true.into()));
        put("stream_options", Some(json!({"include_usage": true})));
    }
    body
}

fn effort(request: &Request, target: &Target<'_>) -> Option<Effort> {
    if target.traits.thinking == Thinking::Never {
        return None;
    }
    let asked = request.reasoning.effort?;
    Some(asked.min(target.traits.most_effort))
}

fn messages(request: &Request, target: &Target<'_>) -> Value {
    let mut messages = Vec::new();
    if !request.system.is_empty() {
        messages.push(json!({"role": "system", "content": request.system.join("\n\n")}));
    }
    for turn in in_order(&request.turns) {
        match turn.role {
            Role::System => {
                messages.push(json!({"role": "system", "content": joined_text(&turn.parts)}));
            }
            Role::User => user(&turn, &mut messages),
            Role::Assistant => messages.push(assistant(&turn, target)),
        }
    }
    messages.into()
}

/// Results first, one message each; the pictures in them after all of these, for a tool's message holds text only.
fn user(turn: &Turn, messages: &mut Vec<Value>) {
    let mut pictures = Vec::new();
    let mut rest = Vec::new();
    for part in &turn.parts {
        match part {
            Part::Result(result) => {
                let content = result_content(result, &mut pictures);
                messages
                    .push(json!({"role": "tool", "tool_call_id": result.call, "content": content}));
            }
            part => rest.extend(content_part(part)),
        }
    }
    pictures.append(&mut rest);
    if pictures.is_empty() {
        return;
    }
    let content = match pictures.as_slice() {
        [only] if only.get("type").is_some_and(|kind| kind == "text") => {
            only.get("text").cloned().unwrap_or_default()
        }
        _ => pictures.into(),
    };
    messages.push(json!({"role": "user", "content": content}));
}

fn result_content(result: &CallResult, pictures: &mut Vec<Value>) -> String {
    let mut text = result_text(result);
    let media = result
        .parts
        .iter()
        .filter(|part| !matches!(part, Part::Text(_)));
    for (number, part) in (1..).zip(media) {
        let what = if matches!(part, Part::Image(_)) {
            "image"
        } else {
            "file"
        };
        let line = format!("[{what} {number} of {} below]", result.call);
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
        pictures.extend(content_part(part));
    }
    text
}

fn content_part(part: &Part) -> Option<Value> {
    match part {
        Part::Text(text) | Part::Refusal(text) => Some(json!({"type": "text", "text": text})),
        Part::Image(image) => Some(image_part(image)),
        Part::File(file) => Some(file_part(file)),
        Part::Audio(audio) => Some(json!({"type": "input_audio",
            "input_audio": {"data": audio.data, "format": audio.format}})),
        Part::Thought(_) | Part::Call(_) | Part::Result(_) | Part::CacheMark(_) => None,
    }
}

fn image_part(image: &Image) -> Value {
    let mut inner = json!({"url": media::url(&image.source)});
    if let Some(detail) = &image.detail {
        inner["detail"] = detail.as_str().into();
    }
    json!({"type": "image_url", "image_url": inner})
}

fn file_part(file: &File) -> Value {
    if let Source::Data { media, data } = &file.source
        && media == "text/plain"
    {
        let title = file.name.as_deref().unwrap_or("document");
        return json!({"type": "text", "text": format!("{title}:\n{data}")});
    }
    let name = file.name.as_deref().unwrap_or("document.pdf");
    json!({"type": "file", "file": {"file_data": media::url(&file.source), "filename": name}})
}

fn assistant(turn: &Turn, target: &Target<'_>) -> Value {
    let mut texts = Vec::new();
    let mut calls = Vec::new();
    let mut thoughts = Vec::new();
    for part in &turn.parts {
        match part {
            Part::Text(text) | Part::Refusal(text) => texts.push(text.as_str()),
            Part::Call(given) => calls.push(call(given, target)),
            Part::Thought(thought) => thoughts.extend(readable(thought, target)),
            Part::Image(_)
            | Part::File(_)
            | Part::Audio(_)
            | Part::Result(_)
            | Part::CacheMark(_) => {}
        }
    }
    let mut message = json!({"role": "assistant", "content": null});
    let mut content = texts.join("\n\n");
    let thought = thoughts.join("\n\n");
    if target.traits.echoes && target.traits.splits {
        content = think::joined(&thought, &content);
    } else if target.traits.echoes && !(calls.is_empty() && thought.is_empty()) {
        let thought = if thought.is_empty() { " " } else { &thought };
        message["reasoning_content"] = thought.into();
    }
    if !content.is_empty() {
        message["content"] = content.into();
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    message
}

/// A thought's text, if this upstream thought it or its caller vouches for it.
fn readable(thought: &Thought, target: &Target<'_>) -> Option<String> {
    let text = match &thought.carrier {
        Some(carrier) => target.carriers.open(carrier)?.text,
        None => thought.text.clone(),
    };
    (!text.is_empty()).then_some(text)
}

fn call(call: &Call, target: &Target<'_>) -> Value {
    let name = target.names.flat(call.namespace.as_deref(), &call.name);
    let arguments = if call.kind == Kind::Custom {
        json!({"input": call.args}).to_string()
    } else if call.args.trim().is_empty() {
        "{}".to_owned()
    } else {
        call.args.clone()
    };
    json!({"id": call.id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn tool(tool: &Tool, target: &Target<'_>) -> Value {
    let mut function = json!({"name": target.names.flat(tool.namespace.as_deref(), &tool.name)});
    if let Some(description) = tool.described() {
        function["description"] = description.into();
    }
    if tool.kind == Kind::Custom {
        function["strict"] = false.into();
        function["parameters"] = schema::of_custom_input();
    } else {
        let parameters = schema::tidy(tool.schema.as_ref());
        let (strict, parameters) = schema::held_strictly(parameters, tool.strict == Some(true));
        if tool.strict.is_some() {
            function["strict"] = strict.into();
        }
        function["parameters"] = parameters;
    }
    json!({"type": "function", "function": function})
}

fn choice(choice: &Choice, target: &Target<'_>) -> Value {
    let function = |namespace: Option<&str>, name: &str| {
        let name = target.names.flat(namespace, name);
        json!({"type": "function", "function": {"name": name}})
    };
    match choice {
        Choice::Never => "none".into(),
        Choice::Auto | Choice::Hosted(_) => "auto".into(),
        Choice::Must => "required".into(),
        Choice::One { namespace, name } => function(namespace.as_deref(), name),
        Choice::Among { must: true, .. } if target.traits.is_plain => "required".into(),
        Choice::Among { .. } if target.traits.is_plain => "auto".into(),
        Choice::Among { must, names } => {
            let tools: Vec<Value> = names
                .iter()
                .map(|(namespace, name)| function(namespace.as_deref(), name))
                .collect();
            let mode = if *must { "required" } else { "auto" };
            json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}})
        }
    }
}

fn format(format: &Format) -> Option<Value> {
    match format {
        Format::Text => None,
        Format::Json => Some(json!({"type": "json_object"})),
        Format::Schema(given) => {
            let mut inner = json!({"name": given.name});
            if let Some(description) = &given.description {
                inner["description"] = description.as_str().into();
            }
            let (strict, schema) =
                schema::held_strictly(given.schema.clone(), given.strict == Some(true));
            if given.strict.is_some() {
                inner["strict"] = strict.into();
            }
            inner["schema"] = schema;
            Some(json!({"type": "json_schema", "json_schema": inner}))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use entity::Protocol;

    use crate::translate::{Names, Traits, carrier::tests::carriers, read};

    #[test]
    fn vendors_of_the_old_chat_get_the_old_fields() {
        let body = json!({"model": "deepseek-chat", "max_tokens": 99, "tool_choice": {"type": "any"},
            "messages": [{"role": "user", "content": "q"},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]}],
            "tools": [{"name": "f", "input_schema": {"type": "object"}}]});

        let written = written_for("deepseek-chat", &body);

        assert_eq!(written["max_tokens"], 99);
        assert_eq!(written["max_completion_tokens"], Value::Null);
        // It wants a thought before its calls, and an answer after each.
        assert_eq!(written["messages"][1]["reasoning_content"], " ");
        assert_eq!(written["messages"][2]["content"], "(no output)");
    }

    #[test]
    fn a_strict_schema_loses_forms_of_text_that_it_cannot_have() {
        let schema = |closed: bool| {
            json!({"type": "object", "required": ["a"], "additionalProperties": !closed, "properties": {
                "a": {"type": "string", "format": "uri"}}})
        };
        let asked = |schema: &Value| {
            let body = json!({"model": "M", "messages": [{"role": "user", "content": "q"}], "max_tokens": 9,
                "tools": [{"name": "f", "strict": true, "input_schema": schema}],
                "output_config": {"format": {"type": "json_schema", "schema": schema}}});
            let written = written_for("M", &body);
            [
                written["tools"][0]["function"].clone(),
                written["response_format"]["json_schema"].clone(),
            ]
        };

        let [tool, answer] = asked(&schema(true));
        for (strict, given) in [
            (&tool["strict"], &tool["parameters"]),
            (&answer["strict"], &answer["schema"]),
        ] {
            assert_eq!(*strict, true);
            assert_eq!(given["properties"]["a"], json!({"type": "string"}));
        }
        let [tool, answer] = asked(&schema(false));
        assert_eq!(
            (&tool["strict"], &tool["parameters"]),
            (&json!(false), &schema(false))
        );
        assert_eq!(
            (&answer["strict"], &answer["schema"]),
            (&json!(false), &schema(false))
        );
    }

    #[test]
    fn openai_itself_is_told_caches_and_users_by_name_and_nobody_else_is() {
        let body = json!({"model": "M", "max_tokens": 9, "service_tier": "standard_only",
            "messages": [{"role": "user", "content": "q"}], "metadata": {"user_id": "u-1"}});
        let plainly = Traits::of(Protocol::Chat, "M", &BTreeSet::new());
        let at_openai = Traits {
            is_openai: true,
            ..plainly
        };

        let there = written_with(at_openai, "M", &body);
        let elsewhere = written_with(plainly, "M", &body);

        assert_eq!(there["service_tier"], "default");
        // A digest of who it is.
        let user = there["safety_identifier"].as_str().expect("a name");
        assert_eq!(user.len(), 64);
        for name in ["service_tier", "safety_identifier", "prompt_cache_key"] {
            assert_eq!(elsewhere[name], Value::Null, "{name}");
        }
    }

    fn written_for(model: &str, body: &Value) -> Value {
        let traits = Traits::of(Protocol::Chat, model, &BTreeSet::new());
        written_with(traits, model, body)
    }

    fn written_with(traits: Traits, model: &str, body: &Value) -> Value {
        let request =
            read(Protocol::Messages, body.to_string().as_bytes()).expect("a good request");
        let target = Target {
            protocol: Protocol::Chat,
            model,
            default_output: 32_000,
            most_output: None,
            streamed: false,
            traits,
            carriers: &carriers("x"),
            names: &Names::of(&request, Protocol::Chat),
        };
        serde_json::from_slice(&request.write(&target).body).expect("JSON")
    }
}
