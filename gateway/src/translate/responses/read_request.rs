//! A Responses request, read.

use serde_json::{Map, Value};

use super::{hosted, read_item::read_items};
use crate::translate::{
    neutral::{
        Choice, Effort, Format, Grammar, Kind, Part, Reasoning, Request, Role, Sampling,
        SchemaFormat, Tool, Turn, WebSearch,
    },
    reject::{Reject, list, number, object, owned, required, set, text},
};

/// Fields that lean on state which only the upstream of the caller's own protocol keeps.
const STATEFUL: [&str; 3] = ["previous_response_id", "conversation", "prompt"];

/// Fields that no other protocol has.
const LOST: [&str; 9] = [
    "truncation",
    "max_tool_calls",
    "context_management",
    "access_programs",
    "image",
    "moderation",
    "prompt_cache_options",
    "prompt_cache_retention",
    "client_metadata",
];

/// What asks for the likelihood of tokens, in the list of what an answer is to include.
pub(super) const LOGPROBS: &str = "message.output_text.logprobs";

/// Small fields that an answer repeats.
const ECHOED: [&str; 12] = [
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "temperature",
    "text",
    "tool_choice",
    "top_logprobs",
    "top_p",
];

/// Reads a request.
pub(in crate::translate) fn read(body: &Map<String, Value>) -> Result<Request, Reject> {
    for name in STATEFUL {
        if set(body, name).is_some() {
            return Err(Reject::new(
                name,
                format!(
                    "`{name}` leans on state that the upstream serving this model does not keep; send the whole \
                     conversation in `input`"
                ),
            ));
        }
    }
    if body.get("background") == Some(&Value::Bool(true)) {
        return Err(Reject::unsupported("background"));
    }
    let reasoning = body.get("reasoning").and_then(Value::as_object);
    let mut request = Request {
        max_output: body.get("max_output_tokens").and_then(Value::as_u64),
        parallel: body.get("parallel_tool_calls").and_then(Value::as_bool),
        sampling: Sampling {
            temperature: number(body, "temperature"),
            top_p: number(body, "top_p"),
            top_logprobs: top_logprobs(body),
            ..Sampling::default()
        },
        reasoning: Reasoning {
            effort: reasoning
                .and_then(|given| text(given, "effort"))
                .and_then(Effort::read),
            summary: reasoning.is_some_and(|given| {
                set(given, "summary").is_some() || set(given, "generate_summary").is_some()
            }),
            hidden: false,
        },
        format: format(body)?,
        verbosity: body
            .get("text")
            .and_then(|text| text.get("verbosity"))
            .and_then(Value::as_str)
            .map(str::to_owned),
        user: owned(body, "safety_identifier").or_else(|| owned(body, "user")),
        metadata: set(body, "metadata").cloned(),
        tier: owned(body, "service_tier"),
        cache_key: owned(body, "prompt_cache_key"),
        streamed: body.get("stream") == Some(&Value::Bool(true)),
        echo: body
            .iter()
            .filter(|(name, _)| ECHOED.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        dropped: LOST
            .iter()
            .filter(|name| set(body, name).is_some())
            // What is kept by nobody cannot be gone on from; a caller who did not ask for it misses nothing.
            .chain((body.get("store") == Some(&Value::Bool(true))).then_some(&"store"))
            .map(|name| (*name).to_owned())
            .collect(),
        ..Request::default()
    };
    request
        .system
        .extend(owned(body, "instructions").filter(|text| !text.is_empty()));
    read_tools(list(body.get("tools"), "tools")?, "tools", &mut request)?;
    match body.get("input") {
        Some(Value::String(said)) => {
            let part = Part::Text(said.clone());
            request.turns.push(Turn::new(Role::User, vec![part]));
        }
        input => read_items(list(input, "input")?, &mut request)?,
    }
    let most = body.get("max_tool_calls").and_then(Value::as_u64);
    if let (Some(search), Some(1..)) = (&mut request.web_search, most) {
        search.most = most;
        request.dropped.retain(|name| name != "max_tool_calls");
    }
    request.choice = choice(body)?;
    Ok(request)
}

/// Asked for by the number of alternatives, or by name without any.
fn top_logprobs(body: &Map<String, Value>) -> Option<u64> {
    let included = body.get("include").and_then(Value::as_array);
    let named = included.is_some_and(|names| names.iter().any(|name| name == LOGPROBS));
    let top = body.get("top_logprobs").and_then(Value::as_u64);
    top.filter(|top| *top > 0).or(named.then_some(0))
}

fn format(body: &Map<String, Value>) -> Result<Format, Reject> {
    let given = body.get("text").and_then(|text| text.get("format"));
    let Some(given) = given.filter(|given| !given.is_null()) else {
        return Ok(Format::Text);
    };
    read_format(given)
}

/// Reads the form of an answer.
pub(super) fn read_format(given: &Value) -> Result<Format, Reject> {
    let given = object(given, "text.format")?;
    Ok(match text(given, "type") {
        Some("json_object") => Format::Json,
        Some("json_schema") => Format::Schema(SchemaFormat {
            name: owned(given, "name").unwrap_or_else(|| "output".to_owned()),
            description: owned(given, "description"),
            schema: given.get("schema").cloned().unwrap_or_default(),
            strict: given.get("strict").and_then(Value::as_bool),
        }),
        _ => Format::Text,
    })
}

/// Reads tools, wherever a request declares them.
pub(super) fn read_tools(tools: &[Value], at: &str, request: &mut Request) -> Result<(), Reject> {
    for (index, tool) in tools.iter().enumerate() {
        read_tool(tool, &format!("{at}[{index}]"), None, request)?;
    }
    Ok(())
}

fn read_tool(
    tool: &Value,
    at: &str,
    namespace: Option<&str>,
    request: &mut Request,
) -> Result<(), Reject> {
    let tool = object(tool, at)?;
    let kind = required(tool, "type", at)?;
    let declared = match kind {
        "function" => Tool {
            name: required(tool, "name", at)?.to_owned(),
            description: owned(tool, "description"),
            schema: set(tool, "parameters").cloned(),
            strict: tool.get("strict").and_then(Value::as_bool),
            ..Tool::default()
        },
        "custom" => Tool {
            name: required(tool, "name", at)?.to_owned(),
            description: owned(tool, "description"),
            kind: Kind::Custom,
            grammar: tool.get("format").and_then(Grammar::read),
            ..Tool::default()
        },
        "namespace" if namespace.is_none() => {
            let name = required(tool, "name", at)?;
            let at = format!("{at}.tools");
            for (index, inner) in list(tool.get("tools"), &at)?.iter().enumerate() {
                read_tool(inner, &format!("{at}[{index}]"), Some(name), request)?;
            }
            return Ok(());
        }
        "local_shell" => hosted::local_shell(),
        "shell" => hosted::shell(),
        "apply_patch" => hosted::apply_patch(),
        "tool_search" if text(tool, "execution") != Some("server") => hosted::tool_search(tool),
        search if search.starts_with("web_search") => {
            request.web_search = Some(WebSearch {
                allowed_domains: tool
                    .get("filters")
                    .and_then(|filters| filters.get("allowed_domains"))
                    .filter(|domains| !domains.is_null())
                    .cloned(),
                user_location: set(tool, "user_location").cloned(),
                context_size: owned(tool, "search_context_size"),
                most: None,
            });
            return Ok(());
        }
        other => {
            request.dropped.push(format!("{at} ({other})"));
            return Ok(());
        }
    };
    let declared = Tool {
        namespace: namespace.map(str::to_owned),
        ..declared
    };
    // A tool that is declared again later in the conversation is the same tool.
    let known = request
        .tools
        .iter_mut()
        .find(|known| known.namespace == declared.namespace && known.name == declared.name);
    match known {
        Some(known) => *known = declared,
        None => request.tools.push(declared),
    }
    Ok(())
}

fn choice(body: &Map<String, Value>) -> Result<Option<Choice>, Reject> {
    let Some(given) = set(body, "tool_choice") else {
        return Ok(None);
    };
    if let Some(word) = given.as_str() {
        return Choice::of_word(word, "tool_choice").map(Some);
    }
    let given = object(given, "tool_choice")?;
    let named = |value: &Map<String, Value>| -> Result<(Option<String>, String), Reject> {
        let name = required(value, "name", "tool_choice")?.to_owned();
        Ok((owned(value, "namespace"), name))
    };
    Ok(Some(match text(given, "type") {
        Some("function" | "custom") => {
            let (namespace, name) = named(given)?;
            Choice::One { namespace, name }
        }
        Some("allowed_tools") => Choice::Among {
            must: text(given, "mode") == Some("required"),
            names: list(given.get("tools"), "tool_choice.tools")?
                .iter()
                .filter_map(Value::as_object)
                .filter_map(|tool| named(tool).ok())
                .collect(),
        },
        Some(kind @ ("local_shell" | "shell" | "apply_patch" | "tool_search")) => Choice::One {
            namespace: None,
            name: kind.to_owned(),
        },
        Some(other) => Choice::Hosted(other.to_owned()),
        None => {
            return Err(Reject::new(
                "tool_choice.type",
                "`tool_choice` needs a `type`",
            ));
        }
    }))
}
