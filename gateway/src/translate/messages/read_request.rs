//! A Messages request, read.

use serde_json::{Map, Value};

use super::read_tool::{choice, tools};
use crate::translate::{
    names::digest,
    neutral::{
        Call, CallResult, Effort, File, Format, Image, Part, Reasoning, Request, Role, Sampling,
        SchemaFormat, Source, Thought, Turn,
    },
    reject::{Reject, list, number, object, owned, required, set, text},
};

/// Claude Code's first block, which differs from turn to turn and would spoil every prompt cache.
const ATTRIBUTION: &str = "x-anthropic-billing-header:";

/// Fields that no other protocol has.
const LOST: [&str; 6] = [
    "container",
    "context_management",
    "diagnostics",
    "inference_geo",
    "fallbacks",
    "compaction",
];

/// Reads a request.
pub(in crate::translate) fn read(body: &Map<String, Value>) -> Result<Request, Reject> {
    for name in ["thread", "mcp_servers"] {
        let given = set(body, name);
        if given.is_some_and(|value| value.as_array().is_none_or(|list| !list.is_empty())) {
            return Err(Reject::unsupported(name));
        }
    }
    if body.get("max_tokens").and_then(Value::as_u64) == Some(0) {
        return Err(Reject::new(
            "max_tokens",
            "`max_tokens` of 0 only warms a cache, which the upstream that serves this model does not have",
        ));
    }
    let config = body.get("output_config").and_then(Value::as_object);
    let user_id = body
        .get("metadata")
        .and_then(|metadata| metadata.get("user_id"))
        .and_then(Value::as_str);
    let (choice, parallel) = choice(body)?;
    let mut request = Request {
        system: system(body.get("system")),
        choice,
        parallel,
        max_output: body.get("max_tokens").and_then(Value::as_u64),
        sampling: Sampling {
            temperature: number(body, "temperature"),
            top_p: number(body, "top_p"),
            top_k: number(body, "top_k"),
            ..Sampling::default()
        },
        stop: list(body.get("stop_sequences"), "stop_sequences")?
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        reasoning: reasoning(body, config),
        format: format(body, config),
        // The value names accounts and sessions, which are nobody else's business.
        user: user_id.map(|id| digest(id, 32)),
        cache_key: user_id.map(|id| digest(&format!("cache {id}"), 32)),
        tier: text(body, "service_tier").map(|tier| {
            let word = if tier == "standard_only" {
                "default"
            } else {
                tier
            };
            word.to_owned()
        }),
        streamed: body.get("stream") == Some(&Value::Bool(true)),
        dropped: LOST
            .iter()
            .filter(|name| set(body, name).is_some())
            .chain((text(body, "speed") == Some("fast")).then_some(&"speed"))
            .chain(has_marks(body).then_some(&"cache_control"))
            .map(|name| (*name).to_owned())
            .collect(),
        ..Request::default()
    };
    tools(body, &mut request)?;
    for (index, message) in list(body.get("messages"), "messages")?.iter().enumerate() {
        let at = format!("messages[{index}]");
        read_message(&mut request, object(message, &at)?, &at)?;
    }
    Ok(request)
}

/// Whether anything is marked for a prompt cache, which the others keep unasked.
fn has_marks(body: &Map<String, Value>) -> bool {
    fn is_marked(part: &Value) -> bool {
        part.get("cache_control")
            .is_some_and(|mark| !mark.is_null())
            || part.get("content").is_some_and(any)
    }
    fn any(parts: &Value) -> bool {
        parts
            .as_array()
            .is_some_and(|parts| parts.iter().any(is_marked))
    }
    set(body, "cache_control").is_some()
        || ["system", "tools", "messages"]
            .iter()
            .any(|name| body.get(*name).is_some_and(any))
}

