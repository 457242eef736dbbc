//! What passes by on its way to the client: usage, the amount of text, how the answer ends.
//!
//! Every event is parsed once, borrowed from its frame. Where the upstream never says what a call used, or says what
//! cannot be, the text that passed is counted instead and the result says so.

use std::borrow::Cow;

use billing::rating::Tokens;
use entity::Protocol;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    size,
    sse::Frame,
    usage::{self, Anomaly, MessagesUsage},
};

/// What one event of a stream is, as far as the relay has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing of the answer: a comment, a ping.
    Idle,
    /// The answer is about to begin: nothing of it has come yet.
    Opening,
    /// A part of the answer.
    Content,
    /// The usage event of a chat stream, which a client that did not ask for it must not see.
    UsageOnly,
    /// The answer is complete.
    End,
    /// The upstream reports a failure in the stream.
    Failure(Failure),
    /// Not in the protocol.
    Garbage,
}

/// A failure as the upstream words it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The upstream's code, or its type where it has no code.
    pub(crate) code: String,
    pub(crate) message: String,
}

/// What a call used, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Metered {
    pub(crate) tokens: Tokens,
    /// Whether the tokens are the upstream's own final report; they were counted here where it is false.
    pub(crate) exact: bool,
}

/// How tokens are counted that the upstream does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    /// Input tokens, about.
    pub(crate) input: u64,
    /// Factor on what is counted, in millionths: a count by letters may be short of the tokenizer's.
    pub(crate) ppm: i64,
}

impl Count {
    /// So many counted tokens with the factor, rounded up.
    fn scaled(self, tokens: u64) -> u64 {
        let scaled = u128::from(tokens) * u128::from(self.ppm.unsigned_abs());
        u64::try_from(scaled.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

impl From<u64> for Count {
    /// An estimate of the input, without a factor.
    fn from(input: u64) -> Self {
        Self {
            input,
            ppm: 1_000_000,
        }
    }
}

/// Watches one answer.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own that an event may bring, in any order"
)]
pub(crate) struct Tap {
    protocol: Protocol,
    reported: Option<Tokens>,
    messages: MessagesUsage,
    anomaly: Option<Anomaly>,
    /// The upstream's last word on usage was heard.
    usage_final: bool,
    finished: bool,
    /// The answer said why it stops; its last event may still be to come.
    stopped: bool,
    /// The answer stopped at its output limit.
    truncated: bool,
    delivered: bool,
    text: TextCount,
    searches: Searches,
    /// The model that the answer says it is from.
    named: Option<String>,
    /// The id of a response.
    response: Option<String>,
}

/// Letters of a model's name that are kept.
const LONGEST_NAME: usize = 200;

/// Searches of hosted tools that passed as parts of the answer.
#[derive(Clone, Copy, Debug, Default)]
struct Searches {
    web: u64,
    file: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct TextCount {
    ascii: u64,
    wide: u64,
}

impl Tap {
    /// A tap on an answer in this protocol.
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            reported: None,
            messages: MessagesUsage::default(),
            anomaly: None,
            usage_final: false,
            finished: false,
            stopped: false,
            truncated: false,
            delivered: false,
            text: TextCount::default(),
            searches: Searches::default(),
            named: None,
            response: None,
        }
    }

    /// The model that the answer says it is from, where it says so.
    pub(crate) fn named(&self) -> Option<&str> {
        self.named.as_deref()
    }

    /// The id under which the upstream may keep the answer; responses only.
    pub(crate) fn response(&self) -> Option<&str> {
        self.response.as_deref()
    }

    fn note_response(&mut self, id: Option<&RawValue>) {
        if self.protocol == Protocol::Responses && self.response.is_none() {
            self.response = id
                .map(text_of)
                .filter(|id| (1..=LONGEST_NAME).contains(&id.len()));
        }
    }

    fn note_name(&mut self, model: Option<&RawValue>) {
        if self.named.is_none() {
            let name = model.map(text_of).filter(|name| !name.is_empty());
            self.named = name.map(|name| name.chars().take(LONGEST_NAME).collect());
        }
    }

