//! A Responses request, written for an upstream.

use serde_json::{Map, Value, json};

use super::read_request::LOGPROBS;
use crate::translate::{
    answer::Opaque,
    media,
    neutral::{
        Call, CallResult, Choice, Effort, File, Format, Kind, Part, Request, Role, Source, Tool,
        Turn, WebSearch,
    },
    schema,
    target::{Target, Thinking},
    turns::{in_order, joined_text, result_text},
};

/// The least output limit that is taken.
const LEAST_OUTPUT: u64 = 16;

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
    let instructions = request.system.join("\n\n");
    put(
        "instructions",
        (!instructions.is_empty()).then(|| instructions.into()),
    );
    put("input", Some(input(request, target)));

    let mut tools: Vec<Value> = request
        .tools
        .iter()
        .map(|given| tool(given, target))
        .collect();
    tools.extend(request.web_search.as_ref().map(web_search));
    if !tools.is_empty() {
        put("tools", Some(tools.into()));
        put(
            "tool_choice",
            request
                .choice
                .as_ref()
                .map(|given| choice(given, request, target)),
        );
        put("parallel_tool_calls", request.parallel.map(Value::from));
    }
    let searches = request.web_search.as_ref().and_then(|search| search.most);
    put("max_tool_calls", searches.map(Value::from));
    let limit = target.limited(request.max_output);
    let limit = limit.map(|limit| limit.max(LEAST_OUTPUT));
    put("max_output_tokens", limit.map(Value::from));
    put("reasoning", reasoning(request, target));
    put("text", text(request));
    sampling(request, target, &mut put, dropped);
    put("metadata", request.metadata.clone());
    put("service_tier", request.tier.clone().map(Value::from));
    put("safety_identifier", request.user.clone().map(Value::from));
    put(
        "prompt_cache_key",
        request
            .cache_key
            .as_ref()
            .or(request.session.as_ref())
            .map(|key| key.as_str().into()),
    );
    put("stream", target.streamed.then(|| true.into()));
    put("store", Some(false.into()));
    // A model that does not think refuses to be asked for thoughts.
    let mut include = Vec::new();
    if target.traits.thinking != Thinking::Never {
        include.push("reasoning.encrypted_content");
    }
    if let Some(top) = likely(request, target) {
        include.push(LOGPROBS);
        put("top_logprobs", (top > 0).then(|| top.into()));
    }
    put("include", (!include.is_empty()).then(|| json!(include)));
    if request.has_marks() {
        dropped.push("cache_control".to_owned());
    }
    for (name, value) in &request.shared {
        put(name, Some(value.clone()));
    }
    body
}

/// How many likely tokens to report beside each one. A model that thinks tells none, as it takes no temperature.
fn likely(request: &Request, target: &Target<'_>) -> Option<u64> {
    let thinks = !target.traits.samples && request.reasoning.effort != Some(Effort::Off);
    request.sampling.top_logprobs.filter(|_| !thinks)
}

fn sampling(
    request: &Request,
    target: &Target<'_>,
    put: &mut impl FnMut(&str, Option<Value>),
    dropped: &mut Vec<String>,
) {
    let given = &request.sampling;
    for (name, value) in [("temperature", &given.temperature), ("top_p", &given.top_p)] {
        if target.traits.samples {
            put(name, value.clone().map(Value::from));
        } else if value.is_some() {
            dropped.push(name.to_owned());
        }
    }
    for (name, given) in [
        ("top_k", given.top_k.is_some()),
        ("frequency_penalty", given.frequency_penalty.is_some()),
        ("presence_penalty", given.presence_penalty.is_some()),
        ("seed", given.seed.is_some()),
        ("logit_bias", given.logit_bias.is_some()),
        (
            "logprobs",
            given.top_logprobs.is_some() && likely(request, target).is_none(),
        ),
    ] {
        if given {
            dropped.push(name.to_owned());
        }
    }
}

