//! The items of a Responses request, read into turns.

use serde_json::{Map, Value};

use super::{
    hosted,
    read_request::{read_format, read_tools},
};
use crate::translate::{
    compact::Compaction,
    media,
    neutral::{
        Audio, Call, CallResult, Effort, File, Image, Kind, Part, Request, Role, Source, Thought,
        Turn,
    },
    reject::{Reject, list, object, owned, required, set, text},
};

/// How the id of a reasoning item begins.
const THOUGHT: &str = "rs_";

/// Reads a conversation's items in order.
pub(super) fn read_items(items: &[Value], request: &mut Request) -> Result<(), Reject> {
    for (index, item) in items.iter().enumerate() {
        let at = format!("input[{index}]");
        if is_trigger(item) && index + 1 == items.len() {
            request.compaction = Some(Compaction::Trigger);
            continue;
        }
        read_item(object(item, &at)?, &at, request)?;
    }
    Ok(())
}

fn is_trigger(item: &Value) -> bool {
    item.get("type").and_then(Value::as_str) == Some("compaction_trigger")
}

fn read_item(item: &Map<String, Value>, at: &str, request: &mut Request) -> Result<(), Reject> {
    let kind = text(item, "type").unwrap_or("message");
    match kind {
        "message" => return message(item, at, request),
        "reasoning" => say(request, Role::Assistant, Part::Thought(thought(item))),
        "function_call" | "custom_tool_call" => {
            let call = call(item, kind, at)?;
            say(request, Role::Assistant, Part::Call(call));
        }
        "tool_search_output" => {
            read_tools(
                list(item.get("tools"), at)?,
                &format!("{at}.tools"),
                request,
            )?;
            let names: Vec<String> = list(item.get("tools"), at)?
                .iter()
                .filter_map(|tool| tool.get("name")?.as_str().map(str::to_owned))
                .collect();
            let said = Part::Text(format!("Tools found: {}", names.join(", ")));
            let call = answered(item, request);
            result(request, call, vec![said], false);
        }
        "shell_call_output" => {
            let parts = vec![Part::Text(shell_output(item))];
            let call = answered(item, request);
            result(request, call, parts, false);
        }
        output if output.ends_with("_call_output") => {
            let parts = output_parts(item, at)?;
            let parts = request.unmarked(parts, format!("{at}.output.prompt_cache_breakpoint"));
            let call = answered(item, request);
            let failed = text(item, "status") == Some("failed");
            result(request, call, parts, failed);
        }
        "additional_tools" => {
            read_tools(
                list(item.get("tools"), at)?,
                &format!("{at}.tools"),
                request,
            )?;
        }
        "configuration_update" => {
            let reasoning = item.get("reasoning").and_then(Value::as_object);
            let effort = reasoning.and_then(|given| text(given, "effort"));
            request.reasoning.effort = effort.and_then(Effort::read).or(request.reasoning.effort);
            let format = item.get("text").and_then(|given| given.get("format"));
            if let Some(format) = format.filter(|format| !format.is_null()) {
                request.format = read_format(format)?;
            }
        }
        "compaction_trigger" => {
            return Err(Reject::new(
                at,
                format!("`{at}` is a `compaction_trigger`, which can only be the last item"),
            ));
        }
        // A thought that the upstream did not keep: the conversation can be read without it.
        "item_reference" if text(item, "id").is_some_and(|id| id.starts_with(THOUGHT)) => {
            request.dropped.push(format!("{at} ({kind})"));
        }
        "item_reference" | "compaction" | "compaction_summary" => {
            return Err(Reject::new(
                at,
                format!(
                    "`{at}` is a `{kind}`, which only the upstream that made it can read; send the conversation itself"
                ),
            ));
        }
        other => match hosted::call(other, item) {
            Some(call) => say(request, Role::Assistant, Part::Call(call)),
            None => request.dropped.push(format!("{at} ({other})")),
        },
    }
    Ok(())
}