    /// In which protocol the answer comes.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Takes note of one frame of a stream.
    pub(crate) fn see(&mut self, frame: &Frame) -> Seen {
        let data = frame.data.trim_ascii();
        if data.is_empty() {
            return Seen::Idle;
        }
        let seen = match self.protocol {
            Protocol::Chat | Protocol::Embeddings => self.see_chat(data),
            Protocol::Responses => self.see_responses(data),
            Protocol::Messages => self.see_messages(data),
        };
        match &seen {
            Some(Seen::Content) => self.delivered = true,
            // An answer of no words is one, where its upstream says what it took.
            Some(Seen::End) => {
                self.finished = true;
                self.delivered |= self.usage_final;
            }
            _ => {}
        }
        seen.unwrap_or(Seen::Garbage)
    }

    /// Takes note of a whole answer that does not stream.
    pub(crate) fn see_whole(&mut self, body: &[u8]) -> Seen {
        let Ok(whole) = serde_json::from_slice::<Whole<'_>>(body) else {
            return Seen::Garbage;
        };
        let answer = match self.protocol {
            Protocol::Chat => whole.choices,
            Protocol::Responses => whole.output,
            Protocol::Messages => whole.content,
            Protocol::Embeddings => whole.data,
        };
        self.note_name(whole.model);
        self.note_response(whole.id);
        self.report(whole.usage);
        self.recount(whole.output.or(whole.content));
        self.truncated = whole.is_truncated();
        let came_to_nothing = |status| is_word(status, "failed") || is_word(status, "cancelled");
        if self.protocol == Protocol::Responses && came_to_nothing(whole.status) {
            let error = whole.error.filter(|error| error.get() != "null");
            return Seen::Failure(error.map(failure).unwrap_or_default());
        }
        let Some(answer) = answer.filter(|raw| raw.get() != "null") else {
            return match whole.error {
                Some(error) if error.get() != "null" => Seen::Failure(failure(error)),
                _ => Seen::Garbage,
            };
        };
        if self.protocol != Protocol::Embeddings {
            self.text.add_strings(answer.get());
        }
        self.finished = true;
        self.delivered = true;
        self.usage_final = true;
        Seen::End
    }

    /// Whether any part of an answer has passed.
    pub(crate) fn delivered(&self) -> bool {
        self.delivered
    }

    /// Whether the answer came to its proper end. A chat stream may end after its finish reason without `[DONE]`.
    pub(crate) fn finished(&self) -> bool {
        self.finished
    }

    /// The upstream closed the stream after it said why the answer stops: that was the end, whatever should have followed.
    pub(crate) fn close(&mut self) {
        self.finished |= self.stopped;
    }

    /// Whether the answer stopped at its output limit, as far as it has come.
    pub(crate) fn truncated(&self) -> bool {
        self.truncated
    }

    /// What is wrong with the usage that the upstream reported.
    pub(crate) fn anomaly(&self) -> Option<Anomaly> {
        self.anomaly
    }

    /// What the call used: the upstream's report, or what was counted over an estimate of the input.
    pub(crate) fn metered(&self, count: impl Into<Count>) -> Metered {
        let Metered { tokens, exact } = self.metered_tokens(count.into());
        let counted = self.searches.web;
        // A final report that counts searches is right where it differs: a search that failed is none.
        let web_searches = match (exact, self.protocol, tokens.web_searches) {
            (true, Protocol::Messages, reported) => reported,
            (true, _, reported) if reported > 0 => reported,
            (_, _, reported) => reported.max(counted),
        };
        Metered {
            tokens: Tokens {
                web_searches,
                file_searches: self.searches.file,
                ..tokens
            },
            exact,
        }
    }

    fn metered_tokens(&self, count: Count) -> Metered {
        let counted = Tokens {
            input: count.scaled(count.input),
            output: count.scaled(self.text.tokens()),
            requests: 1,
            ..Tokens::default()
        };
        if self.protocol == Protocol::Messages {
            return self.metered_messages(counted);
        }
        let reported = self.reported;
        match (reported, self.anomaly) {
            (Some(tokens), None) if self.usage_final && self.finished => Metered {
                tokens,
                exact: true,
            },
            (Some(tokens), None) => Metered {
                tokens: Tokens {
                    output: tokens.output.max(counted.output),
                    ..tokens
                },
                exact: false,
            },
            (None, _) | (_, Some(_)) => Metered {
                tokens: counted,
                exact: false,
            },
        }
    }

    /// Messages report in parts, so what is missing or cannot be is counted here and the rest stands.
    fn metered_messages(&self, counted: Tokens) -> Metered {
        let Some(tokens) = self.messages.tokens() else {
            return Metered {
                tokens: counted,
                exact: false,
            };
        };
        let whole = self.messages.has_input() && self.anomaly.is_none();
        if whole && self.usage_final && self.finished {
            return Metered {
                tokens,
                exact: true,
            };
        }
        let input = if self.messages.has_input() {
            tokens.input
        } else {
            counted.input
        };
        Metered {
            tokens: Tokens {
                input,
                output: tokens.output.max(counted.output),
                ..tokens
            },
            exact: false,
        }
    }

    fn see_chat(&mut self, data: &[u8]) -> Option<Seen> {
        if data == b"[DONE]" {
            return Some(Seen::End);
        }
        let chunk: Chunk<'_> = serde_json::from_slice(data).ok()?;
        if let Some(error) = chunk.error.filter(|raw| raw.get() != "null") {
            return Some(Seen::Failure(failure(error)));
        }
        self.note_name(chunk.model);
        let groq = chunk.x_groq.and_then(|groq| groq.usage);
        let usage = chunk.usage.filter(|raw| raw.get() != "null").or(groq);
        self.report(usage);
        self.usage_final |= usage.is_some();
        let choices = chunk.choices.unwrap_or_default();
        let mut opens = !self.delivered;
        for choice in &choices {
            // Some upstreams say at every chunk that there is no reason yet, by an empty one.
            if choice
                .finish_reason
                .is_some_and(|raw| !matches!(raw.get(), "null" | "\"\""))
            {
                self.finished = true;
                opens = false;
            }
            self.truncated |= is_word(choice.finish_reason, "length");
            if let Some(delta) = &choice.delta {
                opens &= delta.is_empty();
                self.count_delta(delta);
            }
        }
        if choices.is_empty() && usage.is_some() {
            return Some(Seen::UsageOnly);
        }
        Some(if opens { Seen::Opening } else { Seen::Content })
    }

    fn count_delta(&mut self, delta: &Delta<'_>) {
        for text in delta.texts().into_iter().flatten() {
            self.text.add_strings(text.get());
        }
        for call in delta.tool_calls.iter().flatten() {
            for part in [&call.function, &call.custom].into_iter().flatten() {
                self.text.add_call(part);
            }
        }
        if let Some(call) = &delta.function_call {
            self.text.add_call(call);
        }
        if let Some(audio) = &delta.audio
            && let Some(transcript) = audio.transcript
        {
            self.text.add_strings(transcript.get());
        }
    }

    fn see_responses(&mut self, data: &[u8]) -> Option<Seen> {
        if data == b"[DONE]" {
            return Some(Seen::Idle);
        }
        let event: ResponsesEvent<'_> = serde_json::from_slice(data).ok()?;
        if event.kind == "response.output_item.done"
            && let Some(item) = event.item
        {
            self.searches.add(item);
        }
        if let Some(delta) = event.delta {
            self.text.add_strings(delta.get());
        }
        match &*event.kind {
            "response.completed" | "response.incomplete" => {
                let response: Whole<'_> = serde_json::from_str(event.response?.get()).ok()?;
                self.note_name(response.model);
                self.note_response(response.id);
                self.report(response.usage);
                self.recount(response.output);
                self.truncated = response.is_truncated();
                self.usage_final = true;
                Some(Seen::End)
            }
            "response.failed" => {
                let response: Whole<'_> = serde_json::from_str(event.response?.get()).ok()?;
                self.report(response.usage);
                Some(Seen::Failure(
                    response.error.map(failure).unwrap_or_default(),
                ))
            }
            "error" => Some(Seen::Failure(Failure {
                code: event.code.map(text_of).unwrap_or_default(),
                message: event.message.map(text_of).unwrap_or_default(),
            })),
            "keepalive" => Some(Seen::Idle),
            "response.created" | "response.queued" | "response.in_progress" if !self.delivered => {
                Some(Seen::Opening)
            }
            _ => Some(Seen::Content),
        }
    }

    fn see_messages(&mut self, data: &[u8]) -> Option<Seen> {
        let event: MessagesEvent<'_> = serde_json::from_slice(data).ok()?;
        match &*event.kind {
            "ping" => Some(Seen::Idle),
            "error" => Some(Seen::Failure(event.error.map(failure).unwrap_or_default())),
            "message_stop" => Some(Seen::End),
            "message_start" => {
                let message: Whole<'_> = serde_json::from_str(event.message?.get()).ok()?;
                self.note_name(message.model);
                self.report(message.usage);
                Some(Seen::Opening)
            }
            "message_delta" => {
                self.report(event.usage);
                let delta = event
                    .delta
                    .and_then(|raw| serde_json::from_str::<Whole<'_>>(raw.get()).ok());
                if let Some(delta) = delta {
                    self.truncated |= delta.is_truncated();
                    self.stopped |= delta.stop_reason.is_some_and(|raw| raw.get() != "null");
                }
                self.usage_final |= event.usage.is_some();
                Some(Seen::Content)
            }
            _ => {
                if let Some(block) = event.content_block {
                    self.searches.add(block);
                }
                for text in [event.delta, event.content_block].into_iter().flatten() {
                    self.text.add_strings(text.get());
                }
                Some(Seen::Content)
            }
        }
    }

    /// Counts the searches of a whole list of output items, where there is one.
    fn recount(&mut self, output: Option<&RawValue>) {
        let items: Vec<&RawValue> = output
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default();
        let mut searches = Searches::default();
        for item in items {
            searches.add(item);
        }
        self.searches.web = self.searches.web.max(searches.web);
        self.searches.file = self.searches.file.max(searches.file);
    }

    /// Notes a usage report; a later one replaces an earlier one, be it better or worse. Those of Messages each bring a
    /// part: what was wrong in one stays so until that very number is said again.
    fn report(&mut self, usage: Option<&RawValue>) {
        let Some(usage) = usage.filter(|raw| raw.get() != "null") else {
            return;
        };
        let value = serde_json::from_str(usage.get()).unwrap_or(Value::Null);
        self.anomaly = match self.protocol {
            Protocol::Messages => {
                let before = self
                    .anomaly
                    .filter(|anomaly| !usage::says(&value, anomaly.field));
                before.or(self.messages.merge(&value).err())
            }
            _ => usage::openai(&value)
                .map(|tokens| self.reported = tokens.or(self.reported))
                .err(),
        };
    }
}

