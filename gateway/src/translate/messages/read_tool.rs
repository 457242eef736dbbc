//! The tools of a Messages request, those included that Anthropic defines and clients run.

use serde_json::{Map, Value, json};

use crate::translate::{
    neutral::{Choice, Request, Tool, WebSearch},
    reject::{Reject, list, object, owned, required, set, text},
};

/// Reads all tools.
pub(super) fn tools(body: &Map<String, Value>, request: &mut Request) -> Result<(), Reject> {
    for (index, tool) in list(body.get("tools"), "tools")?.iter().enumerate() {
        let at = format!("tools[{index}]");
        read_tool(object(tool, &at)?, &at, request)?;
    }
    Ok(())
}

fn read_tool(tool: &Map<String, Value>, at: &str, request: &mut Request) -> Result<(), Reject> {
    let kind = text(tool, "type").unwrap_or("custom");
    if kind == "custom" {
        request.tools.push(Tool {
            name: required(tool, "name", at)?.to_owned(),
            description: owned(tool, "description"),
            schema: set(tool, "input_schema").cloned(),
            strict: tool
                .get("strict")
                .and_then(Value::as_bool)
                .filter(|strict| *strict),
            ..Tool::default()
        });
        return Ok(());
    }
    if kind.starts_with("web_search_") {
        request.web_search = Some(WebSearch {
            allowed_domains: set(tool, "allowed_domains").cloned(),
            user_location: set(tool, "user_location").cloned(),
            context_size: None,
            most: tool
                .get("max_uses")
                .and_then(Value::as_u64)
                .filter(|most| *most > 0),
        });
        if set(tool, "blocked_domains").is_some() {
            request.dropped.push(format!("{at}.blocked_domains"));
        }
        return Ok(());
    }
    if let Some((description, schema)) = client_run(kind) {
        request.tools.push(Tool {
            name: required(tool, "name", at)?.to_owned(),
            description: Some(description.to_owned()),
            schema: Some(schema),
            ..Tool::default()
        });
        return Ok(());
    }
    let dispensable = [
        "web_fetch_",
        "code_execution_",
        "tool_search_tool_",
        "mcp_toolset",
        "advisor",
    ];
    if dispensable.iter().any(|known| kind.starts_with(known)) {
        request.dropped.push(format!("{at} ({kind})"));
        return Ok(());
    }
    Err(Reject::unsupported(format!("{at}.type")))
}

/// Tools that Anthropic defines by type and clients run: what they do, and the arguments they are documented with.
fn client_run(kind: &str) -> Option<(&'static str, Value)> {
    if kind.starts_with("bash_") {
        return Some((
            "Runs a command in a persistent shell.",
            json!({"type": "object", "properties": {
                "command": {"type": "string", "description": "The command to run."},
                "restart": {"type": "boolean", "description": "Restart the shell instead."}}}),
        ));
    }
    if kind.starts_with("text_editor_") {
        return Some((
            "Views, creates and edits files.",
            json!({"type": "object", "properties": {
                "command": {"type": "string", "enum": ["view", "create", "str_replace", "insert"]},
                "path": {"type": "string"},
                "file_text": {"type": "string", "description": "For create: the whole content."},
                "old_str": {"type": "string", "description": "For str_replace: what to replace, once in the file."},
                "new_str": {"type": "string", "description": "For str_replace and insert: the new text."},
                "insert_line": {"type": "integer", "description": "For insert: after which line."},
                "view_range": {"type": "array", "items": {"type": "integer"}}},
                "required": ["command", "path"]}),
        ));
    }
    if kind.starts_with("memory_") {
        return Some((
            "Keeps notes in files under /memories.",
            json!({"type": "object", "properties": {
                "command": {"type": "string", "enum": ["view", "create", "str_replace", "insert", "delete", "rename"]},
                "path": {"type": "string"},
                "file_text": {"type": "string"},
                "old_str": {"type": "string"},
                "new_str": {"type": "string"},
                "insert_line": {"type": "integer"},
                "insert_text": {"type": "string"},
                "old_path": {"type": "string"},
                "new_path": {"type": "string"},
                "view_range": {"type": "array", "items": {"type": "integer"}}},
                "required": ["command"]}),
        ));
    }
    None
}

/// The choice of a tool, and whether several may be called at once.
pub(super) fn choice(body: &Map<String, Value>) -> Result<(Option<Choice>, Option<bool>), Reject> {
    let Some(given) = set(body, "tool_choice") else {
        return Ok((None, None));
    };
    let given = object(given, "tool_choice")?;
    let parallel = given
        .get("disable_parallel_tool_use")
        .and_then(Value::as_bool)
        .filter(|disabled| *disabled)
        .map(|_| false);
    let choice = match text(given, "type") {
        Some("none") => Choice::Never,
        Some("auto") => Choice::Auto,
        Some("any") => Choice::Must,
        Some("tool") => {
            let name = required(given, "name", "tool_choice")?;
            let hosted = list(body.get("tools"), "tools")?.iter().any(|tool| {
                let kind = tool.get("type").and_then(Value::as_str).unwrap_or_default();
                kind.starts_with("web_search_")
                    && tool.get("name").is_some_and(|known| known == name)
            });
            if hosted {
                Choice::Hosted("web_search".to_owned())
            } else {
                Choice::One {
                    namespace: None,
                    name: name.to_owned(),
                }
            }
        }
        _ => {
            return Err(Reject::new(
                "tool_choice.type",
                "`tool_choice.type` must be auto, any, tool or none",
            ));
        }
    };
    Ok((Some(choice), parallel))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_a_search_that_no_other_protocol_has_are_named() {
        let body = json!({"tools": [{"type": "web_search_20250305", "name": "web_search",
            "max_uses": 8, "blocked_domains": ["a.example"], "allowed_domains": null}]});
        let mut request = Request::default();

        tools(body.as_object().expect("an object"), &mut request).expect("good tools");

        assert_eq!(request.dropped, ["tools[0].blocked_domains"]);
        let search = request.web_search.expect("a search");
        assert_eq!(search.most, Some(8));
    }
}
