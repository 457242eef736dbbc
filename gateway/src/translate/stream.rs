//! A stream on its way from one protocol to another, event by event.

use bytes::Bytes;
use entity::Protocol;

use super::{
    Translation,
    answer::{Collector, Event, Fault},
    carrier::Carriers,
    chat,
    filter::Filter,
    keep::{Keeper, Kept},
    messages, responses,
};

/// The most that one answer may weigh: what writers keep of it stays below this.
const MOST_BYTES: usize = 32 << 20;

/// Translates one stream.
#[derive(Debug)]
pub(crate) struct Stream {
    reader: Reader,
    filter: Filter,
    writer: Writer,
    keeping: Keeping,
    weight: usize,
    ended: bool,
}

/// Keeps the thoughts of an answer whose caller cannot.
#[derive(Debug)]
pub(super) struct Keeping(Option<(Keeper, Carriers)>);

impl Keeping {
    pub(super) fn new(translation: &Translation) -> Self {
        let forgets = translation.client == Protocol::Chat;
        Self(forgets.then(|| (Keeper::default(), translation.voice.carriers.clone())))
    }

    pub(super) fn see(&mut self, event: &Event) {
        if let Some((keeper, _)) = &mut self.0 {
            keeper.see(event);
        }
    }

    pub(super) fn kept(&mut self) -> Option<Kept> {
        let (keeper, carriers) = self.0.as_mut()?;
        keeper.kept(carriers)
    }
}

/// Reads events of one protocol.
#[derive(Debug)]
pub(super) enum Reader {
    Chat(chat::Reader),
    Responses(responses::Reader),
    Messages(messages::Reader),
}

#[derive(Debug)]
enum Writer {
    Chat(chat::Writer),
    Responses(responses::Writer),
    Messages(messages::Writer),
}

impl Stream {
    pub(super) fn new(translation: &Translation) -> Self {
        let voice = translation.voice.clone();
        Self {
            reader: Reader::of(translation.upstream, translation.splits),
            filter: translation.filter(),
            writer: match translation.client {
                Protocol::Responses => Writer::Responses(responses::Writer::new(voice)),
                Protocol::Messages => Writer::Messages(messages::Writer::new(voice)),
                Protocol::Chat | Protocol::Embeddings => Writer::Chat(chat::Writer::new(voice)),
            },
            keeping: Keeping::new(translation),
            weight: 0,
            ended: false,
        }
    }

    /// What the caller gets for the data of one event; often nothing.
    pub(crate) fn translate(&mut self, data: &[u8]) -> Bytes {
        if self.ended {
            return Bytes::new();
        }
        let mut events = Vec::new();
        self.reader.read(data.trim_ascii(), &mut events);
        self.write(events)
    }

    /// What the caller still gets when the upstream has closed the stream, and whether that makes the answer complete.
    pub(crate) fn end(&mut self) -> (Bytes, bool) {
        let mut events = Vec::new();
        self.reader.end(&mut events);
        let complete = matches!(events.last(), Some(Event::End(_)));
        (self.write(events), complete)
    }

    /// Thoughts to keep for the caller, once the answer has ended.
    pub(crate) fn kept(&mut self) -> Option<Kept> {
        self.keeping.kept()
    }

    fn write(&mut self, events: Vec<Event>) -> Bytes {
        let mut passed = Vec::new();
        for event in events {
            self.weight = self.weight.saturating_add(event.weight());
            self.filter.pass(event, &mut passed);
        }
        if self.weight > MOST_BYTES && !self.ended {
            passed.push(Event::Fault(Fault::of_server(
                "The answer is larger than can be carried.",
            )));
        }
        let mut out = Vec::new();
        for event in passed {
            if self.ended {
                break;
            }
            self.ended = matches!(event, Event::End(_) | Event::Fault(_));
            self.keeping.see(&event);
            match &mut self.writer {
                Writer::Chat(writer) => writer.write(event, &mut out),
                Writer::Responses(writer) => writer.write(event, &mut out),
                Writer::Messages(writer) => writer.write(event, &mut out),
            }
        }
        out.into()
    }
}

