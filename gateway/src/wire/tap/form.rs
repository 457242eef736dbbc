//! The forms of what passes, as far as the tap has to know them: whole answers, chunks, events.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::Failure;

/// The union of all whole answers: each protocol keeps its answer under another name.
#[derive(Deserialize)]
pub(super) struct Whole<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) choices: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) incomplete_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) output: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) status: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) x_groq: Option<Groq<'a>>,
}

impl Whole<'_> {
    /// Whether it stopped at its output limit, by the word of its protocol.
    pub(super) fn is_truncated(&self) -> bool {
        let choices = self
            .choices
            .map(|raw| serde_json::from_str::<Vec<Choice<'_>>>(raw.get()));
        let cut = |choice: &Choice<'_>| is_word(choice.finish_reason, "length");
        let details = self.incomplete_details.map(RawValue::get);
        is_word(self.stop_reason, "max_tokens")
            || choices.is_some_and(|choices| choices.is_ok_and(|choices| choices.iter().any(cut)))
            || details.is_some_and(|details| details.contains("\"max_output_tokens\""))
    }
}

pub(super) fn is_word(raw: Option<&RawValue>, word: &str) -> bool {
    raw.is_some_and(|raw| raw.get().trim_matches('"') == word)
}

/// `[]`, with whatever space.
pub(super) fn is_empty_list(raw: &RawValue) -> bool {
    let inner = raw.get().strip_prefix('[');
    inner.is_some_and(|inner| inner.trim_start().starts_with(']'))
}

#[derive(Deserialize)]
pub(super) struct Groq<'a> {
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(borrow)]
    pub(super) index: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) delta: Option<Delta<'a>>,
    #[serde(borrow)]
    pub(super) finish_reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow)]
    pub(super) function_call: Option<Function<'a>>,
    #[serde(borrow)]
    pub(super) audio: Option<Audio<'a>>,
}

impl<'a> Delta<'a> {
    /// What it brings of text; of thoughts that come in two forms, one.
    pub(super) fn texts(&self) -> [Option<&'a RawValue>; 3] {
        let thought = self.reasoning_content.or(self.reasoning);
        let thought = thought.filter(|raw| !is_blank(raw));
        [
            self.content,
            thought.or(self.reasoning_details),
            self.refusal,
        ]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.texts().into_iter().flatten().all(is_blank)
            && self.tool_calls.as_ref().is_none_or(Vec::is_empty)
            && self.function_call.is_none()
            && self.audio.is_none()
    }
}

fn is_blank(raw: &RawValue) -> bool {
    matches!(raw.get(), "null" | "\"\"" | "[]")
}

#[derive(Deserialize)]
pub(super) struct Audio<'a> {
    #[serde(borrow)]
    pub(super) transcript: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct ToolCall<'a> {
    #[serde(borrow)]
    pub(super) function: Option<Function<'a>>,
    #[serde(borrow)]
    pub(super) custom: Option<Function<'a>>,
}

/// A call of a tool, of either kind.
#[derive(Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct ResponsesEvent<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) delta: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) response: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) item: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) code: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) message: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct MessagesEvent<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) message: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) delta: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

/// Whether a block of a message is what a hosted tool came back with: the model reads it, and has not written it.
pub(super) fn is_result(block: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Block<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<Cow<'a, str>>,
    }
    let block: Option<Block<'_>> = serde_json::from_str(block.get()).ok();
    block
        .and_then(|block| block.kind)
        .is_some_and(|kind| kind.ends_with("_tool_result"))
}

/// Reads an error object of either family; an error that is bare text is its own message.
pub(crate) fn failure(error: &RawValue) -> Failure {
    let value: Value = serde_json::from_str(error.get()).unwrap_or(Value::Null);
    let part = |name| value.get(name).and_then(Value::as_str);
    Failure {
        code: part("code").or(part("type")).unwrap_or_default().to_owned(),
        message: part("message")
            .or(value.as_str())
            .unwrap_or_default()
            .to_owned(),
    }
}

pub(super) fn text_of(raw: &RawValue) -> String {
    serde_json::from_str(raw.get()).unwrap_or_default()
}
