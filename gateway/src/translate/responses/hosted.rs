//! Tools that a Responses client runs itself but declares by type alone: as functions with the arguments that their
//! calls have, and their calls between items and arguments.

use serde_json::{Map, Value, json};

use crate::translate::{
    lenient,
    neutral::{Call, Kind, Tool},
    reject::{owned, set},
};

fn tool(name: &str, kind: Kind, description: &str, schema: Value) -> Tool {
    Tool {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        kind,
        schema: Some(schema),
        ..Tool::default()
    }
}

pub(super) fn local_shell() -> Tool {
    let schema = json!({"type": "object", "properties": {
        "command": {"type": "array", "items": {"type": "string"}, "description": "Program and arguments."},
        "working_directory": {"type": "string"},
        "timeout_ms": {"type": "integer"}},
        "required": ["command"]});
    tool(
        "local_shell",
        Kind::LocalShell,
        "Runs a command on the user's machine.",
        schema,
    )
}

pub(super) fn shell() -> Tool {
    let schema = json!({"type": "object", "properties": {
        "commands": {"type": "array", "items": {"type": "string"}, "description": "Shell commands to run in order."},
        "timeout_ms": {"type": "integer"},
        "max_output_length": {"type": "integer"}},
        "required": ["commands"]});
    tool("shell", Kind::Shell, "Runs shell commands.", schema)
}

pub(super) fn apply_patch() -> Tool {
    let schema = json!({"type": "object", "properties": {
        "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
        "path": {"type": "string"},
        "diff": {"type": "string", "description": "What changes in the file; not for delete_file."}},
        "required": ["type", "path"]});
    tool(
        "apply_patch",
        Kind::ApplyPatch,
        "Creates, updates or deletes one file.",
        schema,
    )
}

pub(super) fn tool_search(declared: &Map<String, Value>) -> Tool {
    let schema = set(declared, "parameters").cloned().unwrap_or_else(
        || json!({"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}),
    );
    let mut found = tool(
        "tool_search",
        Kind::ToolSearch,
        "Finds tools by what they do.",
        schema,
    );
    found.description = owned(declared, "description").or(found.description);
    found
}

/// The arguments of a call that an item of such a tool stands for; none for an item of another type.
pub(super) fn call(kind: &str, item: &Map<String, Value>) -> Option<Call> {
    let (kind, name, args) = match kind {
        "local_shell_call" => (Kind::LocalShell, "local_shell", item.get("action")),
        "shell_call" => (Kind::Shell, "shell", item.get("action")),
        "apply_patch_call" => (Kind::ApplyPatch, "apply_patch", item.get("operation")),
        "tool_search_call" => (Kind::ToolSearch, "tool_search", item.get("arguments")),
        _ => return None,
    };
    let args = match args {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(action)) => {
            let mut action = action.clone();
            if kind == Kind::LocalShell {
                action.shift_remove("type");
                action.shift_remove("env");
            }
            Value::Object(action).to_string()
        }
        _ => "{}".to_owned(),
    };
    Some(Call {
        id: owned(item, "call_id")
            .or_else(|| owned(item, "id"))
            .unwrap_or_default(),
        name: name.to_owned(),
        kind,
        args,
        namespace: None,
    })
}

/// A call as the item that its client knows how to run.
pub(super) fn item(call: &Call, id: &str) -> Value {
    let args = Value::Object(lenient::object(call.args.as_bytes()).unwrap_or_default());
    match call.kind {
        Kind::LocalShell => {
            let mut action = json!({"type": "exec", "env": {}});
            if let (Some(action), Some(args)) = (action.as_object_mut(), args.as_object()) {
                action.extend(args.clone());
            }
            json!({"id": id, "type": "local_shell_call", "call_id": call.id, "action": action, "status": "completed"})
        }
        Kind::Shell => {
            json!({"id": id, "type": "shell_call", "call_id": call.id, "action": args, "status": "completed"})
        }
        Kind::ApplyPatch => {
            json!({"id": id, "type": "apply_patch_call", "call_id": call.id, "operation": args, "status": "completed"})
        }
        Kind::ToolSearch => {
            json!({"id": id, "type": "tool_search_call", "call_id": call.id, "arguments": args,
                   "execution": "client", "status": "completed"})
        }
        Kind::Function | Kind::Custom => Value::Null,
    }
}