fn reasoning(request: &Request, target: &Target<'_>) -> Option<Value> {
    if target.traits.thinking == Thinking::Never {
        return None;
    }
    let asked = &request.reasoning;
    match asked
        .effort
        .map(|effort| effort.min(target.traits.most_effort))
    {
        Some(Effort::Off) => Some(json!({"effort": "none"})),
        Some(effort) => Some(json!({"effort": effort.word(), "summary": "auto"})),
        // Whoever shows thoughts has none to show unless they are summed up.
        None => asked.summary.then(|| json!({"summary": "auto"})),
    }
}

fn text(request: &Request) -> Option<Value> {
    let mut text = Map::new();
    if let Some(verbosity) = &request.verbosity {
        text.insert("verbosity".to_owned(), verbosity.as_str().into());
    }
    match &request.format {
        Format::Text => {}
        Format::Json => {
            text.insert("format".to_owned(), json!({"type": "json_object"}));
        }
        Format::Schema(given) => {
            let (strict, schema) =
                schema::held_strictly(given.schema.clone(), given.strict.unwrap_or(true));
            let mut format = json!({"type": "json_schema", "name": given.name});
            if let Some(description) = &given.description {
                format["description"] = description.as_str().into();
            }
            format["strict"] = strict.into();
            format["schema"] = schema;
            text.insert("format".to_owned(), format);
        }
    }
    (!text.is_empty()).then(|| Value::Object(text))
}

fn input(request: &Request, target: &Target<'_>) -> Value {
    let custom: Vec<&str> = request
        .calls()
        .filter(|call| call.kind == Kind::Custom)
        .map(|call| call.id.as_str())
        .collect();
    let mut items = Vec::new();
    for turn in in_order(&request.turns) {
        match turn.role {
            Role::System => {
                items.push(json!({"role": "developer", "content": joined_text(&turn.parts)}));
            }
            Role::User => user(&turn, &custom, &mut items),
            Role::Assistant => assistant(&turn, target, &mut items),
        }
    }
    items.into()
}

fn user(turn: &Turn, custom: &[&str], items: &mut Vec<Value>) {
    let mut content = Vec::new();
    for part in &turn.parts {
        match part {
            Part::Result(result) => {
                let kind = if custom.contains(&result.call.as_str()) {
                    "custom_tool_call_output"
                } else {
                    "function_call_output"
                };
                items.push(json!({"type": kind, "call_id": result.call, "output": output(result)}));
            }
            part => content.extend(content_part(part)),
        }
    }
    if !content.is_empty() {
        items.push(json!({"role": "user", "content": content}));
    }
}

fn output(result: &CallResult) -> Value {
    let only_text = result
        .parts
        .iter()
        .all(|part| matches!(part, Part::Text(_)));
    if only_text {
        return result_text(result).into();
    }
    let mut parts: Vec<Value> = Vec::new();
    if result.failed {
        parts.push(json!({"type": "input_text", "text": "Error:"}));
    }
    parts.extend(result.parts.iter().filter_map(content_part));
    parts.into()
}

fn content_part(part: &Part) -> Option<Value> {
    match part {
        Part::Text(text) | Part::Refusal(text) => Some(json!({"type": "input_text", "text": text})),
        Part::Image(image) => {
            let detail = image.detail.as_deref().unwrap_or("auto");
            Some(
                json!({"type": "input_image", "image_url": media::url(&image.source), "detail": detail}),
            )
        }
        Part::File(file) => Some(file_part(file)),
        Part::Audio(audio) => Some(json!({"type": "input_audio",
            "input_audio": {"data": audio.data, "format": audio.format}})),
        Part::Thought(_) | Part::Call(_) | Part::Result(_) | Part::CacheMark(_) => None,
    }
}

fn file_part(file: &File) -> Value {
    match &file.source {
        Source::Url(url) => json!({"type": "input_file", "file_url": url}),
        Source::Data { media, data } if media == "text/plain" => {
            let title = file.name.as_deref().unwrap_or("document");
            json!({"type": "input_text", "text": format!("{title}:\n{data}")})
        }
        Source::Data { .. } => {
            let name = file.name.as_deref().unwrap_or("document.pdf");
            json!({"type": "input_file", "file_data": media::url(&file.source), "filename": name})
        }
    }
}

