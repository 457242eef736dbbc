//! Answers that a Messages upstream pauses because its own tools took long: the turn is sent again with all that was
//! said, and what follows is told as if it had come in one answer, its usage summed up.

use billing::rating::Tokens;
use bytes::Bytes;
use entity::Protocol;
use futures_util::{FutureExt, future::BoxFuture};
use outbound::BodyStream;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::{Call, cover::Backing, events::whole};
use crate::{
    gateway::{Config, Gateway},
    wire::{
        size,
        sse::Frame,
        tap::Tap,
        text::by_letters,
        usage::{Anomaly, MessagesUsage},
    },
};

/// How often a turn is sent again at most.
const MOST_RESENDS: usize = 10;
/// Bytes of an answer that are kept to be sent again.
const MOST_BYTES: usize = 8 << 20;

/// What has come of a turn, and of the requests before it.
pub(super) struct Pauses {
    gateway: Gateway,
    /// The request as it was sent.
    order: outbound::Call,
    /// The answer so far, as it has to be sent back; none where it cannot be.
    content: Option<Vec<Value>>,
    /// Blocks of the request under way that are not complete, by their number, with the arguments of calls.
    open: Vec<(u64, Map<String, Value>, String)>,
    weight: usize,
    /// What the requests before this one used.
    before: Tokens,
    now: MessagesUsage,
    /// Input tokens of the request under way, about; none of the first, which the meter counts itself.
    next_input: u64,
    resends: usize,
    /// Nothing of the answer to what was sent last has come yet.
    unheard: bool,
    /// What cannot be in a report. Nothing is sent again after it.
    anomaly: Option<Anomaly>,
    /// The event that paused the answer.
    last: Option<(Frame, Map<String, Value>)>,
}

/// What a pause comes to, for whoever decides whether to go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    /// What all requests used so far.
    pub(super) used: Tokens,
    /// Input tokens of the next one, about.
    pub(super) next_input: u64,
}

impl Pause {
    /// What is used once the next request has left: its upstream has taken its input by then.
    pub(super) fn on_its_way(&self) -> Tokens {
        Tokens {
            input: self.used.input.saturating_add(self.next_input),
            ..self.used
        }
    }
}

impl Pauses {
    /// Watches the answer to a request.
    pub(super) fn new(gateway: Gateway, order: outbound::Call) -> Self {
        Self {
            gateway,
            order,
            content: Some(Vec::new()),
            open: Vec::new(),
            weight: 0,
            before: Tokens::default(),
            now: MessagesUsage::default(),
            next_input: 0,
            resends: 0,
            unheard: false,
            anomaly: None,
            last: None,
        }
    }

    /// Watches an event; hands it on as what it is in one answer. Nothing where it pauses the answer.
    pub(super) fn see(&mut self, frame: Frame) -> Option<Frame> {
        let Ok(Value::Object(mut event)) = serde_json::from_slice(&frame.data) else {
            return Some(frame);
        };
        let kind = event
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        self.unheard &= matches!(kind, "ping" | "error");
        match kind {
            "message_start" => {
                self.report(
                    event
                        .get("message")
                        .and_then(|message| message.get("usage")),
                );
                if self.resends == 0 {
                    return Some(frame);
                }
                // To its reader the answer has begun already.
                let told = json!({"type": "message_delta", "delta": {"stop_reason": null},
                                  "usage": report_of(&self.used())});
                Some(with_data(frame, &told))
            }
            "content_block_start" | "content_block_delta" | "content_block_stop" => {
                self.weight = self.weight.saturating_add(frame.data.len());
                if self.weight > MOST_BYTES {
                    self.content = None;
                }
                self.keep(&event);
                Some(frame)
            }
            "message_delta" => {
                self.report(event.get("usage"));
                let reason = event
                    .get("delta")
                    .and_then(|delta| delta.get("stop_reason"));
                if reason.is_some_and(|reason| reason == "pause_turn") && self.can_go_on() {
                    self.last = Some((frame, event));
                    return None;
                }
                if self.resends == 0 {
                    return Some(frame);
                }
                event.insert("usage".to_owned(), report_of(&self.used()));
                Some(with_data(frame, &Value::Object(event)))
            }
            _ => Some(frame),
        }
    }

