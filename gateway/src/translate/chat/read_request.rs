//! A chat request, read.

use serde_json::{Map, Value};

use super::speaker::Speakers;
use crate::translate::{
    mark::Lasting,
    media,
    neutral::{
        Audio, Call, CallResult, Choice, Effort, File, Format, Grammar, Image, Kind, Part,
        Reasoning, Request, Role, Sampling, SchemaFormat, Source, Thought, Tool, Turn, WebSearch,
    },
    reject::{Reject, list, number, object, owned, required, set, text},
};

/// Fields that no other protocol has.
const LOST: [&str; 1] = ["prediction"];

/// Fields that responses have under the same names.
const SHARED: [&str; 3] = [
    "moderation",
    "prompt_cache_options",
    "prompt_cache_retention",
];

/// Reads a request.
pub(in crate::translate) fn read(body: &Map<String, Value>) -> Result<Request, Reject> {
    if body.get("n").and_then(Value::as_u64).is_some_and(|n| n > 1) {
        return Err(Reject::unsupported("n"));
    }
    let modalities = list(body.get("modalities"), "modalities")?;
    if modalities.iter().any(|kind| kind == "audio") {
        return Err(Reject::unsupported("modalities"));
    }
    if set(body, "audio").is_some() {
        return Err(Reject::unsupported("audio"));
    }

    let mut request = Request {
        max_output: ["max_completion_tokens", "max_tokens"]
            .iter()
            .find_map(|name| body.get(*name)?.as_u64()),
        parallel: body.get("parallel_tool_calls").and_then(Value::as_bool),
        sampling: sampling(body),
        stop: stop(body.get("stop")),
        reasoning: Reasoning {
            effort: text(body, "reasoning_effort").and_then(Effort::read),
            ..Reasoning::default()
        },
        format: format(body)?,
        verbosity: owned(body, "verbosity"),
        user: owned(body, "safety_identifier").or_else(|| owned(body, "user")),
        metadata: set(body, "metadata").cloned(),
        tier: owned(body, "service_tier"),
        cache_key: owned(body, "prompt_cache_key"),
        streamed: body.get("stream") == Some(&Value::Bool(true)),
        web_search: web_search(body),
        shared: SHARED
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), set(body, name)?.clone())))
            .collect(),
        dropped: LOST
            .iter()
            .filter(|name| set(body, name).is_some())
            // What is kept by nobody is missed by whoever asked for it.
            .chain((body.get("store") == Some(&Value::Bool(true))).then_some(&"store"))
            .map(|name| (*name).to_owned())
            .collect(),
        ..Request::default()
    };
    let mut speakers = Speakers::default();
    for (index, message) in list(body.get("messages"), "messages")?.iter().enumerate() {
        let at = format!("messages[{index}]");
        read_message(&mut request, &mut speakers, object(message, &at)?, &at)?;
    }
    tools(body, &mut request)?;
    request.choice = choice(body)?;
    Ok(request)
}

fn sampling(body: &Map<String, Value>) -> Sampling {
    let wants_logprobs = body.get("logprobs") == Some(&Value::Bool(true));
    Sampling {
        temperature: number(body, "temperature"),
        top_p: number(body, "top_p"),
        top_k: number(body, "top_k"),
        frequency_penalty: number(body, "frequency_penalty"),
        presence_penalty: number(body, "presence_penalty"),
        seed: number(body, "seed"),
        logit_bias: set(body, "logit_bias").cloned(),
        top_logprobs: wants_logprobs.then(|| {
            body.get("top_logprobs")
                .and_then(Value::as_u64)
                .unwrap_or(0)
        }),
    }
}

