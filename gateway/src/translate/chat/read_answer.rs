//! A chat answer, read: chunks of a stream, or the whole.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    translate::{
        answer::{Citation, Ending, Event, Fault, Opening, Reason},
        lenient,
        logprob::{self, Likely},
        neutral::{Call, Kind},
    },
    wire::usage,
};

use super::think::Split;

/// Bytes of arguments that are kept of a call whose name is not known yet.
const MOST_EARLY: usize = 1 << 20;

/// Reads a stream.
#[derive(Debug, Default)]
pub(in crate::translate) struct Reader {
    started: bool,
    done: bool,
    next: usize,
    /// Open text, thought or refusal.
    open: Option<(usize, Opening)>,
    calls: Vec<OpenCall>,
    /// Tells the thoughts that the text begins with from its words, where the upstream mixes them.
    split: Option<Split>,
    /// How likely the tokens were whose text comes next.
    likely: Vec<Likely>,
    finish: Option<String>,
    usage: Option<billing::rating::Tokens>,
}

/// A call under way. It opens when its name is known.
#[derive(Debug)]
struct OpenCall {
    index: Option<u64>,
    /// The upstream's own id for it.
    given: Option<String>,
    item: usize,
    call: Call,
    opened: bool,
    has_args: bool,
}

/// A chunk that brings text and nothing else, as nearly all do. It is read without a tree of values.
#[derive(Deserialize)]
struct Plain {
    choices: [PlainChoice; 1],
    #[serde(default, rename = "usage")]
    _usage: Option<()>,
    #[serde(default, rename = "error")]
    _error: Option<()>,
    #[serde(default, rename = "x_groq")]
    _x_groq: Option<()>,
}

#[derive(Deserialize)]
struct PlainChoice {
    #[serde(default)]
    index: u64,
    delta: PlainDelta,
    #[serde(default, rename = "finish_reason")]
    _finish_reason: Option<()>,
    #[serde(default, rename = "logprobs")]
    _logprobs: Option<()>,
}

/// What a vendor adds of its own is for the thorough reading.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainDelta {
    #[serde(default, rename = "role")]
    _role: Option<String>,
    content: String,
    #[serde(default, rename = "refusal")]
    _refusal: Option<()>,
    #[serde(default, rename = "reasoning_content")]
    _reasoning_content: Option<()>,
    #[serde(default, rename = "tool_calls")]
    _tool_calls: Option<()>,
}

impl Reader {
    /// `splits` for an upstream whose text begins with its thoughts.
    pub(in crate::translate) fn new(splits: bool) -> Self {
        Self {
            split: splits.then(Split::default),
            ..Self::default()
        }
    }

    /// Takes the data of one event.
    pub(in crate::translate) fn read(&mut self, data: &[u8], out: &mut Vec<Event>) {
        if self.done {
            return;
        }
        if data == b"[DONE]" {
            self.finish(out);
            return;
        }
        if let Ok(Plain {
            choices: [choice], ..
        }) = serde_json::from_slice(data)
        {
            self.start(out);
            if choice.index == 0 {
                self.text(choice.delta.content, out);
            }
            return;
        }
        let Some(chunk) = lenient::object(data) else {
            return;
        };
        if let Some(fault) = fault(&chunk) {
            self.done = true;
            out.push(Event::Fault(fault));
            return;
        }
        self.start(out);
        let reported = chunk
            .get("usage")
            .filter(|usage| !usage.is_null())
            .or_else(|| chunk.get("x_groq")?.get("usage"));
        if let Some(reported) = reported {
            self.usage = usage::openai(reported).ok().flatten().or(self.usage);
        }
        let choices = chunk.get("choices").and_then(Value::as_array);
        for choice in choices.into_iter().flatten() {
            let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
            if index != 0 {
                continue;
            }
            self.likely = likely(choice);
            if let Some(delta) = choice.get("delta").and_then(Value::as_object) {
                self.delta(delta, out);
            }
            self.finish = finish_reason(choice).or(self.finish.take());
        }
    }

    /// The stream has ended. Where its proper end is missing, the answer was cut.
    pub(in crate::translate) fn end(&mut self, out: &mut Vec<Event>) {
        if self.done {
            return;
        }
        if self.finish.is_some() {
            self.finish(out);
        } else {
            self.end_text(out);
            self.done = true;
            out.push(Event::Fault(Fault::truncated()));
        }
    }

