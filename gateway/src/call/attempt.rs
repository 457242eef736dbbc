//! One try at one channel, up to the first byte: what came of it decides whether another channel is tried.

use std::time::Duration;

use billing::rating::Tokens;
use bytes::Bytes;
use entity::{Protocol, Timestamp};
use outbound::{
    Answer, HeaderMap, HeaderValue, Method, SendError,
    header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER},
    provider,
};

use super::{
    Call,
    answer::{collect, open, read_whole, unsent},
    apart,
    cooldown::Severity,
    cover::Backing,
    events::Events,
    fault::{Refused, refused},
    foreign::{self, Crossing, Without},
    pause::Pauses,
    quirk,
    secret::Secrets,
};
use crate::{
    catalog::{Channel, Credential, Upstream, endpoint},
    error::Refusal,
    gateway::{Config, Gateway},
    sandbox,
    translate::{Compaction, without_carriers},
    wire::{
        sse::Frame,
        tap::{Seen, Tap},
    },
};

/// What came of it.
pub(super) enum Outcome {
    /// A stream whose first event is good, or that is silent at first.
    Stream(Box<Opened>),
    /// A whole answer.
    Whole { body: Bytes, tap: Box<Tap> },
    /// The upstream refuses the request itself; no other channel would take it.
    CallerFault(Refusal),
    /// This channel did not work; another may.
    Failed(Failed),
    /// The client went, or the process ends. With what had come of an answer that was put together here.
    Abandoned(Option<Box<Tap>>),
}

/// A stream that has begun.
pub(super) struct Opened {
    pub(super) events: Events,
    pub(super) tap: Tap,
    /// What has come of it, up to the first part of the answer.
    pub(super) first: Vec<(Frame, Seen)>,
    /// What no word of the upstream may repeat.
    pub(super) secrets: Secrets,
}

/// Why a channel did not work. The text is for operators, never for callers.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) severity: Severity,
    pub(super) why: String,
    /// The upstream does not know the key any more.
    pub(super) secret_refused: bool,
    /// The upstream's status; none where no answer came.
    pub(super) status: Option<u16>,
    /// Whether the upstream may have seen the request, so that it may have cost something.
    pub(super) sent: bool,
    /// What was used, where the upstream said so before it failed.
    pub(super) used: Option<Tokens>,
}

/// An upstream's answer, from wherever it came.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    /// It says that it comes as events.
    streams: bool,
    pub(super) body: outbound::BodyStream,
    /// Watches for pauses of the answer, where there may be some.
    pub(super) pauses: Option<Pauses>,
}

/// Tries a channel. Gives up when the client has been gone for the grace that is meant to learn the usage.
pub(super) async fn attempt(
    gateway: &Gateway,
    call: &Call,
    (channel, credential): (&Channel, Option<&Credential>),
    backing: &Backing<'_>,
) -> Outcome {
    let mut heard = None;
    let behind = (backing, &mut heard);
    let outcome = tokio::select! {
        biased;
        outcome = ask(gateway, call, (channel, credential), behind) => Some(outcome),
        () = backing.client.gone_for(call.drain) => None,
        () = gateway.inner.stopping.cancelled() => None,
    };
    match outcome {
        // Operators read these words, and they are stored.
        Some(Outcome::Failed(failed)) => Outcome::Failed(Failed {
            why: Secrets::of(credential).clean_text(&failed.why),
            ..failed
        }),
        Some(other) => other,
        None => Outcome::Abandoned(heard),
    }
}

