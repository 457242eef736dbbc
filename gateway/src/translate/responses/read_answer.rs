//! A Responses answer, read: events of a stream, or the whole.

use serde_json::{Map, Value};

use super::place::Places;
use crate::{
    translate::{
        answer::{Citation, Ending, Event, Fault, Opaque, Opening, Reason},
        lenient,
        logprob::{self, Likely},
        neutral::{Call, Kind},
        reject::owned,
    },
    wire::usage,
};

/// Reads a stream.
#[derive(Debug, Default)]
pub(in crate::translate) struct Reader {
    started: bool,
    done: bool,
    next: usize,
    slots: Vec<Slot>,
    /// Items of the output that were seen to their end.
    seen: Vec<u64>,
    places: Places,
    summary: Summary,
}

/// What the answer holds, for its ending.
#[derive(Clone, Copy, Debug, Default)]
struct Summary {
    calls: bool,
    texts: bool,
    refusals: bool,
}

/// A piece of the output that is open.
#[derive(Debug)]
struct Slot {
    output: u64,
    /// Place within a message; 0 for other items.
    content: u64,
    item: usize,
    said: bool,
    /// It was told how likely its tokens were.
    likely: bool,
    /// Part of a reasoning summary that spoke last.
    part: Option<u64>,
}

impl Slot {
    fn tell(&mut self, likely: Vec<Likely>, out: &mut Vec<Event>) {
        if !likely.is_empty() {
            self.likely = true;
            out.push(Event::Likely(self.item, likely));
        }
    }
}

impl Reader {
    /// Takes the data of one event.
    pub(in crate::translate) fn read(&mut self, data: &[u8], out: &mut Vec<Event>) {
        if self.done {
            return;
        }
        let Some(event) = lenient::object(data) else {
            return;
        };
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        let kind = text("type");
        let output = self.places.of(&event, kind == "response.output_item.added");
        let content = event
            .get("content_index")
            .and_then(Value::as_u64)
            .unwrap_or(0);
        match kind {
            "error" => self.fail(Fault::read(&Value::Object(event)), out),
            "response.failed" => {
                let error = event
                    .get("response")
                    .and_then(|response| response.get("error"));
                let fault = error.map_or_else(Fault::truncated, Fault::read);
                self.fail(fault, out);
            }
            "response.created" => self.start(out),
            "response.output_item.added" => {
                self.start(out);
                if let Some(item) = event.get("item").and_then(Value::as_object) {
                    self.added(item, output, out);
                }
            }
            "response.content_part.added" => {
                let part = event.get("part").and_then(|part| part.get("type"));
                match part.and_then(Value::as_str) {
                    Some("output_text") => self.slot(output, content, Opening::Text, out),
                    Some("refusal") => self.slot(output, content, Opening::Refusal, out),
                    _ => return,
                };
            }
            "response.output_text.delta" => {
                let likely = logprob::read(event.get("logprobs"));
                if let Some(slot) = self.slot(output, content, Opening::Text, out) {
                    slot.tell(likely, out);
                }
                self.say(output, content, Opening::Text, text("delta"), out);
            }
            "response.output_text.done" => {
                let likely = logprob::read(event.get("logprobs"));
                if let Some(slot) = self.find(output, content).filter(|slot| !slot.likely) {
                    slot.tell(likely, out);
                }
            }
            "response.refusal.delta" => {
                self.say(output, content, Opening::Refusal, text("delta"), out);
            }
            "response.output_text.annotation.added" => {
                let found = event.get("annotation").and_then(Citation::read);
                if let (Some(slot), Some(found)) = (self.find(output, content), found) {
                    out.push(Event::Cite(slot.item, found));
                }
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                let part = event
                    .get("summary_index")
                    .or_else(|| event.get("content_index"));
                let part = part.and_then(Value::as_u64).unwrap_or(0);
                self.think(output, part, text("delta"), out);
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                if let Some(slot) = self.find(output, 0) {
                    slot.said = true;
                    out.push(Event::Delta(slot.item, text("delta").to_owned()));
                }
            }
            "response.function_call_arguments.done" | "response.custom_tool_call_input.done" => {
                let whole = owned(&event, "arguments").or_else(|| owned(&event, "input"));
                if let Some(slot) = self.find(output, 0).filter(|slot| !slot.said)
                    && let Some(whole) = whole.filter(|whole| !whole.is_empty())
                {
                    slot.said = true;
                    out.push(Event::Delta(slot.item, whole));
                }
            }
            "response.output_item.done" => {
                if let Some(item) = event.get("item").and_then(Value::as_object) {
                    self.complete(item, output, out);
                }
            }
            "response.completed" | "response.incomplete" => {
                if let Some(response) = event.get("response").and_then(Value::as_object) {
                    self.finish(response, out);
                }
            }
            _ => {}
        }
    }

