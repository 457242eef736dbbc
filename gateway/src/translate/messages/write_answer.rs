//! A Messages answer, written for a caller: events of a stream, or the whole.

use std::collections::VecDeque;

use billing::rating::Tokens;
use serde::Serialize;
use serde_json::{Value, json};

use crate::translate::{
    answer::{Answer, Ending, Event, Item, Opaque, Opening, Reason},
    fault, lenient,
    neutral::Call,
    usage,
    voice::{Voice, event, stop_reason},
};

/// Writes a stream: one block at a time. What comes while another block is open waits for its end.
#[derive(Debug)]
pub(in crate::translate) struct Writer {
    voice: Voice,
    started: bool,
    index: usize,
    /// The first is open, the others wait.
    blocks: VecDeque<Block>,
    said: Said,
}

/// What the answer holds so far.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    anything: bool,
    refusals: bool,
    others: bool,
}

#[derive(Debug)]
struct Block {
    key: usize,
    opening: Opening,
    /// What was said but not yet sent.
    waiting: String,
    /// All that was sent of a thought, for its carrier, or of a call's arguments, to see whether they are whole.
    sent: String,
    opaque: Option<Opaque>,
    started: bool,
    ended: bool,
}

impl Writer {
    pub(in crate::translate) fn new(voice: Voice) -> Self {
        Self {
            voice,
            started: false,
            index: 0,
            blocks: VecDeque::new(),
            said: Said::default(),
        }
    }

    /// Appends what the event is in this protocol.
    pub(in crate::translate) fn write(&mut self, step: Event, out: &mut Vec<u8>) {
        match step {
            Event::Start(usage) => self.start(usage, out),
            Event::Fault(failed) => {
                self.break_off(out);
                send("error", json!({"error": fault::anthropic(&failed)}), out);
            }
            Event::Open(_, Opening::Thought) if self.voice.hides_thoughts => {}
            Event::Open(key, opening) => {
                self.blocks.push_back(Block {
                    key,
                    opening,
                    waiting: String::new(),
                    sent: String::new(),
                    opaque: None,
                    started: false,
                    ended: false,
                });
                self.go_on(out);
            }
            Event::Delta(key, text) => {
                if let Some(block) = self.block(key) {
                    block.waiting.push_str(&text);
                    self.go_on(out);
                }
            }
            Event::Opaque(key, opaque) => {
                if let Some(block) = self.block(key) {
                    block.opaque = Some(opaque);
                }
            }
            Event::Close(key) => {
                if let Some(block) = self.block(key) {
                    // Whether it may be closed is known when the answer ends.
                    block.ended = block.closing().is_none();
                    self.go_on(out);
                }
            }
            Event::Cite(..) | Event::Likely(..) | Event::Search(_) => {}
            Event::End(ending) => self.end(&ending, out),
        }
    }

    fn block(&mut self, key: usize) -> Option<&mut Block> {
        self.blocks.iter_mut().find(|block| block.key == key)
    }

    fn start(&mut self, usage: Option<Tokens>, out: &mut Vec<u8>) {
        if self.started {
            return;
        }
        self.started = true;
        let tokens = usage.unwrap_or(Tokens {
            input: self.voice.input_estimate.max(1),
            output: 1,
            ..Tokens::default()
        });
        let mut message = head(&self.voice);
        message["content"] = json!([]);
        message["stop_reason"] = Value::Null;
        message["stop_sequence"] = Value::Null;
        message["usage"] = usage::messages(&tokens);
        send("message_start", json!({"message": message}), out);
        send("ping", json!({}), out);
    }

    /// Sends what the open block has to say, and opens the next where it has ended.
    fn go_on(&mut self, out: &mut Vec<u8>) {
        while let Some(block) = self.blocks.front_mut() {
            let is_call = matches!(block.opening, Opening::Call(_));
            let has_more = !block.waiting.is_empty() || (block.ended && block.opaque.is_some());
            if !block.started && (is_call || has_more) {
                block.started = true;
                self.said.anything = true;
                match block.opening {
                    Opening::Refusal => self.said.refusals = true,
                    Opening::Text | Opening::Compaction | Opening::Call(_) => {
                        self.said.others = true;
                    }
                    Opening::Thought => {}
                }
                let opener = block.opener();
                send(
                    "content_block_start",
                    json!({"index": self.index, "content_block": opener}),
                    out,
                );
            }
            if !block.waiting.is_empty() {
                let text = std::mem::take(&mut block.waiting);
                let step = Step {
                    kind: DELTA,
                    index: self.index,
                    delta: block.delta(&text),
                };
                event(out, Some(DELTA), &step);
            }
            if !block.ended {
                return;
            }
            let Some(block) = self.blocks.pop_front() else {
                return;
            };
            if block.started {
                self.stop(&block, out);
            }
        }
    }

