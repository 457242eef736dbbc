//! What passes by on its way to the client: usage, the amount of text, how the answer ends.
//!
//! Every event is parsed once, borrowed from its frame. Where the upstream never says what a call used, or says what
//! cannot be, the text that passed is counted instead and the result says so.

mod choice;
mod form;
mod search;

use billing::rating::Tokens;
use entity::Protocol;
use serde_json::{Value, value::RawValue};

use self::{
    choice::Choices,
    form::{
        Chunk, Delta, Function, MessagesEvent, ResponsesEvent, Whole, is_empty_list, is_result,
        is_word, text_of,
    },
    search::Searches,
};
use super::{
    size,
    sse::Frame,
    text::Text,
    usage::{self, Anomaly, MessagesUsage},
};
pub(crate) use form::failure;

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

/// What has to be counted of a call.
#[derive(Debug)]
pub(crate) struct Owed {
    /// Whether its input has to be, too.
    pub(crate) input: bool,
    pub(crate) answer: Text,
}

/// What the tokenizer makes of it: tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Where it had to be counted.
    pub(crate) input: Option<u64>,
    pub(crate) output: u64,
}

/// How tokens are counted that the upstream does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    /// Input tokens, about.
    pub(crate) input: u64,
    /// Factor on what is counted, in millionths: our tokenizer's count may be short of the upstream's.
    pub(crate) ppm: i64,
}

impl Count {
    /// So many counted tokens with the factor, rounded up.
    pub(crate) fn scaled(self, tokens: u64) -> u64 {
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
    /// What of it the upstream said in so many words.
    said: Said,
    messages: MessagesUsage,
    /// Output of requests before the one whose text is counted, where a turn was sent again.
    before: u64,
    anomaly: Option<Anomaly>,
    /// The report is a sum that has not all of its parts.
    lacks: bool,
    /// The upstream's last word on usage was heard.
    usage_final: bool,
    finished: bool,
    /// The answer said why it stops; its last event may still be to come.
    stopped: bool,
    /// Which of several answers have begun and ended; chat only.
    choices: Choices,
    /// The answer stopped at its output limit.
    truncated: bool,
    delivered: bool,
    /// What has passed of it, but for names and punctuation.
    text: Text,
    /// What the tokenizer makes of what the upstream did not say.
    tally: Option<Tally>,
    searches: Searches,
    /// The model that the answer says it is from.
    named: Option<String>,
    /// The id of a response.
    response: Option<String>,
}

/// Which sides of a call have been reported.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    input: bool,
    output: bool,
}

impl Said {
    fn all(self) -> bool {
        self.input && self.output
    }
}

/// Bytes of an answer that are kept for the tokenizer: some four thousand tokens, more than most answers have.
const KEPT: usize = 16 << 10;
/// Letters of a model's name that are kept.
const LONGEST_NAME: usize = 200;

