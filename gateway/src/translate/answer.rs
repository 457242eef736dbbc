//! An answer as no protocol writes it: events in the order they come, and the whole that they add up to.

use billing::rating::Tokens;
use serde_json::Value;

use super::{logprob::Likely, neutral::Call};

/// One step of an answer. Items are numbered by their reader in the order they open; several may be open at once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// The answer begins; with its input where the upstream says so at once.
    Start(Option<Tokens>),
    Open(usize, Opening),
    /// More text, thought, refusal or arguments.
    Delta(usize, String),
    /// What a thought must be sent back with.
    Opaque(usize, Opaque),
    Cite(usize, Citation),
    /// How likely the tokens were of which the next text is made.
    Likely(usize, Vec<Likely>),
    Close(usize),
    /// The provider searched the web on its own.
    Search(String),
    /// The answer is complete.
    End(Ending),
    /// The upstream failed.
    Fault(Fault),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Thought,
    Text,
    Refusal,
    /// A call, its arguments still to come.
    Call(Call),
    /// A summary of the conversation, for its caller to send instead of it.
    Compaction,
}

/// Opaque state of a thought, meaningful to the account and model that made it only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Opaque {
    /// Of a thinking block.
    Signature(String),
    /// A thinking block that nobody may read.
    Redacted(String),
    /// Of a reasoning item.
    Encrypted(String),
}

/// A source named by the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Citation {
    pub(crate) url: String,
    pub(crate) title: String,
    /// Place in the text, where the protocol has one.
    pub(crate) span: Option<(u64, u64)>,
}

/// How and at what cost the answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) reason: Reason,
    pub(crate) stop_sequence: Option<String>,
    /// Why a model would not answer.
    pub(crate) explanation: Option<String>,
    pub(crate) usage: Option<Tokens>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    End,
    /// One of the caller's own stop texts.
    StopSequence,
    Length,
    Tools,
    /// The model would not answer.
    Refused,
    /// The provider's filter cut in.
    Filtered,
}

/// A failure in the upstream's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The upstream's code; empty where it has none.
    pub(crate) code: String,
    /// What type of failure the upstream calls it; empty where it does not say.
    pub(crate) kind: String,
    /// The HTTP status, where the failure has one of its own.
    pub(crate) status: Option<u16>,
    /// The field of the request that is at fault.
    pub(crate) param: Option<String>,
    pub(crate) message: String,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) items: Vec<Item>,
    pub(crate) ending: Ending,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Thought {
        text: String,
        opaque: Option<Opaque>,
    },
    Text {
        text: String,
        citations: Vec<Citation>,
        likely: Vec<Likely>,
    },
    Refusal(String),
    Call(Call),
    Search(String),
    Compaction(String),
}

impl Event {
    /// About what it costs to keep, in bytes. An item costs much, so that there cannot be many.
    pub(crate) fn weight(&self) -> usize {
        const ITEM: usize = 8 << 10;
        match self {
            Self::Delta(_, text)
            | Self::Opaque(
                _,
                Opaque::Signature(text) | Opaque::Redacted(text) | Opaque::Encrypted(text),
            ) => text.len(),
            Self::Search(text) => ITEM + text.len(),
            Self::Open(_, Opening::Call(call)) => ITEM + call.id.len() + call.name.len(),
            Self::Open(..) => ITEM,
            Self::Cite(_, citation) => citation.url.len() + citation.title.len() + 256,
            Self::Likely(_, tokens) => tokens.iter().map(Likely::weight).sum(),
            Self::Start(_) | Self::Close(_) | Self::End(_) | Self::Fault(_) => 0,
        }
    }
}

/// Adds events up. An answer without its end is none.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    items: Vec<(usize, Item)>,
    ending: Option<Ending>,
    fault: Option<Fault>,
}