    /// The stream has ended. Where its proper end is missing, the answer was cut.
    pub(in crate::translate) fn end(&mut self, out: &mut Vec<Event>) {
        if !self.done {
            self.fail(Fault::truncated(), out);
        }
    }

    fn fail(&mut self, fault: Fault, out: &mut Vec<Event>) {
        self.done = true;
        out.push(Event::Fault(fault));
    }

    fn start(&mut self, out: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            out.push(Event::Start(None));
        }
    }

    fn find(&mut self, output: u64, content: u64) -> Option<&mut Slot> {
        self.slots
            .iter_mut()
            .find(|slot| slot.output == output && slot.content == content)
    }

    /// The slot at a place, opened if it is not.
    fn slot(
        &mut self,
        output: u64,
        content: u64,
        opening: Opening,
        out: &mut Vec<Event>,
    ) -> Option<&mut Slot> {
        self.start(out);
        let known = self
            .slots
            .iter()
            .position(|slot| slot.output == output && slot.content == content);
        let place = if let Some(place) = known {
            place
        } else {
            match &opening {
                Opening::Text => self.summary.texts = true,
                Opening::Refusal => self.summary.refusals = true,
                Opening::Call(_) => self.summary.calls = true,
                Opening::Thought | Opening::Compaction => {}
            }
            let item = self.next;
            self.next += 1;
            self.slots.push(Slot {
                output,
                content,
                item,
                said: false,
                likely: false,
                part: None,
            });
            out.push(Event::Open(item, opening));
            self.slots.len() - 1
        };
        self.slots.get_mut(place)
    }

    fn say(
        &mut self,
        output: u64,
        content: u64,
        opening: Opening,
        text: &str,
        out: &mut Vec<Event>,
    ) {
        if let Some(slot) = self.slot(output, content, opening, out)
            && !text.is_empty()
        {
            slot.said = true;
            out.push(Event::Delta(slot.item, text.to_owned()));
        }
    }

    /// Parts of a summary are paragraphs.
    fn think(&mut self, output: u64, part: u64, text: &str, out: &mut Vec<Event>) {
        let Some(slot) = self.slot(output, 0, Opening::Thought, out) else {
            return;
        };
        let parted = slot.said && slot.part != Some(part);
        slot.part = Some(part);
        slot.said = true;
        let text = if parted {
            format!("\n\n{text}")
        } else {
            text.to_owned()
        };
        out.push(Event::Delta(slot.item, text));
    }

    fn added(&mut self, item: &Map<String, Value>, output: u64, out: &mut Vec<Event>) {
        match item.get("type").and_then(Value::as_str) {
            Some("reasoning") => {
                self.slot(output, 0, Opening::Thought, out);
            }
            Some("function_call" | "custom_tool_call") => {
                let opening = Opening::Call(call(item));
                self.slot(output, 0, opening, out);
            }
            _ => {}
        }
    }

    /// An item as it ended up: what was never streamed of it is said now.
    fn complete(&mut self, item: &Map<String, Value>, output: u64, out: &mut Vec<Event>) {
        if self.seen.contains(&output) {
            return;
        }
        self.seen.push(output);
        match item.get("type").and_then(Value::as_str) {
            Some("message") => {
                let parts = item.get("content").and_then(Value::as_array);
                for (content, part) in (0..).zip(parts.into_iter().flatten()) {
                    self.complete_part(part, output, content, out);
                }
            }
            Some("reasoning") => self.complete_thought(item, output, out),
            Some("function_call" | "custom_tool_call") => {
                let opened = Opening::Call(call(item));
                let args = owned(item, "arguments").or_else(|| owned(item, "input"));
                if let Some(slot) = self.slot(output, 0, opened, out)
                    && !slot.said
                {
                    let whole = args.unwrap_or_default();
                    let custom = item
                        .get("type")
                        .is_some_and(|kind| kind == "custom_tool_call");
                    let whole = if whole.is_empty() && !custom {
                        "{}".to_owned()
                    } else {
                        whole
                    };
                    slot.said = true;
                    out.push(Event::Delta(slot.item, whole));
                }
            }
            Some("web_search_call") => {
                let query = item
                    .get("action")
                    .and_then(|action| action.get("query")?.as_str());
                out.push(Event::Search(query.unwrap_or_default().to_owned()));
            }
            _ => {}
        }
        for slot in &self.slots {
            if slot.output == output {
                out.push(Event::Close(slot.item));
            }
        }
        self.slots.retain(|slot| slot.output != output);
    }

    fn complete_part(&mut self, part: &Value, output: u64, content: u64, out: &mut Vec<Event>) {
        let text = |name: &str| part.get(name).and_then(Value::as_str).unwrap_or_default();
        let (opening, whole) = match text("type") {
            "output_text" => (Opening::Text, text("text")),
            "refusal" => (Opening::Refusal, text("refusal")),
            _ => return,
        };
        let known = self.find(output, content).is_some();
        let Some(slot) = self.slot(output, content, opening, out) else {
            return;
        };
        if !slot.likely {
            slot.tell(logprob::read(part.get("logprobs")), out);
        }
        if !slot.said && !whole.is_empty() {
            slot.said = true;
            out.push(Event::Delta(slot.item, whole.to_owned()));
        }
        if !known {
            let annotations = part.get("annotations").and_then(Value::as_array);
            let found = annotations.into_iter().flatten().filter_map(Citation::read);
            out.extend(found.map(|citation| Event::Cite(slot.item, citation)));
        }
    }

    fn complete_thought(&mut self, item: &Map<String, Value>, output: u64, out: &mut Vec<Event>) {
        let texts = |name: &str| -> Vec<&str> {
            let parts = item.get(name).and_then(Value::as_array);
            let texts = parts.into_iter().flatten();
            texts
                .filter_map(|part| part.get("text")?.as_str())
                .collect()
        };
        let Some(slot) = self.slot(output, 0, Opening::Thought, out) else {
            return;
        };
        if !slot.said {
            let mut said = texts("summary");
            if said.is_empty() {
                said = texts("content");
            }
            if !said.is_empty() {
                slot.said = true;
                out.push(Event::Delta(slot.item, said.join("\n\n")));
            }
        }
        if let Some(content) = owned(item, "encrypted_content").filter(|text| !text.is_empty()) {
            out.push(Event::Opaque(slot.item, Opaque::Encrypted(content)));
        }
    }

    fn finish(&mut self, response: &Map<String, Value>, out: &mut Vec<Event>) {
        self.start(out);
        let items = response.get("output").and_then(Value::as_array);
        for (output, item) in (0..).zip(items.into_iter().flatten()) {
            if let Some(item) = item.as_object() {
                let output = self.places.of_whole(item, output);
                self.complete(item, output, out);
            }
        }
        for slot in std::mem::take(&mut self.slots) {
            out.push(Event::Close(slot.item));
        }
        self.done = true;
        out.push(Event::End(ending(response, self.summary)));
    }
}

