//! Between reader and writer: tools get back the names and forms they were declared with, and a caller's stop texts
//! end the answer where the upstream does not know them.

use std::collections::VecDeque;

use serde_json::Value;

use super::{
    answer::{Event, Opening, Reason},
    compact::Summary,
    lenient,
    logprob::Likely,
    names::{Names, call_id},
    neutral::Kind,
};

/// Puts the events of one answer right.
#[derive(Debug)]
pub(super) struct Filter {
    names: Names,
    /// Calls whose arguments are unwrapped when they are complete.
    wrapped: Vec<Wrapped>,
    answers: Answers,
    /// Ids of calls; no two have one.
    ids: Vec<String>,
    stop: Option<StopTexts>,
    summary: Option<Summary>,
}

/// What came of the tool whose input is the answer.
#[derive(Debug, Default)]
struct Answers {
    /// The answer was given. There is one only.
    given: bool,
    /// Further ones, which nobody asked for.
    idle: Vec<usize>,
    /// Other tools were called.
    calls: bool,
    /// Words beside it, by their items: they are told at the end, and only where no answer was given.
    words: Vec<usize>,
    aside: Vec<Event>,
    weight: usize,
}

/// Bytes of words that wait for the answer to come after all.
const MOST_ASIDE: usize = 1 << 20;

#[derive(Debug)]
struct Wrapped {
    item: usize,
    field: &'static str,
    args: String,
}

impl Filter {
    /// A filter for an answer; `stop` where the upstream was not told to stop at these; `summarises` where all that is
    /// wanted of it is a summary.
    pub(super) fn new(names: Names, stop: &[String], summarises: bool) -> Self {
        let texts: Vec<String> = stop
            .iter()
            .filter(|text| !text.is_empty())
            .cloned()
            .collect();
        Self {
            names,
            wrapped: Vec::new(),
            answers: Answers::default(),
            ids: Vec::new(),
            summary: summarises.then(Summary::default),
            stop: (!texts.is_empty()).then(|| StopTexts {
                texts,
                held: String::new(),
                likely: VecDeque::new(),
                told: 0,
                item: None,
                hit: None,
            }),
        }
    }

    /// Passes one event on as what the caller may see of it.
    pub(super) fn pass(&mut self, event: Event, out: &mut Vec<Event>) {
        if let Some(summary) = &mut self.summary {
            summary.pass(event, out);
            return;
        }
        match self.stop.as_mut() {
            Some(stop) => {
                let mut passed = Vec::new();
                stop.pass(event, &mut passed);
                for event in passed {
                    self.restore(event, out);
                }
            }
            None => self.restore(event, out),
        }
    }

    fn restore(&mut self, event: Event, out: &mut Vec<Event>) {
        let Some(event) = self.not_aside(event, out) else {
            return;
        };
        match event {
            Event::Open(item, Opening::Call(call)) if self.is_answer(&call.name) => {
                self.answer(item, out);
            }
            Event::Delta(item, _) | Event::Close(item) if self.answers.idle.contains(&item) => {}
            Event::End(mut ending) if self.answers.given && !self.answers.calls => {
                if ending.reason == Reason::Tools {
                    ending.reason = Reason::End;
                }
                out.push(Event::End(ending));
            }
            Event::Open(item, Opening::Call(mut call)) => {
                self.answers.calls = true;
                let mut field = None;
                if let Some(declared) = self.names.declared(&call.name) {
                    // An upstream that knows custom tools says so itself, and its input is not wrapped.
                    if call.kind == Kind::Function {
                        field = match declared.kind {
                            Kind::Custom => Some("input"),
                            _ if declared.wrapped => Some("value"),
                            _ => None,
                        };
                    }
                    call.kind = declared.kind;
                    call.namespace.clone_from(&declared.namespace);
                    call.name.clone_from(&declared.name);
                }
                call.id = self.fresh_id(&call.id);
                out.push(Event::Open(item, Opening::Call(call)));
                self.wrapped.extend(field.map(|field| Wrapped {
                    item,
                    field,
                    args: String::new(),
                }));
            }
            Event::Delta(item, text) => {
                match self.wrapped.iter_mut().find(|call| call.item == item) {
                    Some(call) => call.args.push_str(&text),
                    None => out.push(Event::Delta(item, text)),
                }
            }
            Event::Close(item) => {
                if let Some(place) = self.wrapped.iter().position(|call| call.item == item) {
                    let call = self.wrapped.swap_remove(place);
                    out.push(Event::Delta(item, unwrapped(call.args, call.field)));
                }
                out.push(Event::Close(item));
            }
            other => out.push(other),
        }
    }
}

