//! What a request asks of the sandbox: whose words to say back, how many of them, and how.

use entity::Protocol;
use serde_json::Value;

/// A request as the sandbox understands it.
pub(super) struct Question {
    pub(super) model: String,
    pub(super) streamed: bool,
    /// Words of answer at most.
    pub(super) limit: Option<usize>,
    /// The last thing the user said.
    pub(super) said: String,
    /// Words of everything that was said.
    pub(super) input_words: usize,
    pub(super) streams_usage: bool,
}

impl Question {
    pub(super) fn read(protocol: Protocol, body: &Value) -> Self {
        let turns = match protocol {
            Protocol::Responses => "input",
            _ => "messages",
        };
        let said = last_user_text(&body[turns]);
        let asides = words(&text_of(&body["system"])) + words(&text_of(&body["instructions"]));
        let limit = ["max_tokens", "max_completion_tokens", "max_output_tokens"]
            .iter()
            .find_map(|name| body[*name].as_u64())
            .and_then(|limit| usize::try_from(limit).ok());
        Self {
            model: body["model"].as_str().unwrap_or_default().to_owned(),
            streamed: body["stream"].as_bool().unwrap_or(false),
            limit,
            said,
            input_words: asides + all_words(&body[turns]),
            streams_usage: body["stream_options"]["include_usage"]
                .as_bool()
                .unwrap_or(false),
        }
    }
}

/// One word is one token; what follows a word belongs to it.
pub(super) fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

fn all_words(turns: &Value) -> usize {
    match turns {
        Value::Array(turns) => turns
            .iter()
            .map(|turn| words(&text_of(&turn["content"])))
            .sum(),
        other => words(&text_of(other)),
    }
}

fn last_user_text(turns: &Value) -> String {
    match turns {
        Value::Array(turns) => turns
            .iter()
            .rev()
            .find(|turn| turn["role"] == "user")
            .map(|turn| text_of(&turn["content"]))
            .unwrap_or_default(),
        other => text_of(other),
    }
}

/// A string, or the text parts of a list of parts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    }
}