    /// Watches a whole answer; says whether it is paused.
    pub(super) fn see_whole(&mut self, body: &Map<String, Value>) -> bool {
        self.unheard = false;
        self.now = MessagesUsage::default();
        self.report(body.get("usage"));
        let blocks = body.get("content").and_then(Value::as_array);
        for block in blocks.into_iter().flatten() {
            self.weight = self.weight.saturating_add(block.to_string().len());
            self.complete(block.clone());
        }
        let paused = body
            .get("stop_reason")
            .is_some_and(|reason| reason == "pause_turn");
        paused && self.weight <= MOST_BYTES && self.can_go_on()
    }

    /// The whole answer with all that came before it.
    pub(super) fn merged(&self, body: Bytes, mut last: Map<String, Value>) -> Bytes {
        if self.before == Tokens::default() {
            return body;
        }
        let mut used = self.used();
        if !self.is_told() && used.output == self.before.output {
            let said = last.get("content").map(Value::to_string);
            size::string_values(said.unwrap_or_default().as_bytes(), |text| {
                used.output = used.output.saturating_add(by_letters(text));
            });
        }
        last.insert("usage".to_owned(), report_of(&used));
        if let Some(content) = &self.content {
            last.insert("content".to_owned(), content.clone().into());
        }
        Value::Object(last).to_string().into()
    }

    /// Tells the meter of an answer that is over what its report alone does not: whether a number is missing in the sum or
    /// cannot be, and that the last request came to nothing where nothing of its answer has come. One that was left at work
    /// has taken its input all the same.
    pub(super) fn account(&self, tap: &mut Tap, abandoned: bool) {
        if self.resends == 0 {
            return;
        }
        if self.unheard && !abandoned {
            let told = self.has_input();
            tap.goes_on(&if told { self.used() } else { self.before });
        }
        if self.anomaly.is_some() || !self.is_told() {
            tap.lacks(self.anomaly);
        }
    }

    /// Where a paused answer stands.
    pub(super) fn pause(&self) -> Pause {
        let spent = self.now.tokens().unwrap_or_default();
        Pause {
            used: self.used(),
            next_input: spent
                .prompt()
                .unwrap_or(u64::MAX)
                .saturating_add(spent.output),
        }
    }

    /// Whether the answer is paused and nobody has decided yet.
    pub(super) fn is_paused(&self) -> bool {
        self.last.is_some()
    }

    /// The events that end a paused answer after all.
    pub(super) fn end(&mut self) -> Vec<Frame> {
        let Some((frame, mut event)) = self.last.take() else {
            return Vec::new();
        };
        self.unheard = false;
        if self.resends > 0 {
            event.insert("usage".to_owned(), report_of(&self.used()));
        }
        let stop = with_data(frame.clone(), &json!({"type": "message_stop"}));
        vec![with_data(frame, &Value::Object(event)), stop]
    }