impl Filter {
    /// A legal id. Some upstreams give the tool's name, or nothing, to each of its calls.
    fn fresh_id(&mut self, original: &str) -> String {
        let mut id = call_id(original);
        if self.ids.contains(&id) {
            id = call_id(&format!("{original} {}", self.ids.len()));
        }
        self.ids.push(id.clone());
        id
    }

    fn is_answer(&self, name: &str) -> bool {
        self.names
            .output()
            .is_some_and(|output| output.name == name)
    }

    /// Sets words aside that may come beside an answer; hands all else on. A caller that wants JSON can read nothing else.
    fn not_aside(&mut self, event: Event, out: &mut Vec<Event>) -> Option<Event> {
        if self.names.output().is_none() {
            return Some(event);
        }
        let answers = &mut self.answers;
        let is_aside = match &event {
            Event::Open(item, Opening::Text) => {
                let fits = answers.weight <= MOST_ASIDE;
                answers.words.extend(fits.then_some(*item));
                fits
            }
            Event::Delta(item, _)
            | Event::Cite(item, _)
            | Event::Likely(item, _)
            | Event::Close(item) => answers.words.contains(item),
            Event::End(_) | Event::Fault(_) => {
                out.append(&mut answers.aside);
                false
            }
            _ => false,
        };
        if !is_aside {
            return Some(event);
        }
        answers.weight += event.weight();
        if answers.given {
            return None;
        }
        answers.aside.push(event);
        if answers.weight > MOST_ASIDE {
            answers.words.clear();
            out.append(&mut answers.aside);
        }
        None
    }

    /// The answer comes as a tool's input: it is text to its caller.
    fn answer(&mut self, item: usize, out: &mut Vec<Event>) {
        if self.answers.given {
            self.answers.idle.push(item);
            return;
        }
        self.answers.given = true;
        self.answers.aside.clear();
        out.push(Event::Open(item, Opening::Text));
        if self.names.output().is_some_and(|output| output.wrapped) {
            self.wrapped.push(Wrapped {
                item,
                field: "value",
                args: String::new(),
            });
        }
    }
}

/// What stands in the one field of the arguments; the arguments themselves where there is none.
fn unwrapped(args: String, field: &str) -> String {
    let parsed = lenient::object(args.as_bytes());
    let inner = parsed.as_ref().and_then(|parsed| parsed.get(field));
    match inner {
        Some(Value::String(text)) if field == "input" => text.clone(),
        Some(value) => value.to_string(),
        None => args,
    }
}

/// Looks for the first of several texts in the answer's text.
#[derive(Debug)]
struct StopTexts {
    texts: Vec<String>,
    /// The end of the text so far, which may be the beginning of a stop.
    held: String,
    /// Tokens whose text was not passed on yet, and by how much more of it was.
    likely: VecDeque<Likely>,
    told: usize,
    item: Option<usize>,
    hit: Option<String>,
}

impl StopTexts {
    fn pass(&mut self, event: Event, out: &mut Vec<Event>) {
        match event {
            Event::End(mut ending) => {
                if let Some(hit) = self.hit.take() {
                    ending.reason = Reason::StopSequence;
                    ending.stop_sequence = Some(hit);
                }
                out.push(Event::End(ending));
            }
            Event::Fault(_) => out.push(event),
            _ if self.hit.is_some() => {}
            Event::Open(item, Opening::Text) => {
                self.item = Some(item);
                out.push(Event::Open(item, Opening::Text));
            }
            Event::Delta(item, text) if self.item == Some(item) => self.text(item, &text, out),
            Event::Likely(item, tokens) if self.item == Some(item) => self.likely.extend(tokens),
            Event::Close(item) if self.item == Some(item) => {
                self.item = None;
                let held = std::mem::take(&mut self.held);
                let rest: Vec<Likely> = self.likely.drain(..).collect();
                if !rest.is_empty() {
                    out.push(Event::Likely(item, rest));
                }
                if !held.is_empty() {
                    out.push(Event::Delta(item, held));
                }
                out.push(Event::Close(item));
            }
            other => out.push(other),
        }
    }