async fn ask(
    gateway: &Gateway,
    call: &Call,
    (channel, credential): (&Channel, Option<&Credential>),
    (backing, heard): (&Backing<'_>, &mut Option<Box<Tap>>),
) -> Outcome {
    let upstream_model = channel
        .models
        .get(&call.model.id)
        .map_or(call.model.name.as_str(), String::as_str);
    let mut without = Without::default();
    loop {
        let crossing = foreign::cross(gateway, call, (channel, upstream_model), without);
        let dropped = crossing
            .as_ref()
            .map(|crossing| crossing.dropped.as_slice());
        let dropped = dropped.unwrap_or_default();
        backing.client.note_dropped(dropped);
        let body = match &crossing {
            Some(crossing) => crossing.body.clone(),
            None => native(call, upstream_model),
        };
        let to = (channel, credential);
        let reply = match send(gateway, call, to, crossing.as_ref(), body).await {
            Ok(reply) => reply,
            Err(error) => return Outcome::Failed(unsent(&error)),
        };

        if (200..300).contains(&reply.status) {
            return if call.reading.streamed {
                let secrets = Secrets::of(credential);
                open(gateway, call, crossing.as_ref(), reply, secrets).await
            } else {
                let behind = (backing, heard);
                match &crossing {
                    Some(crossing) if reply.streams => {
                        collect(gateway, call, crossing, reply, behind).await
                    }
                    crossing => read_whole(gateway, call, crossing.as_ref(), reply, behind).await,
                }
            };
        }
        match refused(call, credential, crossing.as_ref(), reply).await {
            Refused::Outcome(outcome) => return *outcome,
            // Each only once: the next request has none that could be refused.
            Refused::Thoughts => without.thoughts = true,
            Refused::Whole => without.whole = true,
        }
    }
}

/// The request for an upstream of its own protocol, with the smallest edits.
fn native(call: &Call, upstream_model: &str) -> Bytes {
    let body = call
        .reading
        .body_for(call.protocol, &call.body, upstream_model, call.output_limit);
    let body = apart::body(call.caller.key.tenant_id, &call.reading, &body).unwrap_or(body);
    without_carriers(call.protocol, &body).unwrap_or(body)
}

async fn send(
    gateway: &Gateway,
    call: &Call,
    (channel, credential): (&Channel, Option<&Credential>),
    crossing: Option<&Crossing>,
    body: Bytes,
) -> Result<Reply, SendError> {
    let upstream = crossing.map_or(call.protocol, |crossing| crossing.upstream);
    let config = &gateway.inner.config;
    match &channel.upstream {
        Upstream::Sandbox => {
            let reply = sandbox::answer(&sandbox::Visit {
                protocol: upstream,
                body: &body,
                id: call.visit.id.uuid().simple().to_string(),
                created: gateway.inner.clock.now().micros() / 1_000_000,
                pace: config.sandbox_pace,
            });
            Ok(Reply {
                status: reply.status,
                retry_after: None,
                streams: crossing.is_some_and(|crossing| crossing.streamed),
                body: reply.body,
                pauses: None,
            })
        }
        Upstream::Provider { kind, base, .. } => {
            let quirks = &channel.options.quirks;
            let body = if upstream == Protocol::Chat {
                quirk::chat_body(quirks, &body).unwrap_or(body)
            } else {
                body
            };
            let limit = match crossing {
                _ if streamed(call, crossing) => config.first_byte,
                Some(_) => short_answer(config, call.output_limit),
                None => config.whole_answer,
            };
            let url = provider::endpoint(*kind, base, asked(call, upstream, crossing));
            let order = outbound::Call {
                method: Method::POST,
                url: quirk::address(quirks, url),
                headers: headers(call, crossing, channel, credential),
                body,
                header_timeout: Some(limit),
                proxy: channel.proxy.clone(),
            };
            let pauses = crossing
                .filter(|crossing| crossing.may_pause)
                .map(|_| Pauses::new(gateway.clone(), order.clone()));
            let answer = gateway.inner.outbound.send(order).await?;
            Ok(Reply {
                pauses,
                status: answer.status().as_u16(),
                retry_after: retry_after(&answer, gateway.inner.clock.now()),
                streams: streams(&answer),
                body: answer.into_stream(),
            })
        }
    }
}

/// How long an upstream may take for an answer of so few tokens: as long as its stream might take to begin and be silent
/// once, and then to come slowly. Whoever waits for it shall not have gone by the time another channel is asked.
fn short_answer(config: &Config, tokens: u64) -> Duration {
    const SLOW_TOKEN: Duration = Duration::from_millis(250);
    let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
    let begun = config.first_byte.saturating_add(config.idle);
    begun
        .saturating_add(SLOW_TOKEN.saturating_mul(tokens))
        .min(config.whole_answer)
}

/// The endpoint of the upstream. One that speaks the caller's own protocol makes a conversation short itself.
fn asked(call: &Call, upstream: Protocol, crossing: Option<&Crossing>) -> provider::Endpoint {
    match (call.compaction, crossing) {
        (Some(Compaction::Endpoint), None) => provider::Endpoint::Compact,
        _ => endpoint(upstream),
    }
}

/// Headers from scratch: what the protocol needs, what the caller may say, what the operator set, and last the channel's
/// own secret, which nothing else can replace.
fn headers(
    call: &Call,
    crossing: Option<&Crossing>,
    channel: &Channel,
    credential: Option<&Credential>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let accept = if streamed(call, crossing) {
        "text/event-stream"
    } else {
        "application/json"
    };
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    // What the caller says to its own protocol means nothing to another.
    if crossing.is_none() {
        for (name, value) in &call.forwarded {
            headers.insert(name.clone(), value.clone());
        }
    }
    let mut headers = sealed(headers, channel, credential);
    if let Some(beta) = crossing.and_then(|crossing| crossing.beta) {
        add_beta(&mut headers, beta);
    }
    headers
}

/// Adds to what the operator may have set for the channel.
fn add_beta(headers: &mut HeaderMap, beta: &'static str) {
    const NAME: &str = "anthropic-beta";
    let set = headers.get(NAME).and_then(|set| set.to_str().ok());
    let all = match set {
        Some(set) => HeaderValue::from_str(&format!("{set},{beta}")),
        None => Ok(HeaderValue::from_static(beta)),
    };
    if let Ok(all) = all {
        headers.insert(NAME, all);
    }
}

/// Whether the upstream is asked for a stream.
fn streamed(call: &Call, crossing: Option<&Crossing>) -> bool {
    crossing.map_or(call.reading.streamed, |crossing| crossing.streamed)
}

/// With the channel's own headers and its secret.
pub(super) fn sealed(
    mut headers: HeaderMap,
    channel: &Channel,
    credential: Option<&Credential>,
) -> HeaderMap {
    for (name, value) in credential.iter().flat_map(|credential| &credential.headers) {
        // The version that the caller speaks goes before the usual one.
        if !(name == "anthropic-version" && headers.contains_key(name)) {
            headers.insert(name.clone(), value.clone());
        }
    }
    for (name, value) in &channel.extra {
        headers.insert(name.clone(), value.clone());
    }
    headers
}

/// When the upstream wants to be asked again: in seconds, in thousandths of them, or at a date.
fn retry_after(answer: &Answer, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| answer.headers().get(name)?.to_str().ok().map(str::trim);
    if let Some(wait) = text("retry-after-ms").and_then(|wait| wait.parse().ok()) {
        return Some(Duration::from_millis(wait));
    }
    wait_in(text(RETRY_AFTER.as_str())?, now)
}

fn wait_in(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    let left = at.timestamp().saturating_sub(now.micros() / 1_000_000);
    Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)))
}

