//! A Responses answer, written for a caller: events of a stream, or the whole.

use serde_json::{Map, Value, json};

use super::{item, write_response::response};
use crate::translate::{
    answer::{Answer, Citation, Ending, Event, Fault, Item, Opaque, Opening},
    compact, fault,
    logprob::{self, Likely},
    neutral::{Call, Kind},
    voice::{Voice, event, incomplete_reason},
};

/// Writes a stream.
#[derive(Debug)]
pub(in crate::translate) struct Writer {
    voice: Voice,
    sequence: u64,
    started: bool,
    /// Items in the order they opened; each stands in the output at its place.
    items: Vec<OpenItem>,
}

#[derive(Debug)]
struct OpenItem {
    key: usize,
    id: String,
    body: Body,
    /// What was said so far.
    text: String,
    opaque: Option<Opaque>,
    citations: Vec<Citation>,
    likely: Vec<Likely>,
    /// Of how many tokens its caller was told.
    told: usize,
    /// Whether its part was announced.
    has_part: bool,
    /// The item as it ended.
    done: Option<Value>,
}

#[derive(Debug)]
enum Body {
    Thought,
    Text,
    Refusal,
    Call(Call),
    Search,
    Compaction,
}

impl Writer {
    pub(in crate::translate) fn new(voice: Voice) -> Self {
        Self {
            voice,
            sequence: 0,
            started: false,
            items: Vec::new(),
        }
    }

    /// Appends what the event is in this protocol.
    pub(in crate::translate) fn write(&mut self, step: Event, out: &mut Vec<u8>) {
        if let Event::Fault(failed) = &step {
            self.fail(failed, out);
            return;
        }
        self.start(out);
        match step {
            Event::Start(_) | Event::Fault(_) => {}
            Event::Open(key, opening) => self.open(key, opening, out),
            Event::Delta(key, text) => self.delta(key, &text, out),
            Event::Opaque(key, opaque) => {
                if let Some(place) = self.place(key) {
                    self.items[place].opaque = Some(opaque);
                }
            }
            Event::Cite(key, citation) => self.cite(key, citation, out),
            Event::Likely(key, mut more) => {
                if let Some(place) = self.place(key) {
                    self.items[place].likely.append(&mut more);
                }
            }
            Event::Close(key) => self.close(key, out),
            Event::Search(query) => self.search(&query, out),
            Event::End(ending) => self.end(&ending, out),
        }
    }

    fn send(&mut self, kind: &str, fields: Value, out: &mut Vec<u8>) {
        let mut body = json!({"type": kind, "sequence_number": self.sequence});
        if let (Some(body), Value::Object(fields)) = (body.as_object_mut(), fields) {
            body.extend(fields);
        }
        self.sequence += 1;
        event(out, Some(kind), &body);
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if self.started {
            return;
        }
        self.started = true;
        let response = response(&self.voice, "in_progress", &[], None);
        self.send("response.created", json!({"response": response}), out);
        self.send("response.in_progress", json!({"response": response}), out);
    }

    fn place(&self, key: usize) -> Option<usize> {
        let open = |item: &OpenItem| item.key == key && item.done.is_none();
        self.items.iter().rposition(open)
    }

    fn open(&mut self, key: usize, opening: Opening, out: &mut Vec<u8>) {
        let (prefix, body) = match opening {
            Opening::Thought => ("rs", Body::Thought),
            Opening::Text => ("msg", Body::Text),
            Opening::Refusal => ("msg", Body::Refusal),
            Opening::Call(call) if call.kind == Kind::Custom => ("ctc", Body::Call(call)),
            Opening::Call(call) => ("fc", Body::Call(call)),
            Opening::Compaction => ("cmp", Body::Compaction),
        };
        let output = self.items.len();
        let id = item::id(prefix, &self.voice, output);
        let added = match &body {
            Body::Thought => json!({"id": id, "type": "reasoning", "summary": []}),
            Body::Text | Body::Refusal => item::message(&id, "in_progress", &[]),
            Body::Call(call) => item::call(call, &id, "in_progress"),
            Body::Compaction => compact::item(&id, "", &self.voice),
            Body::Search => Value::Null,
        };
        self.items.push(OpenItem {
            key,
            id,
            body,
            text: String::new(),
            opaque: None,
            citations: Vec::new(),
            likely: Vec::new(),
            told: 0,
            has_part: false,
            done: None,
        });
        self.send(
            "response.output_item.added",
            json!({"output_index": output, "item": added}),
            out,
        );
    }