fn assistant(turn: &Turn, target: &Target<'_>, items: &mut Vec<Value>) {
    let mut texts: Vec<&str> = Vec::new();
    let flush = |texts: &mut Vec<&str>, items: &mut Vec<Value>| {
        if !texts.is_empty() {
            items.push(json!({"role": "assistant", "content": texts.join("\n\n")}));
            texts.clear();
        }
    };
    for part in &turn.parts {
        match part {
            Part::Text(text) | Part::Refusal(text) => texts.push(text),
            Part::Thought(thought) => {
                let opened = thought
                    .carrier
                    .as_deref()
                    .and_then(|carrier| target.carriers.open(carrier));
                if let Some(Opaque::Encrypted(content)) = opened.and_then(|opened| opened.opaque) {
                    flush(&mut texts, items);
                    items.push(
                        json!({"type": "reasoning", "summary": [], "encrypted_content": content}),
                    );
                }
            }
            Part::Call(given) => {
                flush(&mut texts, items);
                items.push(call(given, target));
            }
            Part::Image(_)
            | Part::File(_)
            | Part::Audio(_)
            | Part::Result(_)
            | Part::CacheMark(_) => {}
        }
    }
    flush(&mut texts, items);
}

fn call(call: &Call, target: &Target<'_>) -> Value {
    let name = target.names.flat(call.namespace.as_deref(), &call.name);
    if call.kind == Kind::Custom {
        return json!({"type": "custom_tool_call", "call_id": call.id, "name": name, "input": call.args});
    }
    let args = if call.args.trim().is_empty() {
        "{}"
    } else {
        &call.args
    };
    json!({"type": "function_call", "call_id": call.id, "name": name, "arguments": args})
}

fn tool(tool: &Tool, target: &Target<'_>) -> Value {
    let name = target.names.flat(tool.namespace.as_deref(), &tool.name);
    let custom = tool.kind == Kind::Custom;
    let kind = if custom { "custom" } else { "function" };
    let mut declared = json!({"type": kind, "name": name});
    if let Some(description) = &tool.description {
        declared["description"] = description.as_str().into();
    }
    if custom {
        if let Some(grammar) = &tool.grammar {
            declared["format"] = json!({"type": "grammar", "syntax": grammar.syntax, "definition": grammar.definition});
        }
        return declared;
    }
    let parameters = schema::tidy(tool.schema.as_ref());
    // Left out, it would mean: try strict.
    let (strict, parameters) = schema::held_strictly(parameters, tool.strict == Some(true));
    declared["strict"] = strict.into();
    declared["parameters"] = parameters;
    declared
}

fn web_search(search: &WebSearch) -> Value {
    let mut tool = json!({"type": "web_search"});
    if let Some(domains) = &search.allowed_domains {
        tool["filters"] = json!({"allowed_domains": domains});
    }
    if let Some(location) = &search.user_location {
        tool["user_location"] = location.clone();
    }
    if let Some(size) = &search.context_size {
        tool["search_context_size"] = size.as_str().into();
    }
    tool
}