    fn text(&mut self, item: usize, more: &str, out: &mut Vec<Event>) {
        self.held.push_str(more);
        let found = self
            .texts
            .iter()
            .filter_map(|text| self.held.find(text.as_str()).map(|place| (place, text)))
            .min_by_key(|(place, _)| *place);
        if let Some((place, text)) = found {
            let said = self.held.get(..place).unwrap_or_default().to_owned();
            self.hit = Some(text.clone());
            self.say(item, said, out);
            out.push(Event::Close(item));
            return;
        }
        let keep = self.may_begin_a_stop();
        let rest = self.held.split_off(self.held.len() - keep);
        let said = std::mem::replace(&mut self.held, rest);
        self.say(item, said, out);
    }

    /// Passes text on, and the tokens that it is made of.
    fn say(&mut self, item: usize, said: String, out: &mut Vec<Event>) {
        if said.is_empty() {
            return;
        }
        self.told += said.len();
        let mut tokens = Vec::new();
        while let Some(token) = self.likely.pop_front_if(|token| token.len() <= self.told) {
            self.told -= token.len();
            tokens.push(token);
        }
        if self.likely.is_empty() {
            self.told = 0;
        }
        if !tokens.is_empty() {
            out.push(Event::Likely(item, tokens));
        }
        out.push(Event::Delta(item, said));
    }