    /// Sends the turn again, for at most so many tokens of output. Nothing where the upstream would not take it.
    pub(super) fn resend(
        &mut self,
        output: u64,
    ) -> Option<BoxFuture<'static, Result<BodyStream, String>>> {
        let mut body: Value = serde_json::from_slice(&self.order.body).ok()?;
        let budget = body["thinking"]["budget_tokens"].as_u64();
        if budget.is_some_and(|budget| budget >= output) {
            return None;
        }
        let said = json!({"role": "assistant", "content": self.content.as_ref()?});
        body.get_mut("messages")?.as_array_mut()?.push(said);
        let limit = body["max_tokens"].as_u64().unwrap_or(output);
        body["max_tokens"] = limit.min(output).into();
        self.next_input = self.pause().next_input;
        self.resends += 1;
        self.unheard = true;
        let mut call = self.order.clone();
        call.body = body.to_string().into();
        let gateway = self.gateway.clone();
        let sending = async move {
            let answer = gateway.inner.outbound.send(call).await;
            let answer = answer.map_err(|error| error.to_string())?;
            let status = answer.status().as_u16();
            if !(200..300).contains(&status) {
                return Err(format!("status {status}"));
            }
            Ok(answer.into_stream())
        };
        Some(sending.boxed())
    }

    /// The next answer begins.
    pub(super) fn went_on(&mut self) {
        self.last = None;
        self.before = self.used();
        self.now = MessagesUsage::default();
        self.open.clear();
    }

    fn can_go_on(&self) -> bool {
        let said = self.content.as_ref();
        self.resends < MOST_RESENDS
            && self.anomaly.is_none()
            && self.is_told()
            && said.is_some_and(|content| !content.is_empty())
    }

    /// Whether the request under way has said what it used. Who does not know may say so by a zero.
    fn is_told(&self) -> bool {
        self.has_input() && self.now.tokens().is_some_and(|tokens| tokens.output > 0)
    }

    fn has_input(&self) -> bool {
        let prompt = self.now.tokens().map(|tokens| tokens.prompt() != Some(0));
        self.now.has_input() && prompt == Some(true)
    }

    fn report(&mut self, usage: Option<&Value>) {
        if let Some(usage) = usage.filter(|usage| usage.is_object())
            && let Err(anomaly) = self.now.merge(usage)
        {
            self.anomaly.get_or_insert(anomaly);
        }
    }

    /// What all requests used, as far as it is known.
    fn used(&self) -> Tokens {
        let (one, mut other) = (self.before, self.now.tokens().unwrap_or_default());
        if !self.has_input() {
            other.input = self.next_input;
        }
        Tokens {
            input: one.input.saturating_add(other.input),
            cache_read: one.cache_read.saturating_add(other.cache_read),
            cache_write_short: one
                .cache_write_short
                .saturating_add(other.cache_write_short),
            cache_write_long: one.cache_write_long.saturating_add(other.cache_write_long),
            output: one.output.saturating_add(other.output),
            reasoning: one.reasoning.saturating_add(other.reasoning),
            web_searches: one.web_searches.saturating_add(other.web_searches),
            requests: 1,
            ..Tokens::default()
        }
    }

    fn keep(&mut self, event: &Map<String, Value>) {
        if self.content.is_none() {
            return;
        }
        let index = event.get("index").and_then(Value::as_u64).unwrap_or(0);
        if let Some(block) = event.get("content_block") {
            match block.as_object() {
                Some(block) => self.open.push((index, block.clone(), String::new())),
                None => self.content = None,
            }
            return;
        }
        let Some(place) = self.open.iter().rposition(|(known, ..)| *known == index) else {
            return;
        };
        let Some(delta) = event.get("delta") else {
            let (_, mut block, args) = self.open.swap_remove(place);
            if !args.is_empty() {
                match serde_json::from_str(&args) {
                    Ok(input) => drop(block.insert("input".to_owned(), input)),
                    Err(_) => self.content = None,
                }
            }
            self.complete(block.into());
            return;
        };
        let grown = self
            .open
            .get_mut(place)
            .is_some_and(|(_, block, args)| grow(block, args, delta));
        if !grown {
            self.content = None;
        }
    }

    /// An empty text is refused when it comes back.
    fn complete(&mut self, block: Value) {
        let is_blank = block["type"] == "text"
            && block["text"]
                .as_str()
                .is_none_or(|text| text.trim().is_empty());
        if let Some(content) = &mut self.content
            && !is_blank
        {
            content.push(block);
        }
    }
}