/// Adds a part to the turn of its side.
fn say(request: &mut Request, role: Role, part: Part) {
    match request.turns.last_mut() {
        Some(turn) if turn.role == role => turn.parts.push(part),
        _ => request.turns.push(Turn::new(role, vec![part])),
    }
}

fn result(request: &mut Request, call: String, parts: Vec<Part>, failed: bool) {
    let result = CallResult {
        call,
        parts,
        failed,
    };
    say(request, Role::User, Part::Result(result));
}

/// The call that an output answers: by id, else the last unanswered one of its name.
fn answered(item: &Map<String, Value>, request: &Request) -> String {
    if let Some(id) = text(item, "call_id").filter(|id| !id.is_empty()) {
        return id.to_owned();
    }
    // Some outputs have their call's id for their own, others one that says nothing.
    let own = text(item, "id").unwrap_or_default();
    if request.calls().any(|call| call.id == own) {
        return own.to_owned();
    }
    let name = text(item, "name").unwrap_or_default();
    let answered: Vec<&str> = request
        .turns
        .iter()
        .flat_map(|turn| &turn.parts)
        .filter_map(|part| match part {
            Part::Result(result) => Some(result.call.as_str()),
            _ => None,
        })
        .collect();
    let mut open: Vec<&Call> = request
        .calls()
        .filter(|call| call.name == name && !answered.contains(&call.id.as_str()))
        .collect();
    open.pop()
        .map_or_else(|| own.to_owned(), |call| call.id.clone())
}

fn message(item: &Map<String, Value>, at: &str, request: &mut Request) -> Result<(), Reject> {
    let content = item.get("content").unwrap_or(&Value::Null);
    let parts = parts(content, &format!("{at}.content"))?;
    match required(item, "role", at)? {
        "user" => request.turns.push(Turn::new(Role::User, parts)),
        "assistant" => {
            for part in parts {
                say(request, Role::Assistant, part);
            }
        }
        "system" | "developer" => {
            if request.turns.is_empty() {
                request.add_system(&parts);
            } else {
                request.add_reminder(&parts);
            }
        }
        other => {
            let field = format!("{at}.role");
            let message = format!("`{field}` cannot be `{other}`");
            return Err(Reject::new(field, message));
        }
    }
    Ok(())
}

fn thought(item: &Map<String, Value>) -> Thought {
    let texts = |name: &str| -> Vec<String> {
        let parts = item.get(name).and_then(Value::as_array);
        parts
            .into_iter()
            .flatten()
            .filter_map(|part| part.get("text")?.as_str().map(str::to_owned))
            .collect()
    };
    let mut said = texts("summary");
    if said.is_empty() {
        said = texts("content");
    }
    Thought {
        text: said.join("\n\n"),
        carrier: owned(item, "encrypted_content"),
    }
}

fn call(item: &Map<String, Value>, kind: &str, at: &str) -> Result<Call, Reject> {
    let custom = kind == "custom_tool_call";
    let args = if custom { "input" } else { "arguments" };
    Ok(Call {
        id: required(item, "call_id", at)?.to_owned(),
        namespace: owned(item, "namespace"),
        name: required(item, "name", at)?.to_owned(),
        kind: if custom { Kind::Custom } else { Kind::Function },
        args: owned(item, args).unwrap_or_default(),
    })
}

fn output_parts(item: &Map<String, Value>, at: &str) -> Result<Vec<Part>, Reject> {
    match item.get("output") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(output @ (Value::String(_) | Value::Array(_))) => {
            parts(output, &format!("{at}.output"))
        }
        Some(other) => Ok(vec![Part::Text(other.to_string())]),
    }
}