impl Tap {
    /// A tap on an answer in this protocol.
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            reported: None,
            said: Said::default(),
            messages: MessagesUsage::default(),
            before: 0,
            anomaly: None,
            lacks: false,
            usage_final: false,
            finished: false,
            stopped: false,
            choices: Choices::default(),
            truncated: false,
            delivered: false,
            text: Text::keeping(KEPT),
            tally: None,
            searches: Searches::default(),
            named: None,
            response: None,
        }
    }

    /// The same for a call that asks for several answers, which end one by one.
    pub(crate) fn awaiting(mut self, choices: u64) -> Self {
        self.choices = Choices::awaiting(choices);
        self
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

    /// A turn of Messages is sent again: so much was used by then, and what is counted begins anew.
    pub(crate) fn goes_on(&mut self, used: &Tokens) {
        self.messages = MessagesUsage::of(used);
        self.before = used.output;
        self.text = Text::keeping(KEPT);
        self.searches = Searches {
            web: used.web_searches,
            file: 0,
        };
    }

    /// What was reported of several requests is not all that they used, or has a number that cannot be.
    pub(crate) fn lacks(&mut self, anomaly: Option<Anomaly>) {
        self.lacks = true;
        self.anomaly = self.anomaly.or(anomaly);
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
        let is_none = |raw: &RawValue| {
            raw.get() == "null" || self.protocol == Protocol::Chat && is_empty_list(raw)
        };
        let Some(answer) = answer.filter(|raw| !is_none(raw)) else {
            return match whole.error {
                Some(error) if error.get() != "null" => Seen::Failure(failure(error)),
                _ => Seen::Garbage,
            };
        };
        match self.protocol {
            Protocol::Embeddings => {}
            Protocol::Messages => self.add_blocks(answer),
            Protocol::Chat | Protocol::Responses => self.add_strings(answer.get()),
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

    /// Whether it looks as if nothing but the end were to come: of several answers there may be fewer than were asked for.
    pub(crate) fn seems_finished(&self) -> bool {
        self.finished || self.protocol == Protocol::Chat && self.stopped
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
        let (input, output) = match self.tally {
            Some(tally) => (tally.input.unwrap_or(count.input), tally.output),
            None => (count.input, self.text.by_letters()),
        };
        let counted = Tokens {
            input: count.scaled(input),
            output: self.before.saturating_add(count.scaled(output)),
            requests: 1,
            ..Tokens::default()
        };
        if self.protocol == Protocol::Messages {
            return self.metered_messages(counted);
        }
        let reported = self.reported;
        match (reported, self.anomaly) {
            (Some(tokens), None)
                if self.usage_final && self.finished && self.told(&tokens).all() =>
            {
                Metered {
                    tokens,
                    exact: true,
                }
            }
            (Some(tokens), None) => Metered {
                tokens: Tokens {
                    input: if self.told(&tokens).input {
                        tokens.input
                    } else {
                        counted.input
                    },
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
        let told = self.told(&tokens);
        let whole = told.all() && self.anomaly.is_none() && !self.lacks;
        if whole && self.usage_final && self.finished {
            return Metered {
                tokens,
                exact: true,
            };
        }
        let input = if told.input {
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

    /// Which sides of a call are told by what was reported. No prompt takes no tokens and no words do: whoever does not know
    /// may say so by a zero.
    fn told(&self, tokens: &Tokens) -> Said {
        let said = match self.protocol {
            Protocol::Messages => Said {
                input: self.messages.has_input(),
                output: self.messages.has_output(),
            },
            Protocol::Chat | Protocol::Responses | Protocol::Embeddings => self.said,
        };
        Said {
            input: said.input && tokens.prompt() != Some(0),
            output: said.output && (tokens.output > self.before || self.text.letters() == 0),
        }
    }

    /// What has to be counted of a call that has ended; nothing where its upstream said it all.
    pub(crate) fn owed(&self) -> Option<Owed> {
        if self.metered(0).exact {
            return None;
        }
        let reported = match self.protocol {
            Protocol::Messages => self.messages.tokens(),
            Protocol::Chat | Protocol::Responses | Protocol::Embeddings => {
                self.reported.filter(|_| self.anomaly.is_none())
            }
        };
        let is_told = reported.is_some_and(|tokens| self.told(&tokens).input);
        Some(Owed {
            input: !is_told,
            answer: self.text.snapshot(),
        })
    }

    /// Takes the tokenizer's word instead of the count by letters.
    pub(crate) fn tally(&mut self, tally: Tally) {
        self.tally = Some(tally);
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
        let choices = chunk.choices.unwrap_or_default();
        let text_before = self.text.letters();
        let mut opens = !self.delivered;
        for choice in &choices {
            // Some upstreams say at every chunk that there is no reason yet, by an empty one.
            if choice
                .finish_reason
                .is_some_and(|raw| !matches!(raw.get(), "null" | "\"\""))
            {
                self.choices.end(choice.index);
                opens = false;
            } else {
                self.choices.begin(choice.index);
            }
            self.truncated |= is_word(choice.finish_reason, "length");
            if let Some(delta) = &choice.delta {
                opens &= delta.is_empty();
                self.count_delta(delta);
            }
        }
        self.stopped = self.choices.all_that_began_have_ended();
        self.finished |= self.choices.all_have_ended();
        // A report in the middle does not know what comes after it.
        self.usage_final =
            usage.is_some() || self.usage_final && self.text.letters() == text_before;
        if choices.is_empty() && usage.is_some() {
            return Some(Seen::UsageOnly);
        }
        Some(if opens { Seen::Opening } else { Seen::Content })
    }

    fn count_delta(&mut self, delta: &Delta<'_>) {
        for text in delta.texts().into_iter().flatten() {
            self.add_strings(text.get());
        }
        for call in delta.tool_calls.iter().flatten() {
            for part in [&call.function, &call.custom].into_iter().flatten() {
                self.add_call(part);
            }
        }
        if let Some(call) = &delta.function_call {
            self.add_call(call);
        }
        if let Some(audio) = &delta.audio
            && let Some(transcript) = audio.transcript
        {
            self.add_strings(transcript.get());
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
            self.add_strings(delta.get());
        }
        match &*event.kind {
            "response.completed" | "response.incomplete" => {
                let response: Whole<'_> = serde_json::from_str(event.response?.get()).ok()?;
                self.note_name(response.model);
                self.note_response(response.id);
                self.report(response.usage);
                self.recount(response.output);
                // Some upstreams say all of it at the end and nothing on the way.
                if self.text.letters() == 0
                    && let Some(output) = response.output
                {
                    self.add_strings(output.get());
                }
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
                self.usage_final |= self.report(event.usage);
                let delta = event
                    .delta
                    .and_then(|raw| serde_json::from_str::<Whole<'_>>(raw.get()).ok());
                if let Some(delta) = delta {
                    self.truncated |= delta.is_truncated();
                    self.stopped |= delta.stop_reason.is_some_and(|raw| raw.get() != "null");
                }
                Some(Seen::Content)
            }
            _ => {
                if let Some(block) = event.content_block {
                    self.searches.add(block);
                }
                let block = event.content_block.filter(|block| !is_result(block));
                // Within a text its quotes would be escaped.
                let delta = event
                    .delta
                    .filter(|delta| !delta.get().contains("\"citations_delta\""));
                let text_before = self.text.letters();
                for text in [delta, block].into_iter().flatten() {
                    self.add_strings(text.get());
                }
                self.usage_final &= self.text.letters() == text_before;
                Some(Seen::Content)
            }
        }
    }

    /// Adds the strings of a JSON value, which may itself be one; names and punctuation are not answer text.
    fn add_strings(&mut self, json: &str) {
        size::string_values(json.as_bytes(), |text| self.text.add(text));
    }

    /// Adds what a model has written of a message.
    fn add_blocks(&mut self, content: &RawValue) {
        let Ok(blocks) = serde_json::from_str::<Vec<&RawValue>>(content.get()) else {
            return self.add_strings(content.get());
        };
        for block in blocks.into_iter().filter(|block| !is_result(block)) {
            self.add_strings(block.get());
        }
    }

    fn add_call(&mut self, call: &Function<'_>) {
        for text in [call.name, call.arguments, call.input]
            .into_iter()
            .flatten()
        {
            self.add_strings(text.get());
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
    /// part: what was wrong in one stays so until that very number is said again. Answers whether it says the output.
    fn report(&mut self, usage: Option<&RawValue>) -> bool {
        let Some(usage) = usage.filter(|raw| raw.get() != "null") else {
            return false;
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
                .map(|tokens| self.take_report(&value, tokens))
                .err(),
        };
        says_output(&value)
    }

    /// What a report leaves out stays as an earlier one had it.
    fn take_report(&mut self, value: &Value, tokens: Option<Tokens>) {
        let Some(tokens) = tokens else {
            return;
        };
        // Nothing that was told shrinks to nothing.
        let before = self.reported.unwrap_or_default();
        let has_input = tokens.prompt() != Some(0) || before.prompt() == Some(0);
        let has_output = tokens.output > 0 || before.output == 0;
        let said = Said {
            input: says_any(value, ["prompt_tokens", "input_tokens"]) && has_input,
            // What is made of an embedding's input is no text.
            output: says_output(value) && has_output || self.protocol == Protocol::Embeddings,
        };
        let mut now = tokens;
        if let Some(before) = self.reported {
            if !said.input {
                now = Tokens {
                    output: now.output,
                    reasoning: now.reasoning,
                    output_audio: now.output_audio,
                    output_image: now.output_image,
                    ..before
                };
            }
            if !said.output {
                now = Tokens {
                    output: before.output,
                    reasoning: before.reasoning,
                    output_audio: before.output_audio,
                    output_image: before.output_image,
                    ..now
                };
            }
        }
        self.reported = Some(now);
        self.said.input |= said.input;
        self.said.output |= said.output;
    }
}

fn says_output(usage: &Value) -> bool {
    says_any(usage, ["completion_tokens", "output_tokens"])
}

fn says_any(usage: &Value, names: [&'static str; 2]) -> bool {
    names.iter().any(|name| usage::says(usage, name))
}

#[cfg(test)]
mod tests;