/// A whole answer that its upstream paused, with what came of sending it again. What was used is in `heard` as long as more
/// of it is waited for.
pub(super) async fn continued(
    config: &Config,
    call: &Call,
    pauses: &mut Pauses,
    (first, backing, heard): (Bytes, &Backing<'_>, &mut Option<Box<Tap>>),
) -> Bytes {
    let mut body = first;
    loop {
        let Ok(answer) = serde_json::from_slice(&body) else {
            return body;
        };
        if !pauses.see_whole(&answer) {
            return pauses.merged(body, answer);
        }
        let pause = pauses.pause();
        let more = backing.more(call, pause).await;
        let Some(again) = more.and_then(|more| pauses.resend(more)) else {
            return pauses.merged(body, answer);
        };
        heard
            .get_or_insert_with(|| Box::new(Tap::new(Protocol::Messages)))
            .goes_on(&pause.on_its_way());
        let next = timeout(config.whole_answer, async {
            let body = whole(again.await?, config.idle).await;
            body.map_err(|error| error.to_string())
        });
        match next.await {
            // Anything but an answer leaves what there is.
            Ok(Ok(next)) if is_message(&next) => {
                pauses.went_on();
                body = next;
            }
            Ok(Ok(_)) | Err(_) => return pauses.merged(body, answer),
            Ok(Err(why)) => {
                tracing::warn!(request.id = %call.visit.id, "a paused answer stays as it is: {why}");
                return pauses.merged(body, answer);
            }
        }
    }
}

fn is_message(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Message {
        #[expect(dead_code, reason = "only its presence and form count")]
        content: Vec<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Message>(body).is_ok()
}

/// Adds to a block; whether it is known how.
fn grow(block: &mut Map<String, Value>, args: &mut String, delta: &Value) -> bool {
    let more = |name: &str| delta.get(name).and_then(Value::as_str).unwrap_or_default();
    let field = match more("type") {
        "text_delta" => "text",
        "thinking_delta" => "thinking",
        "signature_delta" => "signature",
        "input_json_delta" => {
            args.push_str(more("partial_json"));
            return true;
        }
        "citations_delta" => {
            let citation = delta.get("citation").cloned().unwrap_or_default();
            match block.get_mut("citations").and_then(Value::as_array_mut) {
                Some(citations) => citations.push(citation),
                None => drop(block.insert("citations".to_owned(), json!([citation]))),
            }
            return true;
        }
        _ => return false,
    };
    match block.get_mut(field) {
        Some(Value::String(said)) => said.push_str(more(field)),
        _ => drop(block.insert(field.to_owned(), more(field).into())),
    }
    true
}

fn with_data(frame: Frame, event: &Value) -> Frame {
    Frame {
        data: event.to_string().into(),
        ..frame
    }
}

/// Usage as the protocol reports it.
fn report_of(tokens: &Tokens) -> Value {
    json!({
        "input_tokens": tokens.input,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation_input_tokens": tokens.cache_write_short.saturating_add(tokens.cache_write_long),
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write_short,
            "ephemeral_1h_input_tokens": tokens.cache_write_long,
        },
        "output_tokens": tokens.output,
        "output_tokens_details": {"thinking_tokens": tokens.reasoning},
        "server_tool_use": {"web_search_requests": tokens.web_searches},
    })
}

/// Whether answers of an upstream may pause: those to tools that it runs itself.
pub(super) fn may_pause(upstream: Protocol, searches: bool) -> bool {
    upstream == Protocol::Messages && searches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_put_together_as_it_would_have_come_whole() {
        let delta = |kind: &str, field: &str, value: Value| json!({"type": kind, field: value});
        let cited = || json!({"type": "web_search_result_location", "url": "https://a.example"});
        // How a block begins, its deltas, and the block; none where it cannot be told.
        let table = [
            (
                json!({"type": "text", "text": "", "citations": null}),
                vec![
                    delta("text_delta", "text", "a".into()),
                    delta("citations_delta", "citation", cited()),
                    delta("text_delta", "text", "b".into()),
                    delta("citations_delta", "citation", cited()),
                ],
                Some(json!({"type": "text", "text": "ab", "citations": [cited(), cited()]})),
            ),
            (
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                vec![
                    delta("thinking_delta", "thinking", "hm".into()),
                    delta("signature_delta", "signature", "sig".into()),
                ],
                Some(json!({"type": "thinking", "thinking": "hm", "signature": "sig"})),
            ),
            (
                json!({"type": "compaction"}),
                vec![delta("compaction_delta", "content", "x".into())],
                None,
            ),
        ];

        for (block, deltas, expected) in table {
            let mut block = block.as_object().expect("an object").clone();
            let mut args = String::new();
            let known = deltas
                .iter()
                .all(|delta| grow(&mut block, &mut args, delta));
            assert_eq!(known.then_some(block.into()), expected);
        }
    }

    #[test]
    fn usage_is_reported_as_it_would_be_read() {
        let used = Tokens {
            input: 5,
            cache_read: 7,
            cache_write_short: 11,
            cache_write_long: 13,
            output: 17,
            reasoning: 3,
            web_searches: 2,
            requests: 1,
            ..Tokens::default()
        };
        let mut read = MessagesUsage::default();

        read.merge(&report_of(&used)).expect("sound");

        assert_eq!(read.tokens(), Some(used));
    }
}