impl Searches {
    /// Counts an output item or content block that is a search. Opening a page that was found is none.
    fn add(&mut self, part: &RawValue) {
        let Ok(part) = serde_json::from_str::<Part<'_>>(part.get()) else {
            return;
        };
        let action = part
            .action
            .as_ref()
            .and_then(|action| action.kind.as_deref());
        match (part.kind.as_deref(), part.name.as_deref()) {
            (Some("web_search_call"), _) if action.is_none_or(|kind| kind == "search") => {
                self.web += 1;
            }
            (Some("server_tool_use"), Some("web_search")) => self.web += 1,
            (Some("file_search_call"), _) => self.file += 1,
            _ => {}
        }
    }
}

/// A part of an answer, as far as it may be a hosted tool's.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    action: Option<Action<'a>>,
}

#[derive(Deserialize)]
struct Action<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
}

impl TextCount {
    /// Adds the strings of a JSON value, which may itself be one; names and punctuation are not answer text.
    fn add_strings(&mut self, json: &str) {
        let (ascii, wide) = size::string_values(json.as_bytes());
        self.ascii += ascii;
        self.wide += wide;
    }

    fn add_call(&mut self, call: &Function<'_>) {
        for text in [call.name, call.arguments, call.input]
            .into_iter()
            .flatten()
        {
            self.add_strings(text.get());
        }
    }