    /// Announces the part that an item speaks in, once.
    fn part(&mut self, place: usize, out: &mut Vec<u8>) {
        let item = &mut self.items[place];
        if std::mem::replace(&mut item.has_part, true) {
            return;
        }
        let id = item.id.clone();
        let (kind, fields) = match item.body {
            Body::Thought => (
                "response.reasoning_summary_part.added",
                json!({"item_id": id, "output_index": place, "summary_index": 0,
                       "part": {"type": "summary_text", "text": ""}}),
            ),
            Body::Text => (
                "response.content_part.added",
                json!({"item_id": id, "output_index": place, "content_index": 0,
                       "part": item::text("", &[], &[])}),
            ),
            Body::Refusal => (
                "response.content_part.added",
                json!({"item_id": id, "output_index": place, "content_index": 0,
                       "part": item::refusal("")}),
            ),
            Body::Call(_) | Body::Search | Body::Compaction => return,
        };
        self.send(kind, fields, out);
    }

    fn delta(&mut self, key: usize, text: &str, out: &mut Vec<u8>) {
        let Some(place) = self.place(key) else { return };
        self.part(place, out);
        let item = &mut self.items[place];
        item.text.push_str(text);
        let id = item.id.clone();
        let (kind, fields) = match &item.body {
            Body::Thought => (
                "response.reasoning_summary_text.delta",
                json!({"item_id": id, "output_index": place, "summary_index": 0, "delta": text}),
            ),
            Body::Text => (
                "response.output_text.delta",
                json!({"item_id": id, "output_index": place, "content_index": 0, "delta": text,
                       "logprobs": logprob::list(item.likely.get(item.told..).unwrap_or_default())}),
            ),
            Body::Refusal => (
                "response.refusal.delta",
                json!({"item_id": id, "output_index": place, "content_index": 0, "delta": text}),
            ),
            Body::Call(call) => match call.kind {
                Kind::Function => (
                    "response.function_call_arguments.delta",
                    json!({"item_id": id, "output_index": place, "delta": text}),
                ),
                Kind::Custom => (
                    "response.custom_tool_call_input.delta",
                    json!({"item_id": id, "output_index": place, "delta": text}),
                ),
                Kind::LocalShell | Kind::Shell | Kind::ApplyPatch | Kind::ToolSearch => return,
            },
            Body::Search | Body::Compaction => return,
        };
        item.told = item.likely.len();
        self.send(kind, fields, out);
    }

    fn cite(&mut self, key: usize, citation: Citation, out: &mut Vec<u8>) {
        let Some(place) = self.place(key) else { return };
        self.part(place, out);
        let item = &mut self.items[place];
        let fields = json!({"item_id": item.id, "output_index": place, "content_index": 0,
            "annotation_index": item.citations.len(), "annotation": item::annotation(&citation)});
        item.citations.push(citation);
        self.send("response.output_text.annotation.added", fields, out);
    }

    fn close(&mut self, key: usize, out: &mut Vec<u8>) {
        if let Some(place) = self.place(key) {
            self.done(place, out);
        }
    }

    fn done(&mut self, place: usize, out: &mut Vec<u8>) {
        if matches!(self.items[place].body, Body::Text | Body::Refusal) {
            self.part(place, out);
        }
        self.part_done(place, out);
        let ended = self.ended(place, "completed");
        self.items[place].done = Some(ended.clone());
        self.send(
            "response.output_item.done",
            json!({"output_index": place, "item": ended}),
            out,
        );
    }

    fn part_done(&mut self, place: usize, out: &mut Vec<u8>) {
        let item = &self.items[place];
        let (id, text) = (item.id.clone(), item.text.clone());
        match &item.body {
            Body::Thought if item.has_part => {
                let at = json!({"item_id": id, "output_index": place, "summary_index": 0});
                let part = json!({"type": "summary_text", "text": text});
                self.send(
                    "response.reasoning_summary_text.done",
                    with(&at, "text", text.into()),
                    out,
                );
                self.send(
                    "response.reasoning_summary_part.done",
                    with(&at, "part", part),
                    out,
                );
            }
            Body::Text => {
                let at = json!({"item_id": id, "output_index": place, "content_index": 0});
                let part = item::text(&text, &item.citations, &item.likely);
                let mut said = with(&at, "text", text.into());
                said["logprobs"] = logprob::list(&item.likely);
                self.send("response.output_text.done", said, out);
                self.send("response.content_part.done", with(&at, "part", part), out);
            }
            Body::Refusal => {
                let at = json!({"item_id": id, "output_index": place, "content_index": 0});
                let part = item::refusal(&text);
                self.send(
                    "response.refusal.done",
                    with(&at, "refusal", text.into()),
                    out,
                );
                self.send("response.content_part.done", with(&at, "part", part), out);
            }
            Body::Call(call) => {
                let at = json!({"item_id": id, "output_index": place});
                match call.kind {
                    Kind::Function => self.send(
                        "response.function_call_arguments.done",
                        with(&at, "arguments", text.into()),
                        out,
                    ),
                    Kind::Custom => self.send(
                        "response.custom_tool_call_input.done",
                        with(&at, "input", text.into()),
                        out,
                    ),
                    Kind::LocalShell | Kind::Shell | Kind::ApplyPatch | Kind::ToolSearch => {}
                }
            }
            Body::Thought | Body::Search | Body::Compaction => {}
        }
    }