fn system(value: Option<&Value>) -> Vec<String> {
    let texts: Vec<&str> = match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(blocks)) => blocks
            .iter()
            .filter_map(|block| block.get("text")?.as_str())
            .collect(),
        _ => Vec::new(),
    };
    texts
        .into_iter()
        .filter(|text| !text.trim().is_empty() && !text.starts_with(ATTRIBUTION))
        .map(str::to_owned)
        .collect()
}

fn reasoning(body: &Map<String, Value>, config: Option<&Map<String, Value>>) -> Reasoning {
    let thinking = body.get("thinking").and_then(Value::as_object);
    let kind = thinking.and_then(|thinking| text(thinking, "type"));
    let named = config.and_then(|config| text(config, "effort"));
    let effort = match kind {
        Some("disabled") => Some(Effort::Off),
        Some("enabled") => named.and_then(Effort::read).or_else(|| {
            let budget = thinking?.get("budget_tokens")?.as_u64()?;
            Some(Effort::of_budget(budget))
        }),
        _ => named.and_then(Effort::read),
    };
    let hidden = kind == Some("disabled");
    let shown = thinking.is_some_and(|thinking| text(thinking, "display") != Some("omitted"));
    Reasoning {
        effort,
        summary: kind.is_some() && shown && !hidden,
        hidden,
    }
}

fn format(body: &Map<String, Value>, config: Option<&Map<String, Value>>) -> Format {
    let given = config
        .and_then(|config| config.get("format"))
        .or_else(|| body.get("output_format"));
    match given.and_then(|given| given.get("schema")) {
        Some(schema) => Format::Schema(SchemaFormat {
            name: "output".to_owned(),
            description: None,
            schema: schema.clone(),
            strict: Some(true),
        }),
        None => Format::Text,
    }
}

fn read_message(
    request: &mut Request,
    message: &Map<String, Value>,
    at: &str,
) -> Result<(), Reject> {
    let content = message.get("content").unwrap_or(&Value::Null);
    let role = match required(message, "role", at)? {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        other => {
            let field = format!("{at}.role");
            let message = format!("`{field}` cannot be `{other}`");
            return Err(Reject::new(field, message));
        }
    };
    let parts = blocks(content, &format!("{at}.content"), request)?;
    request.turns.push(Turn::new(role, parts));
    Ok(())
}

fn blocks(content: &Value, at: &str, request: &mut Request) -> Result<Vec<Part>, Reject> {
    if let Value::String(text) = content {
        return Ok(vec![Part::Text(text.clone())]);
    }
    let mut parts = Vec::new();
    for (index, block) in list(Some(content), at)?.iter().enumerate() {
        let at = format!("{at}[{index}]");
        parts.extend(read_block(object(block, &at)?, at, request)?);
    }
    Ok(parts)
}

fn read_block(
    block: &Map<String, Value>,
    at: String,
    request: &mut Request,
) -> Result<Option<Part>, Reject> {
    let kind = required(block, "type", &at)?;
    Ok(Some(match kind {
        "text" => Part::Text(required(block, "text", &at)?.to_owned()),
        "image" => Part::Image(Image {
            source: source(block, &at)?,
            detail: None,
            at,
        }),
        "document" => document(block, at)?,
        "search_result" => {
            let title = text(block, "title").unwrap_or("search result");
            let body = texts(block.get("content"));
            Part::Text(format!("{title}:\n{body}"))
        }
        "thinking" => Part::Thought(Thought {
            text: owned(block, "thinking").unwrap_or_default(),
            carrier: Some(owned(block, "signature").unwrap_or_default()),
        }),
        "redacted_thinking" => Part::Thought(Thought {
            text: String::new(),
            carrier: Some(owned(block, "data").unwrap_or_default()),
        }),
        "tool_use" => Part::Call(Call {
            id: required(block, "id", &at)?.to_owned(),
            name: required(block, "name", &at)?.to_owned(),
            args: block
                .get("input")
                .map_or_else(|| "{}".to_owned(), Value::to_string),
            ..Call::default()
        }),
        "tool_result" => {
            let call = required(block, "tool_use_id", &at)?.to_owned();
            let content = block.get("content").unwrap_or(&Value::Null);
            Part::Result(CallResult {
                call,
                parts: blocks(content, &format!("{at}.content"), request)?,
                failed: block.get("is_error") == Some(&Value::Bool(true)),
            })
        }
        "tool_reference" => {
            let name = text(block, "tool_name").unwrap_or_default();
            Part::Text(format!("[tool {name}]"))
        }
        "web_search_tool_result" => Part::Text(search_results(block)),
        "compaction" => Part::Text(owned(block, "content").unwrap_or_default()),
        other => {
            request.dropped.push(format!("{at} ({other})"));
            return Ok(None);
        }
    }))
}