fn call(item: &Map<String, Value>) -> Call {
    let custom = item
        .get("type")
        .is_some_and(|kind| kind == "custom_tool_call");
    Call {
        id: owned(item, "call_id").unwrap_or_default(),
        namespace: owned(item, "namespace"),
        name: owned(item, "name").unwrap_or_default(),
        kind: if custom { Kind::Custom } else { Kind::Function },
        args: String::new(),
    }
}

fn ending(response: &Map<String, Value>, held: Summary) -> Ending {
    let usage = response
        .get("usage")
        .and_then(|reported| usage::openai(reported).ok().flatten());
    let why = response
        .get("incomplete_details")
        .and_then(|details| details.get("reason"))
        .and_then(Value::as_str);
    let incomplete = response
        .get("status")
        .is_some_and(|status| status == "incomplete");
    let reason = match why {
        Some("max_output_tokens" | "max_messages") if incomplete => Reason::Length,
        Some("content_filter") if incomplete => Reason::Filtered,
        _ if held.refusals && !held.texts && !held.calls => Reason::Refused,
        _ => Reason::End,
    };
    Ending::new(reason, usage).agreeing_with(held.calls)
}

/// Reads a whole answer. Nothing where it is none.
pub(in crate::translate) fn whole(body: &Map<String, Value>) -> Option<Vec<Event>> {
    if let Some(error) = body.get("error").filter(|error| !error.is_null()) {
        return Some(vec![Event::Fault(Fault::read(error))]);
    }
    body.get("output")?.as_array()?;
    let mut out = Vec::new();
    Reader::default().finish(body, &mut out);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::answer::{Collector, Item};
    use serde_json::json;

    /// Two items side by side, and the whole in the end; `spoil` takes from each event what an upstream leaves out.
    fn read(spoil: impl Fn(&mut Map<String, Value>)) -> Vec<Item> {
        let text = |said: &str| json!({"type": "output_text", "text": said});
        let message = |said: &[Value]| json!({"type": "message", "id": "m", "content": said});
        let call = |args: &str| json!({"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": args});
        let events = [
            json!({"type": "response.created", "response": {}}),
            json!({"type": "response.output_item.added", "output_index": 0, "item": message(&[])}),
            json!({"type": "response.output_item.added", "output_index": 1, "item": call("")}),
            json!({"type": "response.output_text.delta", "output_index": 0, "item_id": "m", "delta": "hi"}),
            json!({"type": "response.function_call_arguments.delta", "output_index": 1, "item_id": "fc", "delta": "{\"x\""}),
            json!({"type": "response.output_text.delta", "output_index": 0, "item_id": "m", "delta": " you"}),
            json!({"type": "response.function_call_arguments.delta", "output_index": 1, "item_id": "fc", "delta": ":1}"}),
            json!({"type": "response.output_item.done", "output_index": 0, "item": message(&[text("hi you")])}),
            json!({"type": "response.output_item.done", "output_index": 1, "item": call("{\"x\":1}")}),
            json!({"type": "response.completed", "response": {"status": "completed", "output": [
                {"type": "file_search_call", "id": "fs"}, message(&[text("hi you")]), call("{\"x\":1}"),
                {"type": "function_call", "id": "fc2", "call_id": "c2", "name": "g", "arguments": "{}"}]}}),
        ];
        let mut reader = Reader::default();
        let mut out = Vec::new();
        for mut event in events {
            spoil(event.as_object_mut().expect("an event"));
            reader.read(event.to_string().as_bytes(), &mut out);
        }
        let mut all = Collector::default();
        for event in out {
            all.add(event);
        }
        all.finish().expect("ended").expect("well").items
    }

    #[test]
    fn items_are_kept_apart_by_id_where_their_numbers_are_missing_or_the_same() {
        let call = |id: &str, name: &str, args: &str| {
            Item::Call(Call {
                id: id.to_owned(),
                name: name.to_owned(),
                args: args.to_owned(),
                ..Call::default()
            })
        };
        let expected = vec![
            Item::Text {
                text: "hi you".to_owned(),
                citations: Vec::new(),
                likely: Vec::new(),
            },
            call("c", "f", "{\"x\":1}"),
            call("c2", "g", "{}"),
        ];

        let unnumbered = read(|event| {
            event.shift_remove("output_index");
        });
        let all_the_same = read(|event| {
            if event.contains_key("output_index") {
                event.insert("output_index".to_owned(), 0.into());
            }
        });

        // In the order in which they open.
        let sorted = |mut items: Vec<Item>| {
            items.sort_by_key(|item| !matches!(item, Item::Text { .. }));
            items
        };
        assert_eq!(sorted(unnumbered), expected);
        assert_eq!(sorted(all_the_same), expected);
    }

    #[test]
    fn arguments_that_come_only_at_their_end_are_not_lost() {
        let events = [
            json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "function_call", "id": "fc", "call_id": "c", "name": "f"}}),
            json!({"type": "response.function_call_arguments.done", "output_index": 0, "item_id": "fc", "arguments": "{\"x\":1}"}),
            json!({"type": "response.completed", "response": {"status": "completed", "output": []}}),
        ];
        let mut reader = Reader::default();
        let mut out = Vec::new();
        for event in events {
            reader.read(event.to_string().as_bytes(), &mut out);
        }

        let said: Vec<&Event> = out
            .iter()
            .filter(|event| matches!(event, Event::Delta(..)))
            .collect();
        assert_eq!(said, [&Event::Delta(0, "{\"x\":1}".to_owned())]);
    }

    #[test]
    fn an_item_that_nothing_names_is_the_one_announced_last() {
        let events = [
            json!({"type": "response.output_item.added", "item": {"type": "message"}}),
            json!({"type": "response.output_text.delta", "delta": "hi"}),
            json!({"type": "response.output_item.done", "item": {"type": "message", "content": [{"type": "output_text", "text": "hi"}]}}),
            json!({"type": "response.output_item.added", "item": {"type": "function_call", "call_id": "c", "name": "f"}}),
            json!({"type": "response.function_call_arguments.delta", "delta": "{}"}),
            json!({"type": "response.completed", "response": {"status": "completed", "output": []}}),
        ];
        let mut reader = Reader::default();
        let mut out = Vec::new();
        for event in events {
            reader.read(event.to_string().as_bytes(), &mut out);
        }
        let mut all = Collector::default();
        for event in out {
            all.add(event);
        }
        let items = all.finish().expect("ended").expect("well").items;

        assert!(
            matches!(items.as_slice(), [Item::Text { text, .. }, Item::Call(call)] if text == "hi" && call.args == "{}"),
            "{items:?}"
        );
    }
}
