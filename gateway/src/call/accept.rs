//! Takes in a request's body: capped, in time, decoded in bounded steps.

use std::time::Duration;

use actix_web::{
    http::header::{self, HeaderMap},
    web::Payload,
};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use crate::{
    error::{Code, Refusal},
    gateway::Config,
    reply::text,
    wire::{
        encoding::{DecodeError, decode},
        gather::Gathered,
    },
};

/// What is read and thrown away at most, so that a refused client reads our answer and not a reset.
const THROWN_AWAY: usize = 64 << 20;
const THROWN_AWAY_WITHIN: Duration = Duration::from_secs(10);

/// The decoded body.
pub(super) async fn body(
    headers: &HeaderMap,
    payload: &mut Payload,
    config: &Config,
) -> Result<Bytes, Refusal> {
    check_type(headers)?;
    let announced = text(headers, header::CONTENT_LENGTH.as_str())
        .parse::<u64>()
        .unwrap_or(0);
    let announced = usize::try_from(announced).unwrap_or(usize::MAX);
    if announced > config.body_limit {
        return Err(too_large(config.body_limit));
    }

    let deadline = Instant::now() + config.body_deadline;
    let mut body = Gathered::expecting(announced);
    loop {
        let piece = timeout_at(deadline, payload.next())
            .await
            .map_err(|_| too_slow(config.body_deadline))?;
        match piece {
            None => break,
            Some(Ok(piece)) => body.add(&piece),
            Some(Err(error)) => {
                return Err(Refusal::new(
                    Code::InvalidRequest,
                    format!("The body ended early: {error}."),
                ));
            }
        }
        if body.len() > config.body_limit {
            return Err(too_large(config.body_limit));
        }
    }
    let encoding = text(headers, header::CONTENT_ENCODING.as_str());
    decode(encoding, body.whole(), config.body_limit).map_err(|error| undecoded(&error))
}

/// Reads what is left of a body that nobody wants, within limits.
pub(super) async fn discard(payload: &mut Payload) {
    let deadline = Instant::now() + THROWN_AWAY_WITHIN;
    let mut thrown_away = 0;
    while let Ok(Some(Ok(piece))) = timeout_at(deadline, payload.next()).await {
        thrown_away += piece.len();
        if thrown_away > THROWN_AWAY {
            return;
        }
    }
}

/// A body that says it is something else than JSON is refused; one that says nothing is read as JSON.
fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let content_type = text(headers, header::CONTENT_TYPE.as_str());
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let is_json = kind.is_empty()
        || kind.eq_ignore_ascii_case("application/json")
        || kind.eq_ignore_ascii_case("text/json")
        || kind.to_ascii_lowercase().ends_with("+json");
    if is_json {
        return Ok(());
    }
    Err(Refusal::new(
        Code::UnsupportedMediaType,
        format!(
            "The content type `{}` is not taken here; send JSON as `application/json`.",
            kind.chars().take(80).collect::<String>()
        ),
    ))
}

fn too_large(limit: usize) -> Refusal {
    Refusal::new(
        Code::RequestTooLarge,
        format!(
            "The request is larger than {} MB. Send fewer or smaller pictures, or a shorter conversation.",
            limit >> 20
        ),
    )
}

fn too_slow(limit: Duration) -> Refusal {
    Refusal::new(
        Code::RequestTimeout,
        format!(
            "The body did not arrive within {} seconds.",
            limit.as_secs()
        ),
    )
}

fn undecoded(error: &DecodeError) -> Refusal {
    match error {
        DecodeError::Unsupported(_) => Refusal::new(Code::UnsupportedMediaType, sentence(error)),
        DecodeError::TooLarge(limit) => too_large(*limit),
        DecodeError::Corrupt(_) => Refusal::new(Code::InvalidRequest, sentence(error)),
    }
}

/// A fragment of an error as a sentence.
pub(super) fn sentence(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => text,
    }
}