/// What each command said and how it ended.
fn shell_output(item: &Map<String, Value>) -> String {
    let runs = item.get("output").and_then(Value::as_array);
    let said = runs.into_iter().flatten().map(|run| {
        let part = |name: &str| run.get(name).and_then(Value::as_str).unwrap_or_default();
        let ending = match run.get("outcome") {
            Some(outcome) if outcome.get("type").is_some_and(|kind| kind == "timeout") => {
                "timed out".to_owned()
            }
            Some(outcome) => format!(
                "exit code {}",
                outcome
                    .get("exit_code")
                    .and_then(Value::as_i64)
                    .unwrap_or(0)
            ),
            None => String::new(),
        };
        [part("stdout"), part("stderr"), &ending]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join("\n")
    });
    said.collect::<Vec<_>>().join("\n")
}

fn parts(content: &Value, at: &str) -> Result<Vec<Part>, Reject> {
    if let Value::String(text) = content {
        return Ok(vec![Part::Text(text.clone())]);
    }
    let mut read = Vec::new();
    for (index, given) in list(Some(content), at)?.iter().enumerate() {
        let at = format!("{at}[{index}]");
        let part = read_part(object(given, &at)?, at)?;
        read.extend(part.into_iter().flat_map(|part| part.marked(given)));
    }
    Ok(read)
}

fn read_part(part: &Map<String, Value>, at: String) -> Result<Option<Part>, Reject> {
    Ok(Some(match text(part, "type") {
        Some("input_text" | "output_text" | "text") => {
            Part::Text(required(part, "text", &at)?.to_owned())
        }
        Some("refusal") => Part::Refusal(required(part, "refusal", &at)?.to_owned()),
        Some("input_image") => {
            let Some(url) = text(part, "image_url") else {
                return Err(Reject::unsupported(format!("{at}.file_id")));
            };
            Part::Image(Image {
                source: media::source(url, &format!("{at}.image_url"))?,
                detail: owned(part, "detail"),
                at,
            })
        }
        Some("input_file") => {
            let source = match (text(part, "file_data"), text(part, "file_url")) {
                (Some(data), _) if data.starts_with("data:") => {
                    media::source(data, &format!("{at}.file_data"))?
                }
                (Some(data), _) => Source::Data {
                    media: "application/pdf".to_owned(),
                    data: data.to_owned(),
                },
                (None, Some(url)) => media::source(url, &format!("{at}.file_url"))?,
                (None, None) => return Err(Reject::unsupported(format!("{at}.file_id"))),
            };
            Part::File(File {
                source,
                name: owned(part, "filename"),
                at,
            })
        }
        Some("input_audio") => {
            let inner = format!("{at}.input_audio");
            let audio = object(set(part, "input_audio").unwrap_or(&Value::Null), &inner)?;
            Part::Audio(Audio {
                data: required(audio, "data", &inner)?.to_owned(),
                format: required(audio, "format", &inner)?.to_owned(),
                at,
            })
        }
        Some(_) => return Ok(None),
        None => {
            let field = format!("{at}.type");
            let message = format!("`{field}` must say what kind of content this is");
            return Err(Reject::new(field, message));
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_output_without_its_calls_id_answers_the_open_call_of_its_name() {
        let call = |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"});
        // What an output says of its call, and the call.
        let table = [
            (json!({"call_id": "a"}), "a"),
            (json!({"id": "fco_1", "name": "f"}), "b"),
            (json!({"id": "a"}), "a"),
            (json!({"name": "f"}), "b"),
            (json!({"id": "fco_1", "name": "g"}), "fco_1"),
        ];

        for (mut output, answers) in table {
            output["type"] = "function_call_output".into();
            output["output"] = "r".into();
            let mut request = Request::default();
            read_items(&[call("a"), call("b"), output.clone()], &mut request).expect("good items");

            let last = request.turns.pop().and_then(|mut turn| turn.parts.pop());
            let found = match last {
                Some(Part::Result(result)) => Some(result.call),
                _ => None,
            };
            assert_eq!(found.as_deref(), Some(answers), "{output}");
        }
    }
}