    fn stop(&mut self, block: &Block, out: &mut Vec<u8>) {
        if block.opening == Opening::Thought {
            let carrier = self.voice.carriers.seal(&block.sent, block.opaque.as_ref());
            let delta = json!({"type": "signature_delta", "signature": carrier});
            send(
                "content_block_delta",
                json!({"index": self.index, "delta": delta}),
                out,
            );
        }
        send("content_block_stop", json!({"index": self.index}), out);
        self.index += 1;
    }

    fn end(&mut self, ending: &Ending, out: &mut Vec<u8>) {
        self.start(None, out);
        for block in &mut self.blocks {
            if may_close(ending.reason)
                && let Some(closing) = block.closing()
            {
                block.waiting.push_str(&closing);
            }
            block.ended = true;
        }
        self.go_on(out);
        if !self.said.anything {
            // A turn without content is refused when it comes back.
            let key = usize::MAX;
            self.write(Event::Open(key, Opening::Text), out);
            if let Some(block) = self.block(key) {
                block.started = true;
                let opener = block.opener();
                send(
                    "content_block_start",
                    json!({"index": self.index, "content_block": opener}),
                    out,
                );
            }
            self.write(Event::Close(key), out);
        }
        let only_refused = self.said.refusals && !self.said.others;
        let (reason, sequence) = stop(ending, only_refused);
        let tokens = ending.usage.unwrap_or(Tokens {
            input: self.voice.input_estimate,
            ..Tokens::default()
        });
        send(
            "message_delta",
            json!({"delta": {"stop_reason": reason, "stop_sequence": sequence},
                   "usage": usage::messages(&tokens)}),
            out,
        );
        send("message_stop", json!({}), out);
    }

    /// Ends the open block as it is.
    fn break_off(&mut self, out: &mut Vec<u8>) {
        if self.blocks.front().is_some_and(|block| block.started) {
            send("content_block_stop", json!({"index": self.index}), out);
        }
        self.blocks.clear();
    }
}

impl Block {
    fn opener(&self) -> Value {
        match &self.opening {
            Opening::Thought => json!({"type": "thinking", "thinking": "", "signature": ""}),
            Opening::Text | Opening::Refusal | Opening::Compaction => {
                json!({"type": "text", "text": ""})
            }
            Opening::Call(call) => {
                json!({"type": "tool_use", "id": call.id, "name": call.name, "input": {}})
            }
        }
    }

    /// What the arguments of a call lack to be whole, if it is no more than brackets.
    fn closing(&self) -> Option<String> {
        match self.opening {
            Opening::Call(_) => lenient::closing(&format!("{}{}", self.sent, self.waiting)),
            _ => None,
        }
    }

    fn delta<'a>(&mut self, text: &'a str) -> More<'a> {
        match self.opening {
            Opening::Thought => {
                self.sent.push_str(text);
                More::Thought { thinking: text }
            }
            Opening::Text | Opening::Refusal | Opening::Compaction => More::Text { text },
            Opening::Call(_) => {
                self.sent.push_str(text);
                More::Arguments { partial_json: text }
            }
        }
    }
}

const DELTA: &str = "content_block_delta";

