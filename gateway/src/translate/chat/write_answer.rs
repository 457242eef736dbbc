//! A chat answer, written for a caller: chunks of a stream, or the whole.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::translate::{
    answer::{Answer, Citation, Ending, Event, Item, Opening},
    fault,
    logprob::{self, Likely},
    neutral::{Call, Kind},
    usage,
    voice::{Voice, event, finish_reason},
};

/// Writes a stream.
#[derive(Debug)]
pub(in crate::translate) struct Writer {
    voice: Voice,
    items: Vec<(usize, Said)>,
    calls: usize,
    /// Tokens whose text comes next.
    likely: Vec<Likely>,
    /// The answer has text, so that a refusal need not be explained.
    has_text: bool,
    started: bool,
}

const CHUNK: &str = "chat.completion.chunk";

/// One event, written without a tree of values: there is one for each word.
#[derive(Serialize)]
struct Chunk<'a, D> {
    id: std::fmt::Arguments<'a>,
    object: &'a str,
    created: i64,
    model: &'a str,
    choices: [Choice<'a, D>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<()>,
}

#[derive(Serialize)]
struct Choice<'a, D> {
    index: u64,
    delta: D,
    logprobs: Option<Value>,
    finish_reason: Option<&'a str>,
}

/// More text, under the name of its field.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Text<'a> {
    Content(&'a str),
    Refusal(&'a str),
    ReasoningContent(&'a str),
}

/// Which field of a delta an item speaks in.
#[derive(Clone, Copy, Debug)]
enum Said {
    Content,
    Refusal,
    Thought,
    Function(usize),
    Custom(usize),
}

impl Writer {
    pub(in crate::translate) fn new(voice: Voice) -> Self {
        Self {
            voice,
            items: Vec::new(),
            calls: 0,
            likely: Vec::new(),
            has_text: false,
            started: false,
        }
    }

    /// Appends what the event is in this protocol.
    pub(in crate::translate) fn write(&mut self, step: Event, out: &mut Vec<u8>) {
        if !self.started && !matches!(step, Event::Fault(_)) {
            self.started = true;
            self.chunk(&json!({"role": "assistant", "content": ""}), None, out);
        }
        match step {
            Event::Start(_) | Event::Opaque(..) | Event::Search(_) => {}
            Event::Likely(_, mut more) => self.likely.append(&mut more),
            Event::Close(_) => self.tell_likely(out),
            Event::Open(item, opening) => self.open(item, opening, out),
            Event::Delta(item, text) => self.delta(item, &text, out),
            Event::Cite(_, citation) => {
                self.chunk(&json!({"annotations": [annotation(&citation)]}), None, out);
            }
            Event::End(ending) => self.end(&ending, out),
            Event::Fault(failed) => {
                event(out, None, &json!({"error": fault::openai(&failed)}));
            }
        }
    }

    fn open(&mut self, item: usize, opening: Opening, out: &mut Vec<u8>) {
        let said = match opening {
            // Only a Responses caller can ask for a compaction.
            Opening::Text | Opening::Compaction => Said::Content,
            Opening::Refusal => Said::Refusal,
            Opening::Thought => Said::Thought,
            Opening::Call(call) => {
                let index = self.calls;
                self.calls += 1;
                let mut opener = call_value(&call);
                opener["index"] = index.into();
                self.chunk(&json!({"tool_calls": [opener]}), None, out);
                if call.kind == Kind::Custom {
                    Said::Custom(index)
                } else {
                    Said::Function(index)
                }
            }
        };
        self.items.push((item, said));
    }

    fn delta(&mut self, item: usize, text: &str, out: &mut Vec<u8>) {
        let found = self.items.iter().rev().find(|(known, _)| *known == item);
        let Some((_, said)) = found.copied() else {
            return;
        };
        match said {
            Said::Content => {
                self.has_text = true;
                let likely = std::mem::take(&mut self.likely);
                self.chunk_with(&Text::Content(text), told(&likely), None, out);
            }
            Said::Refusal => {
                self.has_text = true;
                self.chunk(&Text::Refusal(text), None, out);
            }
            Said::Thought => self.chunk(&Text::ReasoningContent(text), None, out),
            Said::Function(index) => {
                let delta =
                    json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]});
                self.chunk(&delta, None, out);
            }
            Said::Custom(index) => {
                let delta = json!({"tool_calls": [{"index": index, "custom": {"input": text}}]});
                self.chunk(&delta, None, out);
            }
        }
    }

    /// Tells of tokens whose text did not come.
    fn tell_likely(&mut self, out: &mut Vec<u8>) {
        let likely = std::mem::take(&mut self.likely);
        if !likely.is_empty() {
            self.chunk_with(&Text::Content(""), told(&likely), None, out);
        }
    }

    fn end(&mut self, ending: &Ending, out: &mut Vec<u8>) {
        self.tell_likely(out);
        if let Some(explanation) = ending.explanation.as_ref().filter(|_| !self.has_text) {
            self.chunk(&json!({"refusal": explanation}), None, out);
        }
        self.chunk(&json!({}), Some(finish_reason(ending.reason)), out);
        if self.voice.usage_asked {
            let mut last = self.envelope();
            last.insert("choices".to_owned(), json!([]));
            let tokens = ending.usage.unwrap_or_default();
            last.insert("usage".to_owned(), usage::chat(&tokens));
            event(out, None, &Value::Object(last));
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn chunk(&self, delta: &impl Serialize, finish: Option<&str>, out: &mut Vec<u8>) {
        self.chunk_with(delta, None, finish, out);
    }

    fn chunk_with(
        &self,
        delta: &impl Serialize,
        logprobs: Option<Value>,
        finish: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        let chunk = Chunk {
            id: format_args!("chatcmpl-{}", self.voice.id),
            object: CHUNK,
            created: self.voice.created,
            model: &self.voice.model,
            choices: [Choice {
                index: 0,
                delta,
                logprobs,
                finish_reason: finish,
            }],
            usage: self.voice.usage_asked.then_some(()),
        };
        event(out, None, &chunk);
    }

    fn envelope(&self) -> Map<String, Value> {
        head(&self.voice, CHUNK)
    }
}

/// The field of a choice that tells how likely its tokens were.
fn told(likely: &[Likely]) -> Option<Value> {
    let content = (!likely.is_empty()).then(|| logprob::list(likely))?;
    Some(json!({"content": content, "refusal": null}))
}

fn head(voice: &Voice, object: &str) -> Map<String, Value> {
    let head = json!({
        "id": format!("chatcmpl-{}", voice.id),
        "object": object,
        "created": voice.created,
        "model": voice.model,
    });
    match head {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn call_value(call: &Call) -> Value {
    if call.kind == Kind::Custom {
        json!({"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.args}})
    } else {
        json!({"id": call.id, "type": "function",
               "function": {"name": call.name, "arguments": call.args}})
    }
}

fn annotation(citation: &Citation) -> Value {
    let (start, end) = citation.span.unwrap_or_default();
    json!({"type": "url_citation", "url_citation": {
        "start_index": start, "end_index": end, "url": citation.url, "title": citation.title}})
}

/// Writes a whole answer.
pub(in crate::translate) fn answer(answer: &Answer, voice: &Voice) -> Value {
    let mut thoughts = String::new();
    let mut refusal = String::new();
    let mut calls = Vec::new();
    let mut annotations = Vec::new();
    let mut tokens = Vec::new();
    for item in &answer.items {
        match item {
            Item::Thought { text, .. } => thoughts.push_str(text),
            Item::Refusal(text) => refusal.push_str(text),
            Item::Call(call) => calls.push(call_value(call)),
            Item::Text {
                citations, likely, ..
            } => {
                annotations.extend(citations.iter().map(annotation));
                tokens.extend_from_slice(likely);
            }
            Item::Search(_) | Item::Compaction(_) => {}
        }
    }
    let text = answer.text();
    if text.is_empty() && refusal.is_empty() {
        refusal.push_str(answer.ending.explanation.as_deref().unwrap_or_default());
    }
    let or_null = |text: String| (!text.is_empty()).then_some(text);
    let mut message =
        json!({"role": "assistant", "content": or_null(text), "refusal": or_null(refusal)});
    if let Some(thoughts) = or_null(thoughts) {
        message["reasoning_content"] = thoughts.into();
    }
    if !annotations.is_empty() {
        message["annotations"] = annotations.into();
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    let mut body = head(voice, "chat.completion");
    body.insert(
        "choices".to_owned(),
        json!([{"index": 0, "message": message, "logprobs": told(&tokens),
                "finish_reason": finish_reason(answer.ending.reason)}]),
    );
    let tokens = answer.ending.usage.unwrap_or_default();
    body.insert("usage".to_owned(), usage::chat(&tokens));
    Value::Object(body)
}