fn source(block: &Map<String, Value>, at: &str) -> Result<Source, Reject> {
    let at = format!("{at}.source");
    let source = object(block.get("source").unwrap_or(&Value::Null), &at)?;
    match text(source, "type") {
        Some("base64") => Ok(Source::Data {
            media: required(source, "media_type", &at)?.to_owned(),
            data: required(source, "data", &at)?.to_owned(),
        }),
        Some("url") => Ok(Source::Url(required(source, "url", &at)?.to_owned())),
        Some("file") => Err(Reject::unsupported(format!("{at}.file_id"))),
        _ => Err(Reject::unsupported(format!("{at}.type"))),
    }
}

fn document(block: &Map<String, Value>, at: String) -> Result<Part, Reject> {
    let title = owned(block, "title");
    let inner = block.get("source").and_then(Value::as_object);
    let kind = inner.and_then(|source| text(source, "type"));
    let plain = match (kind, inner) {
        (Some("text"), Some(source)) => Some(required(source, "data", &at)?.to_owned()),
        (Some("content"), Some(source)) => Some(texts(source.get("content"))),
        _ => None,
    };
    if let Some(plain) = plain {
        let title = title.as_deref().unwrap_or("document");
        return Ok(Part::Text(format!("{title}:\n{plain}")));
    }
    Ok(Part::File(File {
        source: source(block, &at)?,
        name: title,
        at,
    }))
}

/// The texts of blocks, or the text itself.
fn texts(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(blocks)) => {
            let texts = blocks
                .iter()
                .filter_map(|block| block.get("text")?.as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// What a search found, for a model that did not search itself.
fn search_results(block: &Map<String, Value>) -> String {
    let found = block.get("content").and_then(Value::as_array);
    let lines = found.into_iter().flatten().map(|result| {
        let part = |name: &str| result.get(name).and_then(Value::as_str).unwrap_or_default();
        format!("{} {}", part("title"), part("url"))
    });
    let lines: Vec<String> = lines.collect();
    format!("[web search results]\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_mark_of_a_prompt_cache_is_named_once_wherever_it_stands() {
        let mark = json!({"type": "ephemeral"});
        let text = |mark: &Value| json!({"type": "text", "text": "a", "cache_control": mark});
        let said = |content: Value| json!([{"role": "user", "content": content}]);
        let result = json!({"type": "tool_result", "tool_use_id": "a", "content": [text(&mark)]});
        let table = [
            (json!({"system": [text(&mark)]}), true),
            (
                json!({"system": [text(&mark)], "messages": said(json!([text(&mark)]))}),
                true,
            ),
            (
                json!({"tools": [{"name": "f", "input_schema": {}, "cache_control": mark}]}),
                true,
            ),
            (json!({"messages": said(json!([result]))}), true),
            (json!({"cache_control": mark}), true),
            (
                json!({"messages": said(json!([text(&Value::Null)]))}),
                false,
            ),
            (
                json!({"system": "a", "messages": said(json!("cache_control"))}),
                false,
            ),
        ];

        for (body, named) in table {
            let request = read(body.as_object().expect("an object")).expect("a good request");
            let expected: &[&str] = if named { &["cache_control"] } else { &[] };
            assert_eq!(request.dropped, expected, "{body}");
        }
    }
}
