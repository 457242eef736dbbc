//! A Messages answer, read: events of a stream, or the whole.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    translate::{
        answer::{Citation, Ending, Event, Fault, Opaque, Opening, Reason},
        lenient,
        neutral::Call,
        reject::owned,
    },
    wire::usage::MessagesUsage,
};

/// Blocks that may be open at once; the protocol opens one.
const MOST_OPEN: usize = 256;
/// Bytes of a search's arguments.
const MOST_QUERY: usize = 64 << 10;

/// Reads a stream.
#[derive(Debug, Default)]
pub(in crate::translate) struct Reader {
    started: bool,
    done: bool,
    next: usize,
    blocks: Vec<Block>,
    usage: MessagesUsage,
    stop: Option<Stop>,
    has_calls: bool,
}

#[derive(Debug)]
struct Block {
    index: u64,
    kind: BlockKind,
}

#[derive(Debug)]
enum BlockKind {
    /// An item of the answer.
    Item(usize),
    /// A call, with the arguments it began with, for upstreams that stream none.
    Call {
        item: usize,
        whole: String,
        said: bool,
    },
    /// A search that the provider runs: its arguments so far.
    Search(String),
}

/// Why the answer ended, as the upstream words it.
#[derive(Debug, Default)]
struct Stop {
    reason: String,
    sequence: Option<String>,
    explanation: Option<String>,
}

/// An event that brings text and nothing else, as nearly all do. It is read without a tree of values.
#[derive(Deserialize)]
struct Plain<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(default)]
    index: u64,
    #[serde(borrow)]
    delta: PlainDelta<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainDelta<'a> {
    #[serde(rename = "type")]
    _kind: &'a str,
    text: String,
}

impl Reader {
    /// Takes the data of one event.
    pub(in crate::translate) fn read(&mut self, data: &[u8], out: &mut Vec<Event>) {
        if self.done {
            return;
        }
        if let Ok(plain) = serde_json::from_slice::<Plain<'_>>(data)
            && plain.kind == "content_block_delta"
        {
            self.more(plain.index, Some(plain.delta.text), out);
            return;
        }
        if let Some(event) = lenient::object(data) {
            self.take(&event, out);
        }
    }

    fn take(&mut self, event: &Map<String, Value>, out: &mut Vec<Event>) {
        let index = event.get("index").and_then(Value::as_u64).unwrap_or(0);
        match event.get("type").and_then(Value::as_str) {
            Some("message_start") => {
                let usage = event
                    .get("message")
                    .and_then(|message| message.get("usage"));
                self.report(usage);
                self.start(out);
            }
            Some("content_block_start") => {
                self.start(out);
                if let Some(block) = event.get("content_block").and_then(Value::as_object) {
                    self.open(index, block, out);
                }
            }
            Some("content_block_delta") => {
                if let Some(delta) = event.get("delta").and_then(Value::as_object) {
                    self.delta(index, delta, out);
                }
            }
            Some("content_block_stop") => self.close(index, out),
            Some("message_delta") => {
                self.report(event.get("usage"));
                if let Some(delta) = event.get("delta").and_then(Value::as_object) {
                    self.stopped(delta);
                }
            }
            Some("message_stop") => self.finish(out),
            Some("error") => {
                self.done = true;
                let error = event.get("error");
                out.push(Event::Fault(
                    error.map_or_else(Fault::truncated, Fault::read),
                ));
            }
            _ => {}
        }
    }

    /// The stream has ended. Where its proper end is missing, the answer was cut.
    pub(in crate::translate) fn end(&mut self, out: &mut Vec<Event>) {
        if self.done {
            return;
        }
        if self.stop.is_some() {
            self.finish(out);
        } else {
            self.done = true;
            out.push(Event::Fault(Fault::truncated()));
        }
    }

    fn report(&mut self, usage: Option<&Value>) {
        if let Some(usage) = usage.filter(|usage| usage.is_object()) {
            // What cannot be is the meter's to judge; here it is only not shown.
            self.usage.merge(usage).unwrap_or_default();
        }
    }

    fn stopped(&mut self, delta: &Map<String, Value>) {
        if let Some(reason) = owned(delta, "stop_reason") {
            let details = delta.get("stop_details").and_then(Value::as_object);
            self.stop = Some(Stop {
                reason,
                sequence: owned(delta, "stop_sequence"),
                explanation: details.and_then(|details| owned(details, "explanation")),
            });
        }
    }

