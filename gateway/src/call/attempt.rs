//! One try at one channel, up to the first byte: what came of it decides whether another channel is tried.

use std::time::Duration;

use bytes::Bytes;
use entity::Protocol;
use outbound::{
    Answer, HeaderMap, HeaderValue, Method, SendError,
    header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER},
    provider,
};
use tokio::time::timeout;

use super::{
    Call,
    client::Client,
    cooldown::Severity,
    events::{Events, whole},
    fault::{Refused, refused},
    foreign::{self, Crossing},
};
use crate::{
    catalog::{Channel, Upstream, endpoint},
    error::Refusal,
    gateway::Gateway,
    sandbox,
    translate::without_carriers,
    wire::{
        sse::Frame,
        tap::{Failure, Seen, Tap},
    },
};

/// What came of it.
pub(super) enum Outcome {
    /// A stream whose first event is good, or that is silent at first.
    Stream(Box<Opened>),
    /// A whole answer.
    Whole { body: Bytes, tap: Tap },
    /// The upstream refuses the request itself; no other channel would take it.
    CallerFault(Refusal),
    /// This channel did not work; another may.
    Failed(Failed),
    /// The client went, or the process ends.
    Abandoned,
}

/// A stream that has begun.
pub(super) struct Opened {
    pub(super) events: Events,
    pub(super) tap: Tap,
    pub(super) first: Option<(Frame, Seen)>,
}

/// Why a channel did not work. The text is for operators, never for callers.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) severity: Severity,
    pub(super) why: String,
    /// The upstream does not know the channel's secret any more.
    pub(super) secret_refused: bool,
}

/// An upstream's answer, from wherever it came.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    /// It says that it comes as events.
    streams: bool,
    pub(super) body: outbound::BodyStream,
}

/// Tries a channel. Gives up when the client has been gone for the grace that is meant to learn the usage.
pub(super) async fn attempt(
    gateway: &Gateway,
    call: &Call,
    channel: &Channel,
    client: &Client,
) -> Outcome {
    tokio::select! {
        biased;
        outcome = ask(gateway, call, channel, client) => outcome,
        () = client.gone_for(gateway.inner.config.drain) => Outcome::Abandoned,
        () = gateway.inner.stopping.cancelled() => Outcome::Abandoned,
    }
}

async fn ask(gateway: &Gateway, call: &Call, channel: &Channel, client: &Client) -> Outcome {
    let upstream_model = channel
        .models
        .get(&call.model.id)
        .map_or(call.model.name.as_str(), String::as_str);
    let mut crossing = foreign::cross(gateway, call, channel, upstream_model);
    loop {
        let dropped = crossing
            .as_ref()
            .map(|crossing| crossing.dropped.as_slice());
        client.note_dropped(dropped.unwrap_or_default());
        let body = match &crossing {
            Some(crossing) => crossing.body.clone(),
            None => native(call, upstream_model),
        };
        let reply = match send(gateway, call, channel, crossing.as_ref(), body).await {
            Ok(reply) => reply,
            Err(error) => return Outcome::Failed(unsent(&error)),
        };

        if (200..300).contains(&reply.status) {
            return if call.reading.streamed {
                open(gateway, call, crossing.as_ref(), reply).await
            } else {
                match &crossing {
                    Some(crossing) if reply.streams => collect(gateway, crossing, reply).await,
                    crossing => read_whole(gateway, call, crossing.as_ref(), reply).await,
                }
            };
        }
        match refused(call, crossing.as_ref(), reply).await {
            Refused::Outcome(outcome) => return *outcome,
            // Only once: the next request has none that could be refused.
            Refused::Thoughts => {
                crossing = foreign::without_thoughts(gateway, call, channel, upstream_model);
            }
        }
    }
}

/// The request for an upstream of its own protocol, with the smallest edits.
fn native(call: &Call, upstream_model: &str) -> Bytes {
    let body = call
        .reading
        .body_for(call.protocol, &call.body, upstream_model, call.output_limit);
    without_carriers(call.protocol, &body).unwrap_or(body)
}

async fn send(
    gateway: &Gateway,
    call: &Call,
    channel: &Channel,
    crossing: Option<&Crossing>,
    body: Bytes,
) -> Result<Reply, SendError> {
    let upstream = crossing.map_or(call.protocol, |crossing| crossing.upstream);
    let config = &gateway.inner.config;
    match &channel.upstream {
        Upstream::Sandbox => {
            let reply = sandbox::answer(&sandbox::Visit {
                protocol: call.protocol,
                body: &body,
                id: call.visit.id.uuid().simple().to_string(),
                created: gateway.inner.clock.now().micros() / 1_000_000,
                pace: config.sandbox_pace,
            });
            Ok(Reply {
                status: reply.status,
                retry_after: None,
                streams: false,
                body: reply.body,
            })
        }
        Upstream::Provider {
            kind,
            base,
            credential,
        } => {
            let limit = if call.reading.streamed || crossing.is_some() {
                config.first_byte
            } else {
                config.whole_answer
            };
            let answer = gateway
                .inner
                .outbound
                .send(outbound::Call {
                    method: Method::POST,
                    url: provider::endpoint(*kind, base, endpoint(upstream)),
                    headers: headers(call, crossing, credential),
                    body,
                    header_timeout: Some(limit),
                })
                .await?;
            Ok(Reply {
                status: answer.status().as_u16(),
                retry_after: retry_after(&answer),
                streams: streams(&answer),
                body: answer.into_stream(),
            })
        }
    }
}