    /// Bytes at the end of the text that a stop begins with.
    fn may_begin_a_stop(&self) -> usize {
        let longest = |text: &String| {
            text.char_indices()
                .map(|(at, _)| at)
                .filter(|at| *at > 0)
                .rev()
                .find(|at| {
                    text.get(..*at)
                        .is_some_and(|head| self.held.ends_with(head))
                })
                .unwrap_or(0)
        };
        self.texts.iter().map(longest).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::{
        Translation,
        answer::{Collector, Ending, Item},
        golden, read,
    };
    use entity::Protocol::{self, Chat, Messages, Responses};
    use serde_json::json;

    /// Stop texts, pieces of an answer, what is left of it, and the text that stopped it.
    type Row<'a> = (&'a [&'a str], &'a [&'a str], &'a str, Option<String>);

    fn said(stops: &[&str], pieces: &[&str]) -> (String, Option<String>) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut filter = Filter::new(Names::default(), &stops, false);
        let mut events = vec![Event::Open(0, Opening::Text)];
        events.extend(
            pieces
                .iter()
                .map(|piece| Event::Delta(0, (*piece).to_owned())),
        );
        events.push(Event::Close(0));
        events.push(Event::End(Ending::new(Reason::End, None)));
        let mut out = Vec::new();
        for event in events {
            filter.pass(event, &mut out);
        }
        let mut all = Collector::default();
        for event in out {
            all.add(event);
        }
        let answer = all.finish().expect("ended").expect("well");
        assert!(matches!(answer.items.as_slice(), [Item::Text { .. }]));
        (answer.text(), answer.ending.stop_sequence)
    }

    #[test]
    fn a_stop_text_ends_the_answer_wherever_the_pieces_are_cut() {
        let stop = Some("STOP".to_owned());
        let table: &[Row<'_>] = &[
            (&["STOP"], &["a STOP b"], "a ", stop.clone()),
            (&["STOP"], &["a ST", "OP b", "c"], "a ", stop.clone()),
            (
                &["STOP"],
                &["S", "T", "O", "S", "T", "O", "P"],
                "STO",
                stop.clone(),
            ),
            (&["STOP"], &["a STO"], "a STO", None),
            (&["b", "STOP"], &["STOPb"], "", stop),
            (
                &["é!"],
                &["caf\u{e9}", "?", "\u{e9}", "!x"],
                "café?",
                Some("é!".to_owned()),
            ),
            (&[], &["a", "b"], "ab", None),
        ];

        for (stops, pieces, text, hit) in table {
            assert_eq!(
                said(stops, pieces),
                ((*text).to_owned(), hit.clone()),
                "{pieces:?}"
            );
        }
    }

    /// What the caller gets for an answer that calls its only tool.
    fn called(client: Protocol, upstream: Protocol, tool: &Value, answer: &Value) -> Value {
        let said = json!([{"role": "user", "content": "q"}]);
        let request = json!({"model": "M", "tools": [tool], "messages": said, "input": said});
        let request = read(client, request.to_string().as_bytes()).expect("a good request");
        let names = Names::of(&request, upstream);
        let way = Translation::new(&request, upstream, client, golden::voice(), names);
        let answer = way.whole(answer.to_string().as_bytes());
        let (body, _) = answer.expect("an answer").expect("a good one");
        serde_json::from_slice(&body).expect("JSON")
    }

    #[test]
    fn arguments_are_unwrapped_where_they_were_wrapped_and_nowhere_else() {
        let union =
            json!({"anyOf": [{"type": "object"}, {"type": "object", "properties": {"value": {}}}]});
        let args = json!({"value": 5, "unit": "m"});
        let function = json!({"name": "f", "arguments": args.to_string()});
        let by_chat = json!({"choices": [{"finish_reason": "tool_calls", "message": {
            "tool_calls": [{"id": "a", "type": "function", "function": function}]}}]});
        let by_messages = json!({"stop_reason": "tool_use", "content": [
            {"type": "tool_use", "id": "a", "name": "f", "input": {"value": args}}]});
        let by_responses = json!({"status": "completed", "output": [
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": args.to_string()}]});
        let in_messages = json!({"name": "f", "input_schema": union});
        let in_responses = json!({"type": "function", "name": "f", "parameters": union});
        let in_chat = json!({"type": "function", "function": {"name": "f", "parameters": union}});

        for (upstream, answer) in [(Chat, &by_chat), (Responses, &by_responses)] {
            let body = called(Messages, upstream, &in_messages, answer);
            assert_eq!(body["content"][0]["input"], args, "{upstream:?}: {body}");
        }
        for (upstream, answer) in [(Chat, &by_chat), (Messages, &by_messages)] {
            let body = called(Responses, upstream, &in_responses, answer);
            let found = &body["output"][0]["arguments"];
            assert_eq!(*found, args.to_string(), "{upstream:?}: {body}");
        }
        for (upstream, answer) in [(Responses, &by_responses), (Messages, &by_messages)] {
            let body = called(Chat, upstream, &in_chat, answer);
            let call = &body["choices"][0]["message"]["tool_calls"][0]["function"];
            assert_eq!(call["arguments"], args.to_string(), "{upstream:?}: {body}");
        }
    }

    #[test]
    fn no_two_calls_have_one_id() {
        let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
        let answer = json!({"stop_reason": "tool_use", "content": [call("f"), call("f"), call(""), call("")]});

        let tool = json!({"type": "function", "function": {"name": "f"}});
        let body = called(Chat, Messages, &tool, &answer);

        let calls = body["choices"][0]["message"]["tool_calls"].as_array();
        let ids: std::collections::BTreeSet<&str> = calls
            .expect("calls")
            .iter()
            .map(|call| call["id"].as_str().expect("an id"))
            .collect();
        assert_eq!(ids.len(), 4, "{body}");
    }

    #[test]
    fn a_freeform_input_is_unwrapped_though_a_character_in_it_is_cut_in_half() {
        let custom = json!({"type": "custom", "name": "f"});
        let function = json!({"name": "f", "arguments": r#"{"input":"a \ud83d"}"#});
        let answer = json!({"choices": [{"finish_reason": "tool_calls", "message": {
            "tool_calls": [{"id": "a", "type": "function", "function": function}]}}]});

        let body = called(Responses, Chat, &custom, &answer);

        assert_eq!(body["output"][0]["input"], "a \u{fffd}", "{body}");
    }
}