/// Puts one stream together.
#[derive(Debug)]
pub(crate) struct Collecting {
    reader: Reader,
    filter: Filter,
    all: Collector,
    translation: Translation,
    keeping: Keeping,
    weight: usize,
}

impl Collecting {
    pub(super) fn new(translation: &Translation) -> Self {
        Self {
            reader: Reader::of(translation.upstream, translation.splits),
            filter: translation.filter(),
            all: Collector::default(),
            translation: translation.clone(),
            keeping: Keeping::new(translation),
            weight: 0,
        }
    }

    /// Takes the data of one event. The whole answer at its end, else nothing.
    pub(crate) fn take(&mut self, data: &[u8]) -> Bytes {
        if self.weight > MOST_BYTES {
            return Bytes::new();
        }
        let mut events = Vec::new();
        self.reader.read(data.trim_ascii(), &mut events);
        self.add(events)
    }

    /// The whole answer, if the upstream closed the stream after its last word, and whether it did.
    pub(crate) fn end(&mut self) -> (Bytes, bool) {
        let mut events = Vec::new();
        self.reader.end(&mut events);
        let complete = matches!(events.last(), Some(Event::End(_)));
        (self.add(events), complete)
    }

    /// Thoughts to keep for the caller, once the answer has ended.
    pub(crate) fn kept(&mut self) -> Option<Kept> {
        self.keeping.kept()
    }

    fn add(&mut self, events: Vec<Event>) -> Bytes {
        let mut passed = Vec::new();
        for event in events {
            self.weight = self.weight.saturating_add(event.weight());
            self.filter.pass(event, &mut passed);
        }
        if self.weight > MOST_BYTES {
            return Bytes::new();
        }
        let mut ended = false;
        for event in passed {
            ended |= matches!(event, Event::End(_));
            self.keeping.see(&event);
            self.all.add(event);
        }
        if !ended {
            return Bytes::new();
        }
        match std::mem::take(&mut self.all).finish() {
            Some(Ok(answer)) => self.translation.written(&answer),
            Some(Err(_)) | None => Bytes::new(),
        }
    }
}

impl Reader {
    pub(super) fn of(protocol: Protocol, splits: bool) -> Self {
        match protocol {
            Protocol::Responses => Self::Responses(responses::Reader::default()),
            Protocol::Messages => Self::Messages(messages::Reader::default()),
            Protocol::Chat | Protocol::Embeddings => Self::Chat(chat::Reader::new(splits)),
        }
    }

    pub(super) fn read(&mut self, data: &[u8], out: &mut Vec<Event>) {
        match self {
            Self::Chat(reader) => reader.read(data, out),
            Self::Responses(reader) => reader.read(data, out),
            Self::Messages(reader) => reader.read(data, out),
        }
    }

    pub(super) fn end(&mut self, out: &mut Vec<Event>) {
        match self {
            Self::Chat(reader) => reader.end(out),
            Self::Responses(reader) => reader.end(out),
            Self::Messages(reader) => reader.end(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::golden::translation;

    #[test]
    fn an_answer_that_grows_without_end_is_given_up() {
        let item = r#"{"type":"response.output_item.added","output_index":N,"item":{"type":"function_call","call_id":"N","name":"f"}}"#;
        let nameless =
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"X"}}]}}]}"#
                .replace('X', &"x".repeat(64 << 10));
        let mut many = translation(Protocol::Messages, Protocol::Responses).stream();
        let mut early = translation(Protocol::Messages, Protocol::Chat).stream();

        let mut said = 0;
        for number in 0..6_000 {
            said += many
                .translate(item.replace('N', &number.to_string()).as_bytes())
                .len();
        }
        for _ in 0..200 {
            early.translate(nameless.as_bytes());
        }

        assert!(
            many.ended && many.weight < MOST_BYTES + (16 << 10),
            "{}",
            many.weight
        );
        assert!(said < 2 << 20);
        let (last, complete) = early.end();
        assert!(!complete && last.len() < 1_000);
    }
}
