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
    /// All that was thought, for its carrier.
    thought: String,
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
                    thought: String::new(),
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
                    block.ended = true;
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
            let carrier = self
                .voice
                .carriers
                .seal(&block.thought, block.opaque.as_ref());
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

    fn delta<'a>(&mut self, text: &'a str) -> More<'a> {
        match self.opening {
            Opening::Thought => {
                self.thought.push_str(text);
                More::Thought { thinking: text }
            }
            Opening::Text | Opening::Refusal | Opening::Compaction => More::Text { text },
            Opening::Call(_) => More::Arguments { partial_json: text },
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
                content.push(tool_use(call));
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

/// Arguments that are no object are handed over as they are.
fn tool_use(call: &Call) -> Value {
    let input = match lenient::object(call.args.as_bytes()) {
        Some(args) => args.into(),
        None if call.args.trim().is_empty() => json!({}),
        None => json!({"_raw": call.args}),
    };
    json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
}