/// Headers from scratch: what the protocol needs, what the caller may say, and the channel's own secret.
fn headers(call: &Call, crossing: Option<&Crossing>, credential: &HeaderMap) -> HeaderMap {
    let mut headers = credential.clone();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let accept = if call.reading.streamed || crossing.is_some() {
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
    headers
}

fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

fn streams(answer: &Answer) -> bool {
    answer
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// Waits for the first event, for a failure there can still be another channel's success. A long silence is let
/// through, so that the client gets its signs of life.
async fn open(
    gateway: &Gateway,
    call: &Call,
    crossing: Option<&Crossing>,
    reply: Reply,
) -> Outcome {
    let events = Events::new(reply.body);
    let mut opened = match crossing {
        Some(crossing) => Opened {
            events: events.translated(&crossing.translation, &gateway.inner.memory),
            tap: Tap::new(crossing.upstream),
            first: None,
        },
        None => Opened {
            events,
            tap: Tap::new(call.protocol),
            first: None,
        },
    };
    let first = timeout(gateway.inner.config.heartbeat, async {
        loop {
            let frame = match opened.events.next().await {
                Ok(Some(frame)) => frame,
                Ok(None) => return Err("the answer ended before it began".to_owned()),
                Err(error) => return Err(error),
            };
            match opened.tap.see(&frame) {
                Seen::Idle => {}
                Seen::Garbage => return Err("the answer is not in the protocol".to_owned()),
                Seen::Failure(failure) => return Err(wording(&failure)),
                seen @ (Seen::Content | Seen::UsageOnly | Seen::End) => return Ok((frame, seen)),
            }
        }
    })
    .await;
    match first {
        Ok(Ok(first)) => opened.first = Some(first),
        Ok(Err(why)) => return Outcome::Failed(passing(why)),
        Err(_) => {}
    }
    Outcome::Stream(Box::new(opened))
}

/// Reads a stream to its end for a caller who wants the answer whole: what streams is metered as it comes, and does not
/// die of a silence that is none. Nothing was shown yet, so a failure here too can be another channel's success.
async fn collect(gateway: &Gateway, crossing: &Crossing, reply: Reply) -> Outcome {
    let config = &gateway.inner.config;
    let mut events =
        Events::new(reply.body).collected(&crossing.translation, &gateway.inner.memory);
    let mut tap = Tap::new(crossing.upstream);
    let reading = async {
        loop {
            let next = timeout(config.idle, events.next()).await;
            let frame = match next {
                Ok(Ok(Some(frame))) => frame,
                Ok(Ok(None)) => return Err("the answer ended early".to_owned()),
                Ok(Err(why)) => return Err(why),
                Err(_) => return Err("the upstream went silent".to_owned()),
            };
            match tap.see(&frame) {
                Seen::Idle | Seen::Content | Seen::UsageOnly => {}
                Seen::End => return Ok(frame.raw),
                Seen::Failure(failure) => return Err(wording(&failure)),
                Seen::Garbage => return Err("an event is not in the protocol".to_owned()),
            }
        }
    };
    match timeout(config.whole_answer, reading).await {
        Ok(Ok(body)) if !body.is_empty() => Outcome::Whole { body, tap },
        Ok(Ok(_)) => Outcome::Failed(passing("the answer is too large".to_owned())),
        Ok(Err(why)) => Outcome::Failed(passing(why)),
        Err(_) => Outcome::Failed(passing("no whole answer in time".to_owned())),
    }
}

async fn read_whole(
    gateway: &Gateway,
    call: &Call,
    crossing: Option<&Crossing>,
    reply: Reply,
) -> Outcome {
    let config = &gateway.inner.config;
    let body = match timeout(config.whole_answer, whole(reply.body, config.idle)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return Outcome::Failed(unsent(&error)),
        Err(_) => return Outcome::Failed(passing("no whole answer in time".to_owned())),
    };
    let mut tap = Tap::new(crossing.map_or(call.protocol, |crossing| crossing.upstream));
    let seen = tap.see_whole(&body);
    let body = match crossing {
        Some(crossing) if seen == Seen::End => match crossing.translation.whole(&body) {
            Some(Ok(translated)) => translated,
            Some(Err(fault)) => return Outcome::Failed(passing(fault.message)),
            None => {
                return Outcome::Failed(passing("the answer is not in the protocol".to_owned()));
            }
        },
        _ => body,
    };
    match seen {
        Seen::Failure(failure) => Outcome::Failed(passing(wording(&failure))),
        Seen::Garbage => Outcome::Failed(passing("the answer is not in the protocol".to_owned())),
        Seen::Idle | Seen::Content | Seen::UsageOnly | Seen::End => Outcome::Whole { body, tap },
    }
}

fn unsent(error: &SendError) -> Failed {
    passing(error.to_string())
}

fn passing(why: String) -> Failed {
    Failed {
        severity: Severity::Passing,
        why,
        secret_refused: false,
    }
}

pub(super) fn wording(failure: &Failure) -> String {
    let message: String = failure.message.chars().take(300).collect();
    format!("{} {message}", failure.code).trim().to_owned()
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
        let value = headers
            .get(*name)
            .and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok());
        if let Some(value) = value {
            kept.insert(*name, value);
        }
    }
    kept
}
