//! A Messages request, written for an upstream.

use serde_json::{Map, Value, json};

use super::write_thinking::{self, Plan};
use crate::translate::{
    answer::Opaque,
    names::digest,
    neutral::{
        Call, CallResult, Choice, File, Format, Image, Kind, Part, Request, Role, Source, Tool,
        Turn, WebSearch,
    },
    schema,
    target::Target,
    turns::in_order,
};

/// What asks a model for JSON that has no schema.
const JSON_ONLY: &str = "Reply with one JSON object only.";
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
    let turns = turns(request);
    let max_tokens = target.output_limit(request);
    let plan = write_thinking::plan(request, target, &turns, max_tokens);

    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    put("model", Some(target.model.into()));
    put("max_tokens", Some(max_tokens.into()));
    put("system", system(request, &plan));
    let messages: Vec<Value> = turns.iter().map(|turn| message(turn, target)).collect();
    put("messages", Some(messages.into()));

    let tools = tools(request, target);
    if !tools.is_empty() {
        put("tool_choice", choice(request, target, &plan));
        put("tools", Some(tools.into()));
    }
    put("thinking", plan.thinking.clone());
    put("output_config", output_config(request, &plan));
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

fn system(request: &Request, plan: &Plan) -> Option<Value> {
    let mut said = request.system.clone();
    if request.format == Format::Json {
        said.push(JSON_ONLY.to_owned());
    }
    said.extend(plan.hint.clone());
    said.retain(|text| !text.trim().is_empty());
    (!said.is_empty()).then(|| json!([{"type": "text", "text": said.join("\n\n")}]))
}

fn output_config(request: &Request, plan: &Plan) -> Option<Value> {
    let mut config = Map::new();
    if let Some(effort) = plan.effort {
        config.insert("effort".to_owned(), effort.word().into());
    }
    if let Format::Schema(given) = &request.format {
        let format = json!({"type": "json_schema", "schema": given.schema});
        config.insert("format".to_owned(), format);
    }
    (!config.is_empty()).then(|| Value::Object(config))
}

/// The conversation: begun and ended by the user, words of the system among the user's.
fn turns(request: &Request) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for mut turn in in_order(&request.turns) {
        if turn.role == Role::System {
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
    if turns
        .first()
        .is_none_or(|turn| turn.role == Role::Assistant)
    {
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

fn message(turn: &Turn, target: &Target<'_>) -> Value {
    let role = if turn.role == Role::Assistant {
        "assistant"
    } else {
        "user"
    };
    if let [Part::Text(text)] = turn.parts.as_slice() {
        return json!({"role": role, "content": text});
    }
    let blocks: Vec<Value> = turn
        .parts
        .iter()
        .filter_map(|part| block(part, target))
        .collect();
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
        Part::Audio(_) => None,
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
    let wrapped = target
        .names
        .declared(&name)
        .is_some_and(|declared| declared.wrapped);
    let input = if call.kind == Kind::Custom {
        json!({"input": call.args})
    } else if call.args.trim().is_empty() {
        json!({})
    } else {
        match serde_json::from_str::<Value>(&call.args) {
            Ok(value) if wrapped => json!({"value": value}),
            Ok(value) if value.is_object() => value,
            _ => json!({"_raw": call.args}),
        }
    };
    json!({"type": "tool_use", "id": call.id, "name": name, "input": input})
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

fn tools(request: &Request, target: &Target<'_>) -> Vec<Value> {
    let declared = request.tools.iter().filter(|tool| request.allows(tool));
    let mut tools: Vec<Value> = declared.map(|given| tool(given, target)).collect();
    tools.extend(request.web_search.as_ref().map(web_search));
    tools
}

fn tool(tool: &Tool, target: &Target<'_>) -> Value {
    let name = target.names.flat(tool.namespace.as_deref(), &tool.name);
    let wrapped = target
        .names
        .declared(&name)
        .is_some_and(|declared| declared.wrapped);
    let mut declared = json!({"name": name});
    if let Some(description) = tool.described() {
        declared["description"] = description.into();
    }
    let mut input = if tool.kind == Kind::Custom {
        schema::of_custom_input()
    } else {
        schema::tidy(tool.schema.as_ref())
    };
    if wrapped {
        input = json!({"type": "object", "properties": {"value": input}, "required": ["value"]});
    }
    if tool.strict == Some(true) && schema::allows_strict(&input) {
        declared["strict"] = true.into();
        input = schema::without_bounds(&input);
    }
    declared["input_schema"] = input;
    declared
}

fn web_search(search: &WebSearch) -> Value {
    let mut tool = json!({"type": "web_search_20250305", "name": "web_search"});
    if let Some(domains) = &search.allowed_domains {
        tool["allowed_domains"] = domains.clone();
    }
    if let Some(location) = &search.user_location {
        tool["user_location"] = location.clone();
    }
    tool
}

fn choice(request: &Request, target: &Target<'_>, plan: &Plan) -> Option<Value> {
    let named = |name: &str| json!({"type": "tool", "name": name});
    let mut choice = match &request.choice {
        None if request.parallel == Some(false) => json!({"type": "auto"}),
        None => return None,
        Some(Choice::Never) => json!({"type": "none"}),
        Some(_) if plan.hint.is_some() => json!({"type": "auto"}),
        Some(Choice::Auto | Choice::Among { must: false, .. }) => json!({"type": "auto"}),
        Some(Choice::Must | Choice::Among { must: true, .. }) => json!({"type": "any"}),
        Some(Choice::One { namespace, name }) => {
            named(&target.names.flat(namespace.as_deref(), name))
        }
        Some(Choice::Hosted(_)) => named("web_search"),
    };
    if request.parallel == Some(false) && request.choice != Some(Choice::Never) {
        choice["disable_parallel_tool_use"] = true.into();
    }
    Some(choice)
}