    fn tokens(self) -> u64 {
        size::tokens_of(self.ascii, self.wide)
    }
}

/// The union of all whole answers: each protocol keeps its answer under another name.
#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    incomplete_details: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    x_groq: Option<Groq<'a>>,
}

impl Whole<'_> {
    /// Whether it stopped at its output limit, by the word of its protocol.
    fn is_truncated(&self) -> bool {
        let choices = self
            .choices
            .map(|raw| serde_json::from_str::<Vec<Choice<'_>>>(raw.get()));
        let cut = |choice: &Choice<'_>| is_word(choice.finish_reason, "length");
        let details = self.incomplete_details.map(RawValue::get);
        is_word(self.stop_reason, "max_tokens")
            || choices.is_some_and(|choices| choices.is_ok_and(|choices| choices.iter().any(cut)))
            || details.is_some_and(|details| details.contains("\"max_output_tokens\""))
    }
}

fn is_word(raw: Option<&RawValue>, word: &str) -> bool {
    raw.is_some_and(|raw| raw.get().trim_matches('"') == word)
}

#[derive(Deserialize)]
struct Groq<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow)]
    function_call: Option<Function<'a>>,
    #[serde(borrow)]
    audio: Option<Audio<'a>>,
}

impl<'a> Delta<'a> {
    /// What it brings of text; of thoughts that come in two forms, one.
    fn texts(&self) -> [Option<&'a RawValue>; 3] {
        let thought = self.reasoning_content.or(self.reasoning);
        let thought = thought.filter(|raw| !is_blank(raw));
        [
            self.content,
            thought.or(self.reasoning_details),
            self.refusal,
        ]
    }

