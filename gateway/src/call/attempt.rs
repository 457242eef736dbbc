//! One try at one channel, up to the first byte: what came of it decides whether another channel is tried.

use std::time::Duration;

use bytes::Bytes;
use entity::Protocol;
use outbound::{
    Answer, HeaderMap, HeaderValue, Method, SendError,
    header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER},
    provider,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::{
    Call,
    accept::sentence,
    client::Client,
    cooldown::Severity,
    events::{Events, whole},
    foreign::{self, Crossing},
};
use crate::{
    catalog::{Channel, Upstream, endpoint},
    error::{Code, Refusal},
    gateway::Gateway,
    sandbox,
    translate::without_carriers,
    wire::{
        sse::Frame,
        tap::{self, Failure, Seen, Tap},
    },
};

/// What came of it.
pub(super) enum Outcome {
    /// A stream whose first event is good, or that is silent at first.
    Stream(Opened),
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
struct Reply {
    status: u16,
    retry_after: Option<Duration>,
    body: outbound::BodyStream,
}

/// The largest error body worth reading.
const LONGEST_ERROR: usize = 1 << 20;
const ERROR_WITHIN: Duration = Duration::from_secs(10);

/// Tries a channel. Gives up when the client has been gone for the grace that is meant to learn the usage.
pub(super) async fn attempt(
    gateway: &Gateway,
    call: &Call,
    channel: &Channel,
    client: &Client,
) -> Outcome {
    tokio::select! {
        biased;
        outcome = ask(gateway, call, channel) => outcome,
        () = client.gone_for(gateway.inner.config.drain) => Outcome::Abandoned,
        () = gateway.inner.stopping.cancelled() => Outcome::Abandoned,
    }
}

async fn ask(gateway: &Gateway, call: &Call, channel: &Channel) -> Outcome {
    let upstream_model = channel
        .models
        .get(&call.model.id)
        .map_or(call.model.name.as_str(), String::as_str);
    let mut crossing = foreign::cross(gateway, call, channel, upstream_model);
    loop {
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
                read_whole(gateway, call, crossing.as_ref(), reply).await
            };
        }
        match refused(call, crossing.as_ref(), reply).await {
            Refused::Outcome(outcome) => return outcome,
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
                body: reply.body,
            })
        }
        Upstream::Provider {
            kind,
            base,
            credential,
        } => {
            let limit = if call.reading.streamed {
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
                body: answer.into_stream(),
            })
        }
    }
}

/// Headers from scratch: what the protocol needs, what the caller may say, and the channel's own secret.
fn headers(call: &Call, crossing: Option<&Crossing>, credential: &HeaderMap) -> HeaderMap {
    let mut headers = credential.clone();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let accept = if call.reading.streamed {
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
            events: events.translated(&crossing.translation),
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
    Outcome::Stream(opened)
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

/// What becomes of an error answer.
enum Refused {
    Outcome(Outcome),
    /// The upstream will not have its own earlier thoughts back; without them it may take the request.
    Thoughts,
}

/// Sorts an error answer: the caller's fault passes through in full, an account's fault never does.
async fn refused(call: &Call, crossing: Option<&Crossing>, reply: Reply) -> Refused {
    let status = reply.status;
    let body = timeout(ERROR_WITHIN, first_bytes(reply.body))
        .await
        .unwrap_or_default();
    let failure = error_in(&body);
    let why = match &failure {
        Some(failure) => format!("status {status}: {}", wording(failure)),
        None => format!("status {status}"),
    };
    let account = failure.as_ref().is_some_and(is_account_fault);
    let stale = crossing.is_some_and(|crossing| crossing.has_thoughts)
        && status == 400
        && failure.as_ref().is_some_and(foreign::refuses_thoughts);
    if stale {
        return Refused::Thoughts;
    }
    Refused::Outcome(match status {
        400 | 413 | 422 if !account => {
            let refusal = Refusal::new(
                Code::UpstreamError,
                failure.as_ref().map_or_else(
                    || "The upstream refused the request.".to_owned(),
                    |failure| sentence(&failure.message.trim_end_matches('.')),
                ),
            );
            // Only a body in the protocol's own form is worth its words.
            Outcome::CallerFault(match failure {
                Some(failure) if crossing.is_some() => {
                    refusal.verbatim(status, foreign::error_body(call, &failure))
                }
                Some(_) => refusal.verbatim(status, body),
                None => refusal.with_status(status),
            })
        }
        401..=403 => Outcome::Failed(Failed {
            severity: Severity::Account,
            why,
            secret_refused: status == 401,
        }),
        _ if account => Outcome::Failed(Failed {
            severity: Severity::Account,
            why,
            secret_refused: false,
        }),
        _ => {
            let severity = reply.retry_after.map_or(Severity::Passing, Severity::Until);
            tracing::debug!(model.name = %call.model.name, "{why}");
            Outcome::Failed(Failed {
                severity,
                why,
                secret_refused: false,
            })
        }
    })
}

async fn first_bytes(mut body: outbound::BodyStream) -> Bytes {
    use futures_util::StreamExt;

    let mut all = bytes::BytesMut::new();
    while let Some(Ok(piece)) = body.next().await {
        all.extend_from_slice(&piece);
        if all.len() > LONGEST_ERROR {
            return Bytes::new();
        }
    }
    all.freeze()
}

fn error_in(body: &[u8]) -> Option<Failure> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        error: &'a RawValue,
    }
    let envelope: Envelope<'_> = serde_json::from_slice(body).ok()?;
    Some(tap::failure(envelope.error))
}

/// Whether the upstream complains about the account and not about the request. Providers say so with statuses that
/// else mean the caller's fault.
pub(super) fn is_account_fault(failure: &Failure) -> bool {
    let codes = [
        "insufficient_quota",
        "billing_hard_limit_reached",
        "credit_balance_exhausted",
        "billing_error",
        "authentication_error",
        "permission_error",
        "invalid_api_key",
        "account_deactivated",
        "invalid_organization",
    ];
    let words = [
        "credit balance",
        "spend limit",
        "usage limits",
        "api key",
        "billing",
        "insufficient balance",
    ];
    let message = failure.message.to_lowercase();
    codes.contains(&failure.code.as_str()) || words.iter().any(|word| message.contains(word))
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

fn wording(failure: &Failure) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_the_account_are_told_from_faults_of_the_request() {
        let table = [
            (
                r#"{"error":{"code":"context_length_exceeded","message":"Input exceeds the context window."}}"#,
                false,
            ),
            (
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
                false,
            ),
            (
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API."}}"#,
                true,
            ),
            (
                r#"{"error":{"code":"insufficient_quota","type":"insufficient_quota","message":"x"}}"#,
                true,
            ),
            (
                r#"{"error":{"code":"invalid_api_key","message":"Incorrect API key provided."}}"#,
                true,
            ),
        ];

        for (body, account) in table {
            let failure = error_in(body.as_bytes()).expect("an error body");
            assert_eq!(is_account_fault(&failure), account, "{body}");
        }
        assert_eq!(error_in(b"<html>"), None);
    }
}