fn streams(answer: &Answer) -> bool {
    answer
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// The caller's headers that an upstream of this protocol has to see.
pub(super) fn forwarded(
    protocol: Protocol,
    headers: &actix_web::http::header::HeaderMap,
) -> HeaderMap {
    let names: &[&'static str] = match protocol {
        Protocol::Messages => &["anthropic-version", "anthropic-beta"],
        Protocol::Responses => &["openai-beta"],
        Protocol::Chat | Protocol::Embeddings => &[],
    };
    let mut kept = HeaderMap::new();
    for name in names {
        // A list may come in several lines, which mean the same as one.
        let lines: Vec<&[u8]> = headers
            .get_all(*name)
            .map(actix_web::http::header::HeaderValue::as_bytes)
            .collect();
        if !lines.is_empty()
            && let Ok(value) = HeaderValue::from_bytes(&lines.join(&b", "[..]))
        {
            kept.insert(*name, value);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beta_is_told_beside_those_that_the_operator_set() {
        let mut headers = HeaderMap::new();
        add_beta(&mut headers, "a-1");
        add_beta(&mut headers, "b-2");

        assert_eq!(headers["anthropic-beta"], "a-1,b-2");
    }

    #[test]
    fn a_wait_is_read_in_seconds_and_as_a_date() {
        let now = Timestamp::from_micros(1_795_000_000_000_000);
        let table = [
            ("7", Some(7)),
            (
                "Wed, 18 Nov 2026 11:07:20 GMT",
                Some(1_795_000_040 - 1_795_000_000),
            ),
            ("Mon, 01 Jan 2024 00:00:00 GMT", Some(0)),
            ("soon", None),
        ];

        for (text, seconds) in table {
            let wait = wait_in(text, now).map(|wait| wait.as_secs());
            assert_eq!(wait, seconds, "{text}");
        }
    }
}