    fn is_empty(&self) -> bool {
        self.texts().into_iter().flatten().all(is_blank)
            && self.tool_calls.as_ref().is_none_or(Vec::is_empty)
            && self.function_call.is_none()
            && self.audio.is_none()
    }
}

fn is_blank(raw: &RawValue) -> bool {
    matches!(raw.get(), "null" | "\"\"" | "[]")
}

#[derive(Deserialize)]
struct Audio<'a> {
    #[serde(borrow)]
    transcript: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    function: Option<Function<'a>>,
    #[serde(borrow)]
    custom: Option<Function<'a>>,
}

/// A call of a tool, of either kind.
#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ResponsesEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct MessagesEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// Reads an error object of either family; an error that is bare text is its own message.
pub(crate) fn failure(error: &RawValue) -> Failure {
    let value: Value = serde_json::from_str(error.get()).unwrap_or(Value::Null);
    let part = |name| value.get(name).and_then(Value::as_str);
    Failure {
        code: part("code").or(part("type")).unwrap_or_default().to_owned(),
        message: part("message")
            .or(value.as_str())
            .unwrap_or_default()
            .to_owned(),
    }
}

fn text_of(raw: &RawValue) -> String {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sse::Splitter;
    use Protocol::{Chat, Embeddings, Messages, Responses};

    const CHAT: &str = concat!(
        ": keep-alive\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello there\"},\"finish_reason\":null}],\"usage\":null}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1200,\"completion_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":1024}}}\n\n",
        "data: [DONE]\n\n",
    );
    const RESPONSES: &str = concat!(
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"usage\":null}}\n\n",
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hello there\"}\n\n",
        "event: response.incomplete\ndata: {\"type\":\"response.incomplete\",\"response\":{\"usage\":{\"input_tokens\":10,\"output_tokens\":2}}}\n\n",
    );
    const MESSAGES: &str = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":176,\"cache_read_input_tokens\":1024,\"output_tokens\":1}}}\n\n",
        "event: ping\ndata: {\"type\":\"ping\"}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello there\"}}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":4}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );

    fn watch(protocol: Protocol, stream: &str) -> (Tap, Vec<Seen>) {
        let mut tap = Tap::new(protocol);
        let mut splitter = Splitter::new(1 << 20);
        splitter.push(stream.as_bytes());
        let mut seen = Vec::new();
        while let Some(frame) = splitter.next_frame().expect("small frames") {
            seen.push(tap.see(&frame));
        }
        (tap, seen)
    }

    fn tokens(input: u64, cache_read: u64, output: u64) -> Tokens {
        Tokens {
            input,
            cache_read,
            output,
            requests: 1,
            ..Tokens::default()
        }
    }

    #[test]
    fn a_complete_stream_is_metered_exactly() {
        for (protocol, stream, expected) in [
            (Chat, CHAT, tokens(176, 1024, 4)),
            (Responses, RESPONSES, tokens(10, 0, 2)),
            (Messages, MESSAGES, tokens(176, 1024, 4)),
        ] {
            let (tap, seen) = watch(protocol, stream);

            assert_eq!(seen.last(), Some(&Seen::End), "{protocol:?}");
            assert!(tap.finished() && tap.delivered());
            assert_eq!(
                tap.metered(99),
                Metered {
                    tokens: expected,
                    exact: true
                }
            );
        }
    }

    #[test]
    fn a_cut_stream_is_counted_from_the_text_that_passed() {
        for (protocol, stream, end, input) in [
            (Chat, CHAT, "\"stop\"", (99, 0)),
            (Responses, RESPONSES, "event: response.incomplete", (99, 0)),
            (Messages, MESSAGES, "event: message_delta", (176, 1024)),
        ] {
            let cut = stream.find(end).expect("the mark is there");
            let (tap, _) = watch(protocol, stream.get(..cut).expect("ASCII"));

            let metered = tap.metered(99);

            assert!(tap.delivered() && !tap.finished(), "{protocol:?}");
            assert!(!metered.exact);
            assert_eq!(metered.tokens, tokens(input.0, input.1, 3), "{protocol:?}");
        }
    }

    #[test]
    fn searches_of_hosted_tools_are_counted_as_they_pass_and_once() {
        let item = |kind: &str| {
            format!(r#"{{"type":"web_search_call","action":{{"type":"{kind}","query":"q"}}}}"#)
        };
        let output = format!(
            r#"[{},{},{{"type":"file_search_call"}},{{"type":"message","content":[]}}]"#,
            item("search"),
            item("open_page")
        );
        let done = |item: String| {
            format!("data: {{\"type\":\"response.output_item.done\",\"item\":{item}}}\n\n")
        };
        let cut = done(item("search")) + &done(item("search"));
        let whole = done(item("search"))
            + &done(item("open_page"))
            + &format!(
                "data: {{\"type\":\"response.completed\",\"response\":{{\"output\":{output},\"usage\":{{\"input_tokens\":1,\"output_tokens\":1}}}}}}\n\n"
            );
        let messages = concat!(
            "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n",
            "data: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"server_tool_use\",\"name\":\"web_search\",\"input\":{}}}\n\n",
            "data: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"server_tool_use\",\"name\":\"web_fetch\",\"input\":{}}}\n\n",
        );

        for (protocol, stream, web, file) in [
            (Responses, cut.as_str(), 2, 0),
            (Responses, whole.as_str(), 1, 1),
            (Messages, messages, 1, 0),
        ] {
            let tokens = watch(protocol, stream).0.metered(9).tokens;
            assert_eq!(
                (tokens.web_searches, tokens.file_searches),
                (web, file),
                "{stream}"
            );
        }
    }

    #[test]
    fn the_usage_event_of_chat_is_told_apart() {
        let (_, seen) = watch(Chat, CHAT);

        assert_eq!(seen[0], Seen::Idle);
        assert_eq!(seen[1..4], [Seen::Opening, Seen::Content, Seen::Content]);
        assert_eq!(seen[4], Seen::UsageOnly);
    }

    #[test]
    fn usage_that_cannot_be_is_replaced_by_a_count() {
        let (tap, _) = watch(
            Chat,
            &CHAT.replace("\"completion_tokens\":4", "\"completion_tokens\":-4"),
        );

        assert!(tap.anomaly().is_some());
        assert_eq!(
            tap.metered(99),
            Metered {
                tokens: tokens(99, 0, 3),
                exact: false
            }
        );
    }

    #[test]
    fn failures_are_recognised_in_every_protocol() {
        let failure = |code: &str, message: &str| {
            Seen::Failure(Failure {
                code: code.to_owned(),
                message: message.to_owned(),
            })
        };
        let table = [
            (
                Chat,
                "data: {\"error\":{\"message\":\"m\",\"type\":\"server_error\",\"code\":\"c\"}}\n\n",
                failure("c", "m"),
            ),
            (Chat, "data: {\"error\":\"m\"}\n\n", failure("", "m")),
            (
                Messages,
                "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n",
                failure("overloaded_error", "m"),
            ),
            (
                Responses,
                "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"c\",\"message\":\"m\"}}}\n\n",
                failure("c", "m"),
            ),
            (
                Responses,
                "data: {\"type\":\"error\",\"code\":\"c\",\"message\":\"m\",\"param\":null}\n\n",
                failure("c", "m"),
            ),
            (Chat, "data: <html>\n\n", Seen::Garbage),
            (Messages, "data: {\"no\":\"type\"}\n\n", Seen::Garbage),
            (Responses, "data: {{\n\n", Seen::Garbage),
        ];

        for (protocol, stream, expected) in table {
            let (tap, seen) = watch(protocol, stream);
            assert_eq!(seen, [expected], "{stream}");
            assert!(!tap.delivered());
        }
    }

    #[test]
    fn whole_answers_are_metered_too() {
        let table = [
            (
                Chat,
                r#"{"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#,
                tokens(5, 0, 2),
                true,
            ),
            (
                Chat,
                r#"{"choices":[{"message":{"role":"assistant","content":"Hello there"}}]}"#,
                tokens(99, 0, 3),
                false,
            ),
            (
                Responses,
                r#"{"status":"completed","error":null,"output":[],"usage":{"input_tokens":5,"output_tokens":2}}"#,
                tokens(5, 0, 2),
                true,
            ),
            (
                Messages,
                r#"{"type":"message","content":[],"usage":{"input_tokens":6,"output_tokens":3}}"#,
                tokens(6, 0, 3),
                true,
            ),
            (
                Embeddings,
                r#"{"object":"list","data":[{"embedding":[0.1]}],"usage":{"prompt_tokens":2,"total_tokens":2}}"#,
                tokens(2, 0, 0),
                true,
            ),
        ];

        for (protocol, body, expected, exact) in table {
            let mut tap = Tap::new(protocol);
            assert_eq!(tap.see_whole(body.as_bytes()), Seen::End, "{body}");
            assert_eq!(
                tap.metered(99),
                Metered {
                    tokens: expected,
                    exact
                },
                "{body}"
            );
        }
        let searched = br#"{"content":[{"type":"server_tool_use","name":"web_search","id":"s","input":{"query":"q"}}]}"#;
        let mut tap = Tap::new(Messages);
        assert_eq!(tap.see_whole(searched), Seen::End);
        assert_eq!(
            tap.metered(99).tokens.web_searches,
            1,
            "nobody else says so"
        );
        let mut tap = Tap::new(Chat);
        assert_eq!(tap.see_whole(b"<html>"), Seen::Garbage);
        assert!(matches!(
            tap.see_whole(br#"{"error":{"message":"m"}}"#),
            Seen::Failure(_)
        ));
    }
}