/// The event of which there is one for each word, written without a tree of values.
#[derive(Serialize)]
struct Step<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    index: usize,
    delta: More<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum More<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thought { thinking: &'a str },
    #[serde(rename = "input_json_delta")]
    Arguments { partial_json: &'a str },
}

fn send(kind: &str, fields: Value, out: &mut Vec<u8>) {
    let mut body = json!({"type": kind});
    if let (Some(body), Value::Object(fields)) = (body.as_object_mut(), fields) {
        body.extend(fields);
    }
    event(out, Some(kind), &body);
}

fn head(voice: &Voice) -> Value {
    json!({"id": format!("msg_{}", voice.id), "type": "message", "role": "assistant",
           "model": voice.model})
}

fn stop(ending: &Ending, only_refused: bool) -> (&'static str, Option<&str>) {
    let reason = if only_refused && ending.reason == Reason::End {
        Reason::Refused
    } else {
        ending.reason
    };
    (stop_reason(reason), ending.stop_sequence.as_deref())
}

/// Writes a whole answer.
pub(in crate::translate) fn answer(answer: &Answer, voice: &Voice) -> Value {
    let mut content = Vec::new();
    let (mut refused, mut others) = (false, false);
    for item in &answer.items {
        match item {
            Item::Thought { text, opaque } => {
                let empty = text.is_empty() && opaque.is_none();
                if !voice.hides_thoughts && !empty {
                    let carrier = voice.carriers.seal(text, opaque.as_ref());
                    content
                        .push(json!({"type": "thinking", "thinking": text, "signature": carrier}));
                }
            }
            Item::Text { text, .. } if !text.is_empty() => {
                others = true;
                content.push(json!({"type": "text", "text": text}));
            }
            Item::Refusal(text) if !text.is_empty() => {
                refused = true;
                content.push(json!({"type": "text", "text": text}));
            }
            Item::Call(call) => {
                others = true;
                content.push(tool_use(call, answer.ending.reason));
            }
            Item::Text { .. } | Item::Refusal(_) | Item::Search(_) | Item::Compaction(_) => {}
        }
    }
    if content.is_empty() {
        content.push(json!({"type": "text", "text": ""}));
    }
    let (reason, sequence) = stop(&answer.ending, refused && !others);
    let mut body = head(voice);
    body["content"] = content.into();
    body["stop_reason"] = reason.into();
    body["stop_sequence"] = sequence.into();
    body["usage"] = usage::messages(&answer.ending.usage.unwrap_or_default());
    body
}

/// Whether arguments may be closed that lack their last brackets. Of an answer that was cut off nobody knows what else
/// they lack, and half a call must not be run.
fn may_close(reason: Reason) -> bool {
    matches!(reason, Reason::End | Reason::StopSequence | Reason::Tools)
}

/// Arguments that are no object, and do not become one, are handed over as they are.
fn tool_use(call: &Call, reason: Reason) -> Value {
    let args = &call.args;
    let closed = || {
        let closing = lenient::closing(args).filter(|_| may_close(reason))?;
        lenient::object(format!("{args}{closing}").as_bytes())
    };
    let input = match lenient::object(args.as_bytes()).or_else(closed) {
        Some(args) => args.into(),
        None if args.trim().is_empty() => json!({}),
        None => json!({"_raw": args}),
    };
    json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::Protocol::{Chat, Messages};

    use crate::translate::golden::{translated_stream, translation};

    /// The arguments of the only call, as the pieces of a stream add up to them.
    fn streamed(args: &str, finish: &str) -> String {
        let call = |name: Value, args: &str| {
            json!({"choices": [{"delta": {"tool_calls": [
                {"index": 0, "id": "a", "function": {"name": name, "arguments": args}}]}}]})
        };
        let end = json!({"choices": [{"delta": {}, "finish_reason": finish}]});
        let (head, tail) = args.split_at(args.len() / 2);
        let steps = [call("f".into(), head), call(Value::Null, tail), end];
        let mut data: Vec<Vec<u8>> = steps.map(|step| step.to_string().into()).to_vec();
        data.push(b"[DONE]".to_vec());
        let out = translated_stream(Messages, Chat, &data);
        let text = String::from_utf8(out).expect("text");
        let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let events = events.map(|data| serde_json::from_str::<Value>(data).expect("JSON"));
        let events: Vec<Value> = events.collect();
        let stops = events
            .iter()
            .filter(|event| event["type"] == "content_block_stop");
        assert_eq!(stops.count(), 1, "{text}");
        events
            .iter()
            .filter_map(|event| event["delta"]["partial_json"].as_str())
            .collect()
    }

    fn whole(args: &str, finish: &str) -> Value {
        let call =
            json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": args}});
        let body =
            json!({"choices": [{"message": {"tool_calls": [call]}, "finish_reason": finish}]});
        let answer = translation(Messages, Chat).whole(body.to_string().as_bytes());
        let (body, _) = answer.expect("an answer").expect("a good one");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        body["content"][0]["input"].clone()
    }

    #[test]
    fn arguments_are_closed_unless_the_answer_was_cut_off() {
        let (open, cut, good) = (r#"{"a":{"b":[1"#, r#"{"a":"x"#, r#"{"a":1}"#);
        let closed = json!({"a": {"b": [1]}});
        let table = [
            (open, "tool_calls", closed.clone()),
            (open, "stop", closed),
            (open, "length", Value::Null),
            (open, "content_filter", Value::Null),
            (cut, "tool_calls", Value::Null),
            (good, "tool_calls", json!({"a": 1})),
        ];

        for (args, finish, expected) in table {
            let (pieces, document) = (streamed(args, finish), whole(args, finish));
            if expected.is_null() {
                assert_eq!(pieces, args, "{finish}");
                assert_eq!(document, json!({"_raw": args}), "{finish}");
            } else {
                let pieces: Value = serde_json::from_str(&pieces).expect("JSON");
                assert_eq!((&pieces, &document), (&expected, &expected), "{finish}");
            }
        }
    }

    #[test]
    fn what_follows_a_call_that_is_to_be_closed_comes_after_it() {
        let call = |index: u64, args: &str| {
            json!({"choices": [{"delta": {"tool_calls": [{"index": index, "id": index.to_string(),
                "function": {"name": "f", "arguments": args}}]}}]})
        };
        let end = json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]});
        let steps = [call(0, r#"{"a":[1"#), call(1, r#"{"b":2}"#), end];
        let mut data: Vec<Vec<u8>> = steps.map(|step| step.to_string().into()).to_vec();
        data.push(b"[DONE]".to_vec());

        let out = translated_stream(Messages, Chat, &data);

        let text = String::from_utf8(out).expect("text");
        let pieces: Vec<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str::<Value>(data).expect("JSON"))
            .filter_map(|event| {
                let piece = event["delta"]["partial_json"].as_str()?;
                Some(format!("{} {piece}", event["index"]))
            })
            .collect();
        assert_eq!(pieces, [r#"0 {"a":[1"#, "0 ]}", r#"1 {"b":2}"#], "{text}");
    }
}