    fn start(&mut self, out: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            out.push(Event::Start(None));
        }
    }

    fn delta(&mut self, delta: &Map<String, Value>, out: &mut Vec<Event>) {
        for thought in thoughts(delta) {
            self.say(Opening::Thought, thought.to_owned(), out);
        }
        match delta.get("content") {
            Some(Value::String(text)) => self.text(text.clone(), out),
            Some(Value::Array(parts)) => {
                for part in parts {
                    let text = part.get("text").and_then(Value::as_str);
                    self.text(text.unwrap_or_default().to_owned(), out);
                }
            }
            _ => {}
        }
        if let Some(refusal) = delta.get("refusal").and_then(Value::as_str) {
            self.say(Opening::Refusal, refusal.to_owned(), out);
        }
        let likely = std::mem::take(&mut self.likely);
        if let (Some((item, Opening::Text)), false) = (&self.open, likely.is_empty()) {
            out.push(Event::Likely(*item, likely));
        }
        self.cite(delta, out);
        let calls = delta.get("tool_calls").and_then(Value::as_array);
        for call in calls.into_iter().flatten() {
            self.call(call, out);
        }
        if let Some(function) = delta.get("function_call") {
            let call = serde_json::json!({"index": 0, "id": "call_0", "function": function});
            self.call(&call, out);
        }
    }

    fn cite(&mut self, delta: &Map<String, Value>, out: &mut Vec<Event>) {
        let citations = delta.get("annotations").and_then(Value::as_array);
        for citation in citations.into_iter().flatten() {
            if let (Some((item, Opening::Text)), Some(found)) =
                (&self.open, Citation::read(citation))
            {
                out.push(Event::Cite(*item, found));
            }
        }
    }

    fn text(&mut self, text: String, out: &mut Vec<Event>) {
        let Some(split) = self.split.as_mut().filter(|split| !split.is_over()) else {
            self.say(Opening::Text, text, out);
            return;
        };
        // Which of these tokens are words, nobody says.
        self.likely.clear();
        for (opening, text) in split.take(text) {
            self.say(opening, text, out);
        }
    }

    /// No more text comes: what may have been the beginning of a mark was none.
    fn end_text(&mut self, out: &mut Vec<Event>) {
        if let Some(mut split) = self.split.take() {
            let (opening, text) = split.end();
            self.say(opening, text, out);
        }
    }

    fn say(&mut self, opening: Opening, text: String, out: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        let same = self.open.as_ref().filter(|(_, open)| *open == opening);
        let item = if let Some((item, _)) = same {
            *item
        } else {
            self.close(out);
            let item = self.fresh();
            out.push(Event::Open(item, opening.clone()));
            self.open = Some((item, opening));
            item
        };
        let tells = matches!(self.open, Some((_, Opening::Text))) && !self.likely.is_empty();
        if tells {
            out.push(Event::Likely(item, std::mem::take(&mut self.likely)));
        }
        out.push(Event::Delta(item, text));
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if let Some((item, _)) = self.open.take() {
            out.push(Event::Close(item));
        }
    }

    fn fresh(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    /// A piece of a call: its opener, more arguments, or the whole at once, with or without an index.
    fn call(&mut self, piece: &Value, out: &mut Vec<Event>) {
        let index = piece.get("index").and_then(Value::as_u64);
        let id = piece
            .get("id")
            .and_then(Value::as_str)
            .filter(|id| !id.is_empty());
        let known = self.known(piece, index, id);
        let place = match (known, index, id) {
            (Some(place), _, _) => place,
            // Without either, more of the last one.
            (None, None, None) if !self.calls.is_empty() && !names(piece) => self.calls.len() - 1,
            _ => {
                self.end_text(out);
                self.close(out);
                let item = self.fresh();
                let given = id;
                let repeated =
                    id.is_some_and(|id| self.calls.iter().any(|known| known.call.id == id));
                let id = id
                    .filter(|_| !repeated)
                    .map_or_else(|| format!("call_{item}"), str::to_owned);
                self.calls.push(OpenCall {
                    index,
                    given: given.map(str::to_owned),
                    item,
                    call: Call {
                        id,
                        ..Call::default()
                    },
                    opened: false,
                    has_args: false,
                });
                self.calls.len() - 1
            }
        };
        let custom = piece.get("custom");
        let body = custom.or_else(|| piece.get("function"));
        let Some(open) = self.calls.get_mut(place) else {
            return;
        };
        if custom.is_some() {
            open.call.kind = Kind::Custom;
        }
        let name = body.and_then(|body| body.get("name")?.as_str());
        if let Some(name) = name.filter(|_| !open.opened) {
            open.call.name.push_str(name);
        }
        let args = body.and_then(|body| body.get("arguments").or_else(|| body.get("input")));
        let args = match args {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Object(map)) if !open.has_args => Value::Object(map.clone()).to_string(),
            _ => String::new(),
        };
        open.take(&args, out);
    }

    /// The call that a piece belongs to. Some upstreams give all their calls one index, and others each piece an id of its
    /// own: another id begins another call where a name comes with it.
    fn known(&self, piece: &Value, index: Option<u64>, id: Option<&str>) -> Option<usize> {
        let Some(index) = index else {
            let id = id?;
            return self.calls.iter().position(|known| known.call.id == id);
        };
        let of_index = |known: &OpenCall| known.index == Some(index);
        if let Some(id) = id
            && let Some(place) = self
                .calls
                .iter()
                .position(|known| of_index(known) && known.given.as_deref() == Some(id))
        {
            return Some(place);
        }
        let last = self.calls.iter().rposition(of_index)?;
        let known = self.calls.get(last)?;
        let is_another = id.is_some() && known.given.is_some() && known.opened && names(piece);
        (!is_another).then_some(last)
    }

    fn finish(&mut self, out: &mut Vec<Event>) {
        self.done = true;
        self.start(out);
        self.end_text(out);
        self.close(out);
        let has_calls = !self.calls.is_empty();
        for mut call in std::mem::take(&mut self.calls) {
            call.end(out);
        }
        out.push(Event::End(ending(
            self.finish.as_deref(),
            self.usage,
            has_calls,
        )));
    }
}