    fn start(&mut self, out: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            out.push(Event::Start(self.usage.tokens()));
        }
    }

    fn fresh(&mut self, opening: Opening, out: &mut Vec<Event>) -> usize {
        let item = self.next;
        self.next += 1;
        out.push(Event::Open(item, opening));
        item
    }

    fn open(&mut self, index: u64, block: &Map<String, Value>, out: &mut Vec<Event>) {
        let text = |name: &str| owned(block, name).filter(|text| !text.is_empty());
        let kind = match block.get("type").and_then(Value::as_str) {
            Some("text") => {
                let item = self.fresh(Opening::Text, out);
                out.extend(text("text").map(|text| Event::Delta(item, text)));
                let citations = block.get("citations").and_then(Value::as_array);
                let found = citations.into_iter().flatten().filter_map(Citation::read);
                out.extend(found.map(|citation| Event::Cite(item, citation)));
                BlockKind::Item(item)
            }
            Some("thinking") => {
                let item = self.fresh(Opening::Thought, out);
                out.extend(text("thinking").map(|text| Event::Delta(item, text)));
                let signature = text("signature").map(Opaque::Signature);
                out.extend(signature.map(|opaque| Event::Opaque(item, opaque)));
                BlockKind::Item(item)
            }
            Some("redacted_thinking") => {
                let item = self.fresh(Opening::Thought, out);
                let data = text("data").map(Opaque::Redacted);
                out.extend(data.map(|opaque| Event::Opaque(item, opaque)));
                BlockKind::Item(item)
            }
            Some("tool_use") => {
                self.has_calls = true;
                let call = Call {
                    id: text("id").unwrap_or_default(),
                    name: text("name").unwrap_or_default(),
                    ..Call::default()
                };
                let whole = match block.get("input") {
                    Some(input @ Value::Object(map)) if !map.is_empty() => input.to_string(),
                    _ => "{}".to_owned(),
                };
                BlockKind::Call {
                    item: self.fresh(Opening::Call(call), out),
                    whole,
                    said: false,
                }
            }
            Some("server_tool_use") if text("name").is_some_and(|name| name == "web_search") => {
                let input = block.get("input").filter(|input| **input != json!({}));
                BlockKind::Search(input.map(Value::to_string).unwrap_or_default())
            }
            _ => return,
        };
        if self.blocks.len() < MOST_OPEN {
            self.blocks.push(Block { index, kind });
        }
    }

    fn delta(&mut self, index: u64, delta: &Map<String, Value>, out: &mut Vec<Event>) {
        let more = ["text", "thinking", "partial_json"]
            .iter()
            .find_map(|name| owned(delta, name));
        if let Some(item) = self.more(index, more, out) {
            let signature = owned(delta, "signature").filter(|text| !text.is_empty());
            out.extend(signature.map(|text| Event::Opaque(item, Opaque::Signature(text))));
            let citation = delta.get("citation").and_then(Citation::read);
            out.extend(citation.map(|citation| Event::Cite(item, citation)));
        }
    }

    /// More of a block; says which item of the answer it is, where it is one of its own.
    fn more(&mut self, index: u64, more: Option<String>, out: &mut Vec<Event>) -> Option<usize> {
        let block = self.blocks.iter_mut().find(|block| block.index == index)?;
        let more = more.filter(|more| !more.is_empty());
        match &mut block.kind {
            BlockKind::Item(item) => {
                out.extend(more.map(|more| Event::Delta(*item, more)));
                return Some(*item);
            }
            BlockKind::Call { item, said, .. } => {
                *said |= more.is_some();
                out.extend(more.map(|more| Event::Delta(*item, more)));
            }
            BlockKind::Search(args) => {
                let more = more.unwrap_or_default();
                if args.len() + more.len() <= MOST_QUERY {
                    args.push_str(&more);
                }
            }
        }
        None
    }

    fn close(&mut self, index: u64, out: &mut Vec<Event>) {
        let place = self.blocks.iter().position(|block| block.index == index);
        let Some(place) = place else { return };
        match self.blocks.remove(place).kind {
            BlockKind::Item(item) => out.push(Event::Close(item)),
            BlockKind::Call { item, whole, said } => {
                if !said {
                    out.push(Event::Delta(item, whole));
                }
                out.push(Event::Close(item));
            }
            BlockKind::Search(args) => {
                let args: Value = serde_json::from_str(&args).unwrap_or_default();
                let query = args.get("query").and_then(Value::as_str);
                out.push(Event::Search(query.unwrap_or_default().to_owned()));
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<Event>) {
        self.done = true;
        self.start(out);
        while let Some(block) = self.blocks.first() {
            self.close(block.index, out);
        }
        let stop = self.stop.take().unwrap_or_default();
        let reason = match stop.reason.as_str() {
            "max_tokens" | "model_context_window_exceeded" => Reason::Length,
            "tool_use" => Reason::Tools,
            "stop_sequence" => Reason::StopSequence,
            "refusal" => Reason::Refused,
            _ => Reason::End,
        };
        let ending = Ending {
            stop_sequence: stop.sequence,
            explanation: stop.explanation,
            ..Ending::new(reason, self.usage.tokens())
        };
        out.push(Event::End(ending.agreeing_with(self.has_calls)));
    }
}

/// Reads a whole answer. Nothing where it is none.
pub(in crate::translate) fn whole(body: &Map<String, Value>) -> Option<Vec<Event>> {
    if let Some(error) = body.get("error").filter(|error| !error.is_null()) {
        return Some(vec![Event::Fault(Fault::read(error))]);
    }
    let blocks = body.get("content")?.as_array()?;
    let mut reader = Reader::default();
    let mut out = Vec::new();
    reader.report(body.get("usage"));
    reader.start(&mut out);
    for (index, block) in (0..).zip(blocks) {
        if let Some(block) = block.as_object() {
            reader.open(index, block, &mut out);
            reader.close(index, &mut out);
        }
    }
    reader.stopped(body);
    reader.finish(&mut out);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_the_same_plainly_and_thoroughly() {
        let opening = br#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#;
        let plain = r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"a \"word\" "}}"#;
        // A field that nobody knows makes the reading thorough and says nothing.
        let thorough = plain.replace("\"text\":", "\"unknown\":1,\"text\":");
        let (mut one, mut other) = (Vec::new(), Vec::new());
        let (mut reader, mut second) = (Reader::default(), Reader::default());
        reader.read(opening, &mut one);
        second.read(opening, &mut other);
        reader.read(plain.as_bytes(), &mut one);
        second.read(thorough.as_bytes(), &mut other);

        assert!(serde_json::from_str::<Plain<'_>>(plain).is_ok());
        assert!(serde_json::from_str::<Plain<'_>>(&thorough).is_err());
        assert_eq!(one, other);
        assert!(matches!(one.last(), Some(Event::Delta(_, text)) if text == "a \"word\" "));
    }
}
