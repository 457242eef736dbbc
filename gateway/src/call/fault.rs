//! An upstream's error answer: whose fault it is, and what its words may say to the caller.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::{
    Call,
    accept::sentence,
    attempt::{Failed, Outcome, Reply, wording},
    cooldown::Severity,
    foreign::{self, Crossing},
    secret::Secrets,
};
use crate::{
    catalog::Credential,
    error::{Code, Refusal},
    wire::tap::{self, Failure},
};

/// The largest error body worth reading.
const LONGEST_ERROR: usize = 1 << 20;
const ERROR_WITHIN: Duration = Duration::from_secs(10);

/// What becomes of an error answer.
pub(super) enum Refused {
    Outcome(Box<Outcome>),
    /// The upstream will not have its own earlier thoughts back; without them it may take the request.
    Thoughts,
    /// The upstream answers in a stream or not at all.
    Whole,
}

/// Sorts an error answer: the caller's fault passes through in full, an account's fault never does.
pub(super) async fn refused(
    call: &Call,
    credential: Option<&Credential>,
    crossing: Option<&Crossing>,
    reply: Reply,
) -> Refused {
    let status = reply.status;
    let body = timeout(ERROR_WITHIN, first_bytes(reply.body))
        .await
        .unwrap_or_default();
    let body = Secrets::of(credential).clean(&body);
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
    let only_streams = crossing.is_some_and(|crossing| !crossing.streamed)
        && matches!(status, 400 | 422)
        && foreign::refuses_whole(&body);
    if only_streams {
        return Refused::Whole;
    }
    let failed = |secret_refused, severity| Failed {
        severity,
        why,
        secret_refused,
        status: Some(status),
        sent: true,
        used: None,
    };
    let outcome = match status {
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
        401..=403 => Outcome::Failed(failed(status == 401, Severity::Account)),
        _ if account => Outcome::Failed(failed(false, Severity::Account)),
        _ => {
            let severity = reply.retry_after.map_or(Severity::Passing, Severity::Until);
            tracing::debug!(model.name = %call.model.name, "a channel refused with status {status}");
            Outcome::Failed(failed(false, severity))
        }
    };
    Refused::Outcome(Box::new(outcome))
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

pub(super) fn error_in(body: &[u8]) -> Option<Failure> {
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