impl OpenCall {
    /// Takes more arguments; opens the call when they show that its name is complete.
    fn take(&mut self, args: &str, out: &mut Vec<Event>) {
        if !self.opened && !self.call.name.is_empty() {
            self.opened = true;
            out.push(Event::Open(self.item, Opening::Call(self.call.clone())));
        }
        if args.is_empty() {
            return;
        }
        self.has_args = true;
        if self.opened {
            let early = std::mem::take(&mut self.call.args);
            out.push(Event::Delta(self.item, early + args));
        } else if self.call.args.len() + args.len() <= MOST_EARLY {
            self.call.args.push_str(args);
        }
    }

    fn end(&mut self, out: &mut Vec<Event>) {
        if !self.opened {
            return;
        }
        if !self.has_args && self.call.kind == Kind::Function {
            out.push(Event::Delta(self.item, "{}".to_owned()));
        }
        out.push(Event::Close(self.item));
    }
}

fn names(piece: &Value) -> bool {
    ["function", "custom"].iter().any(|kind| {
        piece
            .get(*kind)
            .and_then(|body| body.get("name")?.as_str())
            .is_some_and(|name| !name.is_empty())
    })
}

/// Where vendors put what a model thought; the first that holds something.
fn thoughts(message: &Map<String, Value>) -> Vec<&str> {
    for name in ["reasoning_content", "reasoning"] {
        if let Some(text) = message.get(name).and_then(Value::as_str)
            && !text.is_empty()
        {
            return vec![text];
        }
    }
    let details = message.get("reasoning_details").and_then(Value::as_array);
    details
        .into_iter()
        .flatten()
        .filter_map(|detail| detail.get("text")?.as_str())
        .collect()
}

/// How likely the tokens of the text were.
fn likely(choice: &Value) -> Vec<Likely> {
    let told = choice.get("logprobs");
    logprob::read(told.and_then(|told| told.get("content")))
}

/// Why the answer ended. Some vendors send an empty text with every chunk until it does.
fn finish_reason(choice: &Value) -> Option<String> {
    let reason = choice.get("finish_reason")?.as_str()?;
    (!reason.is_empty()).then(|| reason.to_owned())
}

fn ending(finish: Option<&str>, usage: Option<billing::rating::Tokens>, has_calls: bool) -> Ending {
    let reason = match finish {
        Some("length") => Reason::Length,
        Some("tool_calls" | "function_call") => Reason::Tools,
        Some("content_filter") => Reason::Filtered,
        _ => Reason::End,
    };
    Ending::new(reason, usage).agreeing_with(has_calls)
}

fn fault(body: &Map<String, Value>) -> Option<Fault> {
    body.get("error")
        .filter(|error| !error.is_null())
        .map(Fault::read)
}

/// Reads a whole answer, with `splits` of an upstream whose text begins with its thoughts. Nothing where it is none.
pub(in crate::translate) fn whole(body: &Map<String, Value>, splits: bool) -> Option<Vec<Event>> {
    if let Some(fault) = fault(body) {
        return Some(vec![Event::Fault(fault)]);
    }
    let choices = body.get("choices")?.as_array()?;
    let choice = choices.first()?;
    let message = choice.get("message")?.as_object()?;
    let mut reader = Reader {
        finish: finish_reason(choice),
        usage: body
            .get("usage")
            .and_then(|reported| usage::openai(reported).ok().flatten()),
        started: true,
        likely: likely(choice),
        ..Reader::new(splits)
    };
    let mut out = vec![Event::Start(None)];
    let mut message = message.clone();
    number_calls(&mut message);
    reader.delta(&message, &mut out);
    reader.finish(&mut out);
    Some(out)
}