impl Collector {
    pub(crate) fn add(&mut self, event: Event) {
        match event {
            Event::Start(_) | Event::Close(_) => {}
            Event::Open(key, opening) => self.items.push((
                key,
                match opening {
                    Opening::Thought => Item::Thought {
                        text: String::new(),
                        opaque: None,
                    },
                    Opening::Text => Item::Text {
                        text: String::new(),
                        citations: Vec::new(),
                        likely: Vec::new(),
                    },
                    Opening::Refusal => Item::Refusal(String::new()),
                    Opening::Call(call) => Item::Call(call),
                    Opening::Compaction => Item::Compaction(String::new()),
                },
            )),
            Event::Delta(key, more) => match self.item(key) {
                Some(
                    Item::Thought { text, .. }
                    | Item::Text { text, .. }
                    | Item::Refusal(text)
                    | Item::Compaction(text),
                ) => {
                    text.push_str(&more);
                }
                Some(Item::Call(call)) => call.args.push_str(&more),
                Some(Item::Search(_)) | None => {}
            },
            Event::Opaque(key, found) => {
                if let Some(Item::Thought { opaque, .. }) = self.item(key) {
                    *opaque = Some(found);
                }
            }
            Event::Cite(key, citation) => {
                if let Some(Item::Text { citations, .. }) = self.item(key) {
                    citations.push(citation);
                }
            }
            Event::Likely(key, mut more) => {
                if let Some(Item::Text { likely, .. }) = self.item(key) {
                    likely.append(&mut more);
                }
            }
            Event::Search(query) => self.items.push((usize::MAX, Item::Search(query))),
            Event::End(ending) => self.ending = Some(ending),
            Event::Fault(fault) => self.fault = Some(fault),
        }
    }

    fn item(&mut self, key: usize) -> Option<&mut Item> {
        let found = self.items.iter_mut().rev().find(|(known, _)| *known == key);
        found.map(|(_, item)| item)
    }

    /// The answer; a failure where the upstream reported one; nothing where the answer never ended.
    pub(crate) fn finish(self) -> Option<Result<Answer, Fault>> {
        if let Some(fault) = self.fault {
            return Some(Err(fault));
        }
        let ending = self.ending?;
        let items = self.items.into_iter().map(|(_, item)| item).collect();
        Some(Ok(Answer { items, ending }))
    }
}

impl Answer {
    /// All its text in one.
    pub(crate) fn text(&self) -> String {
        let mut all = String::new();
        for item in &self.items {
            if let Item::Text { text, .. } = item {
                all.push_str(text);
            }
        }
        all
    }
}

impl Ending {
    pub(crate) fn new(reason: Reason, usage: Option<Tokens>) -> Self {
        Self {
            reason,
            stop_sequence: None,
            explanation: None,
            usage,
        }
    }

    /// The same ending, truthful about calls: it names them where there are some and only there.
    #[must_use]
    pub(crate) fn agreeing_with(mut self, has_calls: bool) -> Self {
        self.reason = match (self.reason, has_calls) {
            (Reason::End | Reason::StopSequence, true) => Reason::Tools,
            (Reason::Tools, false) => Reason::End,
            (reason, _) => reason,
        };
        self
    }
}

impl Citation {
    /// Reads an annotation or a citation of any protocol that names an address.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let place = value.get("url_citation").unwrap_or(value);
        let text = |name| place.get(name).and_then(Value::as_str);
        let number = |name| place.get(name).and_then(Value::as_u64);
        Some(Self {
            url: text("url")?.to_owned(),
            title: text("title").unwrap_or_default().to_owned(),
            span: number("start_index").zip(number("end_index")),
        })
    }
}

impl Fault {
    /// Reads an error object of any protocol; an error that is bare text is its own message.
    pub(crate) fn read(error: &Value) -> Self {
        let part = |name| error.get(name).and_then(Value::as_str);
        // Some servers give the status for a code.
        let status = error.get("code").and_then(Value::as_u64);
        Self {
            code: part("code").unwrap_or_default().to_owned(),
            kind: part("type").unwrap_or_default().to_owned(),
            status: status.and_then(|status| status.try_into().ok()),
            param: part("param").map(str::to_owned),
            message: part("message")
                .or(error.as_str())
                .unwrap_or_default()
                .to_owned(),
        }
    }

    /// The stream ended before the answer did.
    pub(crate) fn truncated() -> Self {
        Self::of_server("The upstream broke off in the middle of the answer.")
    }

    /// A failure that is not the caller's.
    pub(crate) fn of_server(message: &str) -> Self {
        Self {
            code: "server_error".to_owned(),
            message: message.to_owned(),
            ..Self::default()
        }
    }
}