fn choice(choice: &Choice, request: &Request, target: &Target<'_>) -> Value {
    let named = |namespace: Option<&str>, name: &str| {
        let custom = request
            .tools
            .iter()
            .any(|tool| tool.name == name && tool.kind == Kind::Custom);
        let kind = if custom { "custom" } else { "function" };
        json!({"type": kind, "name": target.names.flat(namespace, name)})
    };
    match choice {
        Choice::Never => "none".into(),
        Choice::Auto => "auto".into(),
        Choice::Must => "required".into(),
        Choice::One { namespace, name } => named(namespace.as_deref(), name),
        Choice::Among { must, names } => {
            let tools: Vec<Value> = names
                .iter()
                .map(|(namespace, name)| named(namespace.as_deref(), name))
                .collect();
            let mode = if *must { "required" } else { "auto" };
            json!({"type": "allowed_tools", "mode": mode, "tools": tools})
        }
        Choice::Hosted(kind) => json!({"type": kind}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::Protocol;

    use crate::translate::{Names, Traits, Written, carrier::tests::carriers, read};

    fn written(upstream: Protocol, model: &str, body: &Value) -> (Value, Vec<String>) {
        written_of(Protocol::Chat, upstream, model, body)
    }

    fn written_of(
        client: Protocol,
        upstream: Protocol,
        model: &str,
        body: &Value,
    ) -> (Value, Vec<String>) {
        let request = read(client, body.to_string().as_bytes()).expect("a good request");
        written_from(&request, upstream, model)
    }

    fn written_from(request: &Request, upstream: Protocol, model: &str) -> (Value, Vec<String>) {
        let target = Target {
            protocol: upstream,
            model,
            default_output: 32_000,
            most_output: None,
            streamed: false,
            traits: Traits::of(upstream, model, &std::collections::BTreeSet::new()),
            carriers: &carriers("x"),
            names: &Names::of(request, upstream),
        };
        let Written { body, dropped, .. } = request.write(&target);
        (serde_json::from_slice(&body).expect("JSON"), dropped)
    }

    fn asked(more: &Value) -> Value {
        let mut body = json!({"model": "M", "messages": [{"role": "user", "content": "q"}]});
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more.clone());
        }
        body
    }

    #[test]
    fn only_a_model_that_thinks_is_asked_for_thoughts_and_only_another_for_likelihoods() {
        let thoughts = "reasoning.encrypted_content";
        let likely = asked(&json!({"logprobs": true, "top_logprobs": 2}));
        // Model, effort, what the answer is to include, how many tokens, and what is dropped.
        let table = [
            ("gpt-4o", None, json!([LOGPROBS]), json!(2), vec![]),
            (
                "gpt-5.2",
                None,
                json!([thoughts]),
                Value::Null,
                vec!["logprobs"],
            ),
            (
                "gpt-5.2",
                Some("none"),
                json!([thoughts, LOGPROBS]),
                json!(2),
                vec![],
            ),
            ("M", None, json!([thoughts, LOGPROBS]), json!(2), vec![]),
        ];

        for (model, effort, include, top, lost) in table {
            let mut body = likely.clone();
            if let Some(effort) = effort {
                body["reasoning_effort"] = effort.into();
            }
            let (written, dropped) = written(Protocol::Responses, model, &body);
            assert_eq!(written["include"], include, "{model} {effort:?}");
            assert_eq!(written["top_logprobs"], top, "{model} {effort:?}");
            assert_eq!(dropped, lost, "{model} {effort:?}");
        }
        let (plain, _) = written(Protocol::Responses, "gpt-4o", &asked(&json!({})));
        assert_eq!(plain["include"], Value::Null);
    }

    #[test]
    fn marks_of_a_prompt_cache_are_named_where_they_have_no_place() {
        let said = json!({"type": "text", "text": "q", "cache_control": {"type": "ephemeral"}});
        let heard = json!({"type": "input_text", "text": "q", "prompt_cache_breakpoint": {"mode": "explicit"}});
        let function = json!({"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}});
        let (chat, responses) = (Protocol::Chat, Protocol::Responses);
        let table = [
            (
                chat,
                responses,
                json!({"messages": [{"role": "user", "content": [said]}]}),
            ),
            (
                chat,
                responses,
                json!({"messages": [{"role": "system", "content": [said]}, {"role": "user", "content": "q"}]}),
            ),
            (chat, responses, asked(&json!({"tools": [function]}))),
            (
                responses,
                chat,
                json!({"input": [{"role": "user", "content": [heard]}]}),
            ),
        ];

        for (client, upstream, body) in table {
            let (written, dropped) = written_of(client, upstream, "M", &body);
            assert_eq!(dropped, ["cache_control"], "{body}");
            assert!(!written.to_string().contains("cache"), "{written}");
        }
    }

    #[test]
    fn a_session_names_the_prompt_cache_that_has_no_name() {
        let write = |upstream: Protocol, key: Option<&str>| {
            let mut request = read(Protocol::Chat, asked(&json!({})).to_string().as_bytes())
                .expect("a good request");
            request.session = Some("session".to_owned());
            request.cache_key = key.map(str::to_owned);
            written_from(&request, upstream, "M")
        };

        let (unnamed, _) = write(Protocol::Responses, None);
        let (named, _) = write(Protocol::Responses, Some("key"));
        // What no caller wrote into a request is not missed.
        let (_, dropped) = write(Protocol::Messages, None);

        assert_eq!(unnamed["prompt_cache_key"], "session");
        assert_eq!(named["prompt_cache_key"], "key");
        assert_eq!(dropped, Vec::<String>::new());
    }

    #[test]
    fn thoughts_are_summed_up_for_a_client_that_shows_them() {
        let auto = json!({"summary": "auto"});
        let table = [
            ("gpt-5.2", json!({"type": "adaptive"}), auto.clone()),
            (
                "gpt-5.2",
                json!({"type": "adaptive", "display": "summarized"}),
                auto.clone(),
            ),
            ("gpt-5.2", json!({"type": "between_tools"}), auto),
            (
                "gpt-5.2",
                json!({"type": "enabled", "budget_tokens": 8_000}),
                json!({"effort": "medium", "summary": "auto"}),
            ),
            (
                "gpt-5.2",
                json!({"type": "adaptive", "display": "omitted"}),
                Value::Null,
            ),
            (
                "gpt-5.2",
                json!({"type": "disabled"}),
                json!({"effort": "none"}),
            ),
            ("gpt-5.2", Value::Null, Value::Null),
            ("gpt-4o", json!({"type": "adaptive"}), Value::Null),
        ];

        for (model, thinking, reasoning) in table {
            let mut body = asked(&json!({"max_tokens": 9_000}));
            if !thinking.is_null() {
                body["thinking"] = thinking.clone();
            }
            let (written, _) = written_of(Protocol::Messages, Protocol::Responses, model, &body);
            assert_eq!(written["reasoning"], reasoning, "{model} {thinking}");
        }
    }

    #[test]
    fn what_chat_and_responses_have_in_common_is_carried_and_named_elsewhere() {
        let shared = json!({"prompt_cache_options": {"mode": "explicit", "ttl": "30m"}, "moderation": {"model": "m"}});
        let mut body = asked(&shared);
        body["store"] = false.into();

        let (there, none) = written(Protocol::Responses, "M", &body);
        let (elsewhere, dropped) = written(Protocol::Messages, "M", &body);

        assert_eq!(
            there["prompt_cache_options"],
            shared["prompt_cache_options"]
        );
        assert_eq!(there["moderation"], shared["moderation"]);
        assert_eq!(none, Vec::<String>::new());
        assert!(elsewhere.get("moderation").is_none());
        assert_eq!(dropped, ["moderation", "prompt_cache_options"]);
    }

    #[test]
    fn a_strict_schema_loses_forms_of_text_that_it_cannot_have() {
        let field =
            |format: &str| json!({"type": "string", "format": format, "pattern": "^\\p{L}+$"});
        let schema = json!({"type": "object", "properties": {"a": field("uri"), "b": field("date")},
                            "required": ["a", "b"], "additionalProperties": false});
        let tool = |strict: bool| {
            asked(
                &json!({"tools": [{"type": "function", "function": {"name": "f", "strict": strict, "parameters": schema}}]}),
            )
        };

        let answer = |strict: bool| {
            let format = json!({"type": "json_schema", "json_schema": {"name": "a", "strict": strict, "schema": schema}});
            written(
                Protocol::Responses,
                "M",
                &asked(&json!({"response_format": format})),
            )
            .0["text"]["format"]["schema"]["properties"]["a"]
                .clone()
        };
        assert_eq!(answer(true)["format"], Value::Null);
        assert_eq!(answer(false)["format"], "uri");

        let (strict, _) = written(Protocol::Responses, "M", &tool(true));
        let (loose, _) = written(Protocol::Responses, "M", &tool(false));

        let of = |written: &Value| written["tools"][0]["parameters"]["properties"].clone();
        assert_eq!(
            of(&strict),
            json!({"a": {"type": "string"}, "b": {"type": "string", "format": "date"}})
        );
        assert_eq!(of(&loose)["a"], json!({"type": "string", "format": "uri"}));
    }
}