    /// The item with all that was said of it.
    fn ended(&self, place: usize, status: &str) -> Value {
        let open = &self.items[place];
        match &open.body {
            Body::Thought => item::thought(&open.id, &open.text, open.opaque.as_ref(), &self.voice),
            Body::Text => {
                let part = item::text(&open.text, &open.citations, &open.likely);
                item::message(&open.id, status, &[part])
            }
            Body::Refusal => item::message(&open.id, status, &[item::refusal(&open.text)]),
            Body::Call(call) => {
                let call = Call {
                    args: open.text.clone(),
                    ..call.clone()
                };
                item::call(&call, &open.id, status)
            }
            Body::Search => item::search(&open.id, &open.text),
            Body::Compaction => compact::item(&open.id, &open.text, &self.voice),
        }
    }

    fn search(&mut self, query: &str, out: &mut Vec<u8>) {
        let place = self.items.len();
        let id = item::id("ws", &self.voice, place);
        let found = item::search(&id, query);
        self.items.push(OpenItem {
            key: usize::MAX,
            id,
            body: Body::Search,
            text: query.to_owned(),
            opaque: None,
            citations: Vec::new(),
            likely: Vec::new(),
            told: 0,
            has_part: true,
            done: Some(found.clone()),
        });
        let fields = json!({"output_index": place, "item": found});
        self.send("response.output_item.added", fields.clone(), out);
        self.send("response.output_item.done", fields, out);
    }

    fn output(&self) -> Vec<Value> {
        let places = self.items.iter().enumerate();
        places
            .map(|(place, item)| match &item.done {
                Some(done) => done.clone(),
                None => self.ended(place, "in_progress"),
            })
            .collect()
    }

    fn end(&mut self, ending: &Ending, out: &mut Vec<u8>) {
        for place in 0..self.items.len() {
            if self.items[place].done.is_none() {
                self.done(place, out);
            }
        }
        let has_words = self
            .items
            .iter()
            .any(|item| matches!(item.body, Body::Text | Body::Refusal) && !item.text.is_empty());
        if let Some(explanation) = ending.explanation.as_ref().filter(|_| !has_words) {
            self.open(usize::MAX, Opening::Refusal, out);
            self.delta(usize::MAX, explanation, out);
            self.close(usize::MAX, out);
        }
        let status = if incomplete_reason(ending.reason).is_some() {
            "incomplete"
        } else {
            "completed"
        };
        let response = response(&self.voice, status, &self.output(), Some(ending));
        self.send(
            &format!("response.{status}"),
            json!({"response": response}),
            out,
        );
    }

    fn fail(&mut self, failed: &Fault, out: &mut Vec<u8>) {
        let error = fault::response(failed);
        if !self.started {
            let mut fields = error;
            fields["param"] = Value::Null;
            self.send("error", fields, out);
            return;
        }
        let mut response = response(&self.voice, "failed", &self.output(), None);
        response["error"] = error;
        self.send("response.failed", json!({"response": response}), out);
    }
}

fn with(at: &Value, name: &str, value: Value) -> Value {
    let mut fields: Map<String, Value> = at.as_object().cloned().unwrap_or_default();
    fields.insert(name.to_owned(), value);
    Value::Object(fields)
}

/// Writes a whole answer.
pub(in crate::translate) fn answer(answer: &Answer, voice: &Voice) -> Value {
    let mut output = Vec::new();
    for (place, said) in answer.items.iter().enumerate() {
        let id = |prefix: &str| item::id(prefix, voice, place);
        output.push(match said {
            Item::Thought { text, opaque } => {
                item::thought(&id("rs"), text, opaque.as_ref(), voice)
            }
            Item::Text {
                text,
                citations,
                likely,
            } => {
                let part = item::text(text, citations, likely);
                item::message(&id("msg"), "completed", &[part])
            }
            Item::Refusal(text) => item::message(&id("msg"), "completed", &[item::refusal(text)]),
            Item::Call(call) if call.kind == Kind::Custom => {
                item::call(call, &id("ctc"), "completed")
            }
            Item::Call(call) => item::call(call, &id("fc"), "completed"),
            Item::Search(query) => item::search(&id("ws"), query),
            Item::Compaction(text) => compact::item(&id("cmp"), text, voice),
        });
    }
    let has_words = answer
        .items
        .iter()
        .any(|item| matches!(item, Item::Text { .. } | Item::Refusal(_)));
    if let Some(explanation) = answer.ending.explanation.as_ref().filter(|_| !has_words) {
        let id = item::id("msg", voice, output.len());
        output.push(item::message(
            &id,
            "completed",
            &[item::refusal(explanation)],
        ));
    }
    let status = if incomplete_reason(answer.ending.reason).is_some() {
        "incomplete"
    } else {
        "completed"
    };
    response(voice, status, &output, Some(&answer.ending))
}