/// The calls of a whole message have no numbers: their order is theirs.
fn number_calls(message: &mut Map<String, Value>) {
    let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
    for (index, call) in calls.into_iter().flatten().enumerate() {
        if let Some(call) = call.as_object_mut() {
            call.insert("index".to_owned(), index.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_the_same_plainly_and_thoroughly() {
        let table = [
            r#"{"content":"a w\u00f6rd \"here\"\n"}"#,
            r#"{"role":"assistant","content":"","refusal":null}"#,
            r#"{"content":"a","reasoning_content":null,"tool_calls":null}"#,
        ];
        for delta in table {
            let plain = format!(
                r#"{{"id":"c","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}],"usage":null}}"#
            );
            // A field that nobody knows makes the reading thorough and says nothing.
            let thorough = plain.replacen("\"delta\":{", "\"delta\":{\"unknown\":1,", 1);
            let (mut one, mut other) = (Vec::new(), Vec::new());
            let (mut reader, mut second) = (Reader::default(), Reader::default());
            for _ in 0..2 {
                reader.read(plain.as_bytes(), &mut one);
                second.read(thorough.as_bytes(), &mut other);
            }

            assert!(serde_json::from_str::<Plain>(&plain).is_ok(), "{plain}");
            assert!(serde_json::from_str::<Plain>(&thorough).is_err());
            assert_eq!(one, other, "{delta}");
            assert_eq!(one.first(), Some(&Event::Start(None)));
        }
    }

    #[test]
    fn calls_that_share_an_index_are_told_apart_by_their_ids() {
        let piece = |id: &str, name: &str, args: &str| {
            let mut piece = serde_json::json!({"index": 0, "function": {"arguments": args}});
            if !id.is_empty() {
                piece["id"] = id.into();
            }
            if !name.is_empty() {
                piece["function"]["name"] = name.into();
            }
            piece
        };
        // Pieces of calls, and the calls they are.
        let table = [
            (
                vec![
                    piece("a", "f", ""),
                    piece("", "", "{\"x\""),
                    piece("", "", ":1}"),
                    piece("b", "g", "{\"y\""),
                    piece("a", "", ""),
                    piece("b", "", ":2}"),
                ],
                vec![("a", "f", "{\"x\":1}"), ("b", "g", "{\"y\":2}")],
            ),
            (
                vec![piece("a", "f", "{}"), piece("b", "f", "{}")],
                vec![("a", "f", "{}"), ("b", "f", "{}")],
            ),
            // An id of its own for each piece is one call; so is a name that comes after its id.
            (
                vec![
                    piece("a", "f", "{\"x\""),
                    piece("b", "", ":1"),
                    piece("c", "", "}"),
                ],
                vec![("a", "f", "{\"x\":1}")],
            ),
            (
                vec![piece("a", "", ""), piece("b", "f", "{}")],
                vec![("a", "f", "{}")],
            ),
        ];

        for (pieces, calls) in table {
            let mut reader = Reader::default();
            let mut all = crate::translate::answer::Collector::default();
            let mut out = Vec::new();
            for piece in &pieces {
                let chunk = serde_json::json!({"choices": [{"delta": {"tool_calls": [piece]}}]});
                reader.read(chunk.to_string().as_bytes(), &mut out);
            }
            reader.read(b"[DONE]", &mut out);
            for event in out {
                all.add(event);
            }
            let answer = all.finish().expect("ended").expect("well");
            let found: Vec<(&str, &str, &str)> = answer
                .items
                .iter()
                .filter_map(|item| match item {
                    crate::translate::answer::Item::Call(call) => {
                        Some((&*call.id, &*call.name, &*call.args))
                    }
                    _ => None,
                })
                .collect();
            assert_eq!(found, calls, "{pieces:?}");
        }
    }

    #[test]
    fn an_empty_finish_is_none() {
        let said = br#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":""}]}"#;
        let last = br#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#;
        let (mut cut, mut ended) = (Vec::new(), Vec::new());
        let (mut reader, mut second) = (Reader::default(), Reader::default());

        reader.read(said, &mut cut);
        reader.end(&mut cut);
        second.read(last, &mut ended);
        second.read(said, &mut ended);
        second.end(&mut ended);

        assert_eq!(cut.last(), Some(&Event::Fault(Fault::truncated())));
        let reason = match ended.last() {
            Some(Event::End(ending)) => Some(ending.reason),
            _ => None,
        };
        assert_eq!(reason, Some(Reason::Length));
    }
}