fn stop(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

fn format(body: &Map<String, Value>) -> Result<Format, Reject> {
    let Some(given) = set(body, "response_format") else {
        return Ok(Format::Text);
    };
    let given = object(given, "response_format")?;
    Ok(match text(given, "type") {
        Some("json_object") => Format::Json,
        Some("json_schema") => {
            let at = "response_format.json_schema";
            let schema = object(given.get("json_schema").unwrap_or(&Value::Null), at)?;
            Format::Schema(SchemaFormat {
                name: owned(schema, "name").unwrap_or_else(|| "output".to_owned()),
                description: owned(schema, "description"),
                schema: schema.get("schema").cloned().unwrap_or_default(),
                strict: schema.get("strict").and_then(Value::as_bool),
            })
        }
        _ => Format::Text,
    })
}

fn web_search(body: &Map<String, Value>) -> Option<WebSearch> {
    let options = set(body, "web_search_options")?.as_object()?;
    let location = options.get("user_location").and_then(|location| {
        let mut flat = location.get("approximate")?.as_object()?.clone();
        flat.insert("type".to_owned(), "approximate".into());
        Some(Value::Object(flat))
    });
    Some(WebSearch {
        allowed_domains: None,
        user_location: location,
        context_size: owned(options, "search_context_size"),
        most: None,
    })
}

fn read_message(
    request: &mut Request,
    speakers: &mut Speakers,
    message: &Map<String, Value>,
    at: &str,
) -> Result<(), Reject> {
    let speaker = text(message, "name");
    let content = message.get("content").unwrap_or(&Value::Null);
    match required(message, "role", at)? {
        "system" | "developer" => {
            let said = parts(content, at)?;
            if request.turns.is_empty() {
                request.add_system(&said);
            } else {
                request.add_reminder(&said);
            }
        }
        "user" => {
            let mut turn = Turn::new(Role::User, parts(content, at)?);
            speakers.introduce(speaker, &mut turn);
            request.turns.push(turn);
        }
        "assistant" => {
            let mut turn = assistant(message, content, at)?;
            speakers.introduce(speaker, &mut turn);
            request.turns.push(turn);
        }
        "tool" => {
            let call = required(message, "tool_call_id", at)?.to_owned();
            add_result(request, at, call, parts(content, at)?);
        }
        "function" => {
            let call = format!("call_{}", required(message, "name", at)?);
            add_result(request, at, call, parts(content, at)?);
        }
        other => {
            let field = format!("{at}.role");
            let message = format!("`{field}` cannot be `{other}`");
            return Err(Reject::new(field, message));
        }
    }
    Ok(())
}

fn add_result(request: &mut Request, at: &str, call: String, parts: Vec<Part>) {
    let parts = request.unmarked(parts, format!("{at}.content.cache_control"));
    let result = CallResult {
        call,
        parts,
        failed: false,
    };
    let turn = Turn::new(Role::User, vec![Part::Result(result)]);
    request.turns.push(turn);
}

fn assistant(message: &Map<String, Value>, content: &Value, at: &str) -> Result<Turn, Reject> {
    if set(message, "audio").is_some() {
        return Err(Reject::unsupported(format!("{at}.audio")));
    }
    let thought = ["reasoning_content", "reasoning"]
        .iter()
        .find_map(|name| text(message, name))
        .filter(|thought| !thought.is_empty());
    let mut turn = Turn::new(Role::Assistant, Vec::new());
    if let Some(thought) = thought {
        turn.parts.push(Part::Thought(Thought {
            text: thought.to_owned(),
            carrier: None,
        }));
    }
    turn.parts.append(&mut parts(content, at)?);
    if let Some(refusal) = text(message, "refusal") {
        turn.parts.push(Part::Refusal(refusal.to_owned()));
    }
    let calls_at = format!("{at}.tool_calls");
    for (index, call) in list(message.get("tool_calls"), &calls_at)?
        .iter()
        .enumerate()
    {
        let call = read_call(call, &format!("{calls_at}[{index}]"))?;
        turn.parts.push(Part::Call(call));
    }
    if let Some(function) = set(message, "function_call") {
        let function = object(function, &format!("{at}.function_call"))?;
        let name = required(function, "name", at)?;
        turn.parts.push(Part::Call(Call {
            id: format!("call_{name}"),
            name: name.to_owned(),
            args: owned(function, "arguments").unwrap_or_default(),
            ..Call::default()
        }));
    }
    Ok(turn)
}

fn read_call(call: &Value, at: &str) -> Result<Call, Reject> {
    let call = object(call, at)?;
    let id = required(call, "id", at)?.to_owned();
    if let Some(custom) = set(call, "custom") {
        let custom = object(custom, at)?;
        return Ok(Call {
            id,
            name: required(custom, "name", &format!("{at}.custom"))?.to_owned(),
            kind: Kind::Custom,
            args: owned(custom, "input").unwrap_or_default(),
            ..Call::default()
        });
    }
    let at = format!("{at}.function");
    let function = object(call.get("function").unwrap_or(&Value::Null), &at)?;
    Ok(Call {
        id,
        name: required(function, "name", &at)?.to_owned(),
        args: owned(function, "arguments").unwrap_or_default(),
        ..Call::default()
    })
}

fn parts(content: &Value, at: &str) -> Result<Vec<Part>, Reject> {
    if let Value::String(text) = content {
        return Ok(vec![Part::Text(text.clone())]);
    }
    let at = format!("{at}.content");
    let mut parts = Vec::new();
    for (index, given) in list(Some(content), &at)?.iter().enumerate() {
        let part = read_part(given, format!("{at}[{index}]"))?;
        parts.extend(part.marked(given));
    }
    Ok(parts)
}

fn read_part(part: &Value, at: String) -> Result<Part, Reject> {
    let part = object(part, &at)?;
    Ok(match text(part, "type") {
        Some("text") => Part::Text(required(part, "text", &at)?.to_owned()),
        Some("refusal") => Part::Refusal(required(part, "refusal", &at)?.to_owned()),
        Some("image_url") => {
            let inner = format!("{at}.image_url");
            let image = part.get("image_url").unwrap_or(&Value::Null);
            // Some clients write the address itself.
            let url = image.as_str().or_else(|| image.get("url")?.as_str());
            let url = url.ok_or_else(|| {
                Reject::new(
                    format!("{inner}.url"),
                    format!("`{inner}.url` must be a text"),
                )
            })?;
            Part::Image(Image {
                source: media::source(url, &format!("{inner}.url"))?,
                detail: image.as_object().and_then(|image| owned(image, "detail")),
                at,
            })
        }
        Some("input_audio") => {
            let inner = format!("{at}.input_audio");
            let audio = object(part.get("input_audio").unwrap_or(&Value::Null), &inner)?;
            Part::Audio(Audio {
                data: required(audio, "data", &inner)?.to_owned(),
                format: required(audio, "format", &inner)?.to_owned(),
                at,
            })
        }
        Some("file") => {
            let inner = format!("{at}.file");
            let file = object(part.get("file").unwrap_or(&Value::Null), &inner)?;
            let Some(data) = text(file, "file_data") else {
                return Err(Reject::unsupported(format!("{inner}.file_id")));
            };
            Part::File(File {
                source: file_source(data, &format!("{inner}.file_data"))?,
                name: owned(file, "filename"),
                at,
            })
        }
        _ => {
            let field = format!("{at}.type");
            let message = format!("`{field}` is not a kind of content that is known here");
            return Err(Reject::new(field, message));
        }
    })
}

/// A document's content: a data URL, or bare base64, which is a PDF.
fn file_source(data: &str, at: &str) -> Result<Source, Reject> {
    if data.starts_with("data:") {
        return media::source(data, at);
    }
    Ok(Source::Data {
        media: "application/pdf".to_owned(),
        data: data.to_owned(),
    })
}

fn tools(body: &Map<String, Value>, request: &mut Request) -> Result<(), Reject> {
    for (index, tool) in list(body.get("tools"), "tools")?.iter().enumerate() {
        let at = format!("tools[{index}]");
        let cache_mark =
            Lasting::read(tool).or_else(|| tool.get("function").and_then(Lasting::read));
        let tool = object(tool, &at)?;
        match text(tool, "type") {
            Some("function") => {
                let at = format!("{at}.function");
                let function = object(tool.get("function").unwrap_or(&Value::Null), &at)?;
                request.tools.push(Tool {
                    cache_mark,
                    ..function_tool(function, &at)?
                });
            }
            Some("custom") => {
                let at = format!("{at}.custom");
                let custom = object(tool.get("custom").unwrap_or(&Value::Null), &at)?;
                request.tools.push(Tool {
                    name: required(custom, "name", &at)?.to_owned(),
                    description: owned(custom, "description"),
                    kind: Kind::Custom,
                    grammar: custom
                        .get("format")
                        .and_then(|format| format.get("grammar"))
                        .and_then(Grammar::read),
                    cache_mark,
                    ..Tool::default()
                });
            }
            Some(other) => request.dropped.push(format!("{at} ({other})")),
            None => return Err(Reject::new(format!("{at}.type"), "a tool needs a `type`")),
        }
    }
    for (index, function) in list(body.get("functions"), "functions")?.iter().enumerate() {
        let at = format!("functions[{index}]");
        let tool = function_tool(object(function, &at)?, &at)?;
        request.tools.push(tool);
    }
    Ok(())
}

fn function_tool(function: &Map<String, Value>, at: &str) -> Result<Tool, Reject> {
    Ok(Tool {
        name: required(function, "name", at)?.to_owned(),
        description: owned(function, "description"),
        schema: set(function, "parameters").cloned(),
        strict: function.get("strict").and_then(Value::as_bool),
        ..Tool::default()
    })
}

fn choice(body: &Map<String, Value>) -> Result<Option<Choice>, Reject> {
    let Some(given) = set(body, "tool_choice").or_else(|| set(body, "function_call")) else {
        return Ok(None);
    };
    if let Some(word) = given.as_str() {
        return Choice::of_word(word, "tool_choice").map(Some);
    }
    let given = object(given, "tool_choice")?;
    let named = |kind: &str| -> Result<Choice, Reject> {
        let at = format!("tool_choice.{kind}");
        let inner = object(given.get(kind).unwrap_or(&Value::Null), &at)?;
        Ok(Choice::One {
            namespace: None,
            name: required(inner, "name", &at)?.to_owned(),
        })
    };
    Ok(Some(match text(given, "type") {
        Some("function") => named("function")?,
        Some("custom") => named("custom")?,
        Some("allowed_tools") => {
            let inner = given.get("allowed_tools").unwrap_or(&Value::Null);
            let inner = object(inner, "tool_choice.allowed_tools")?;
            let names = list(inner.get("tools"), "tool_choice.allowed_tools.tools")?
                .iter()
                .filter_map(|tool| {
                    let kind = tool.get("type")?.as_str()?;
                    Some((None, tool.get(kind)?.get("name")?.as_str()?.to_owned()))
                })
                .collect();
            Choice::Among {
                must: text(inner, "mode") == Some("required"),
                names,
            }
        }
        // The deprecated form is the bare name.
        None => Choice::One {
            namespace: None,
            name: required(given, "name", "function_call")?.to_owned(),
        },
        Some(other) => Choice::Hosted(other.to_owned()),
    }))
}
