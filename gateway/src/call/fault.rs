//! An upstream's error answer: whose fault it is, and what its words may say to the caller.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio::time::timeout;

use super::{
    Call,
    accept::sentence,
    answer::wording,
    attempt::{Failed, Outcome, Reply},
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
    let secrets = Secrets::of(credential);
    let body = secrets.clean(&body);
    let told = error_in(&body).map(|told| told.without(&secrets));
    let why = match &told {
        Some(told) => format!("status {status}: {}", wording(&told.failure)),
        None => format!("status {status}"),
    };
    let account = told
        .as_ref()
        .is_some_and(|told| told.is_account_fault(status));
    let stale = crossing.is_some_and(|crossing| crossing.has_thoughts)
        && status == 400
        && told
            .as_ref()
            .is_some_and(|told| foreign::refuses_thoughts(&told.failure));
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
                told.as_ref().map_or_else(
                    || "The upstream refused the request.".to_owned(),
                    |told| sentence(&told.failure.message.trim_end_matches('.')),
                ),
            );
            // A body passes as it is in the protocol's own form only; out of any other its words are taken.
            Outcome::CallerFault(match told {
                Some(told) if crossing.is_none() && told.is_enveloped => {
                    refusal.verbatim(status, body)
                }
                Some(told) => {
                    let words = foreign::error_body(call, status, &told.failure, (&body, &secrets));
                    refusal.verbatim(status, words)
                }
                None => refusal.with_status(status),
            })
        }
        401..=403 => Outcome::Failed(failed(status == 401, Severity::Account)),
        _ if account => Outcome::Failed(failed(false, Severity::Account)),
        _ => {
            let severity = match (status, reply.retry_after) {
                (429, wait) => Severity::Limited(wait),
                (_, Some(wait)) => Severity::Until(wait),
                (_, None) => Severity::Passing,
            };
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

/// Letters that are taken out of a body in a form of its own.
const LONGEST_WORDS: usize = 2_000;

/// An error body as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) failure: Failure,
    /// Whether it has the form of the protocols, so that clients can read it as it is.
    pub(super) is_enveloped: bool,
    kind: String,
    /// Whether it names the place in the request.
    has_place: bool,
}

/// What an error body says, in the protocols' own form or in one of those that servers of open models have: the words
/// at the top, or a `detail` that is text or a list of places and what is wrong there.
pub(super) fn error_in(body: &[u8]) -> Option<Told> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        error: Option<&'a RawValue>,
        message: Option<Value>,
        detail: Option<Value>,
    }
    // Gemini puts its error into a list.
    let listed: Option<Vec<&RawValue>> = serde_json::from_slice(body).ok();
    let (body, is_listed) = match listed.as_deref() {
        Some([only]) => (only.get().as_bytes(), true),
        _ => (body, false),
    };
    let envelope: Envelope<'_> = serde_json::from_slice(body).ok()?;
    if let Some(error) = envelope.error {
        return Some(told(error, !is_listed));
    }
    if envelope.message.as_ref().is_some_and(Value::is_string) {
        let mut told = told(serde_json::from_slice(body).ok()?, false);
        told.failure.message = bounded(&told.failure.message);
        return (!told.failure.message.is_empty()).then_some(told);
    }
    let detail = envelope.detail?;
    let message = bounded(&detail_in(&detail));
    (!message.is_empty()).then(|| Told {
        failure: Failure {
            code: String::new(),
            message,
        },
        is_enveloped: false,
        kind: String::new(),
        has_place: detail.is_array(),
    })
}

fn told(error: &RawValue, is_enveloped: bool) -> Told {
    let value: Value = serde_json::from_str(error.get()).unwrap_or_default();
    let part = |name| value.get(name).and_then(Value::as_str).unwrap_or_default();
    // Programs between write an absent value out, and some call the key a parameter.
    let no_place = ["", "None", "null", "key", "api_key", "authorization"];
    Told {
        failure: tap::failure(error),
        is_enveloped,
        kind: part("type").to_owned(),
        has_place: !no_place.contains(&part("param")),
    }
}

fn detail_in(detail: &Value) -> String {
    let Some(entries) = detail.as_array() else {
        return detail.as_str().unwrap_or_default().to_owned();
    };
    let lines = entries.iter().take(20).filter_map(|entry| {
        let said = entry.get("msg").and_then(Value::as_str)?;
        let place = entry.get("loc").and_then(Value::as_array);
        let place: Vec<String> = place
            .into_iter()
            .flatten()
            .map(|part| {
                part.as_str()
                    .map_or_else(|| part.to_string(), str::to_owned)
            })
            .collect();
        Some(if place.is_empty() {
            said.to_owned()
        } else {
            format!("{}: {said}", place.join("."))
        })
    });
    lines.collect::<Vec<_>>().join("; ")
}

fn bounded(words: &str) -> String {
    words.chars().take(LONGEST_WORDS).collect()
}

/// Codes and types by which providers complain about the account.
const ACCOUNT_CODES: [&str; 9] = [
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
/// Words that no request gives rise to.
const ACCOUNT_WORDS: [&str; 7] = [
    "credit balance",
    "spend limit",
    "usage limits",
    "insufficient balance",
    "incorrect api key",
    "invalid api key",
    "api key not valid",
];
/// Words that count where nothing else tells whose fault it is.
const LOOSE_WORDS: [&str; 2] = ["api key", "billing"];

impl Told {
    /// Whether the upstream complains about the account and not about the request. Providers say so with statuses that
    /// else mean the caller's fault; and where they mean it, the words may be the caller's own, so that codes and
    /// places count before them.
    pub(super) fn is_account_fault(&self, status: u16) -> bool {
        if ACCOUNT_CODES.contains(&self.kind.as_str()) {
            return true;
        }
        if !matches!(status, 400 | 422) {
            return is_account_fault(&self.failure);
        }
        let code = self.failure.code.as_str();
        if ACCOUNT_CODES.contains(&code) {
            return true;
        }
        if self.has_place || blames_request(code) || blames_request(&self.kind) {
            return false;
        }
        let words = unquoted(&self.failure.message).to_lowercase();
        // This type stands in complaints about the account as well, so it outweighs the loose words only.
        let is_plain = [code, &self.kind].contains(&"invalid_request_error");
        let loose = if is_plain { &[][..] } else { &LOOSE_WORDS };
        ACCOUNT_WORDS
            .iter()
            .chain(loose)
            .any(|word| words.contains(word))
    }

    /// With the secrets cut out of its words, however the body spelled them.
    fn without(mut self, secrets: &Secrets) -> Self {
        self.failure.code = secrets.clean_text(&self.failure.code);
        self.failure.message = secrets.clean_text(&self.failure.message);
        self
    }
}

/// Whether a code or a type says of itself that the request is at fault.
fn blames_request(code: &str) -> bool {
    let of_account = [
        "key",
        "auth",
        "quota",
        "billing",
        "credit",
        "credential",
        "organization",
        "account",
        "project",
        "payment",
        "subscription",
    ];
    code.starts_with("invalid_")
        && !code.starts_with("invalid_request")
        && !of_account.iter().any(|word| code.contains(word))
}

/// The words before the first quotation: what is quoted may be out of the request.
fn unquoted(message: &str) -> &str {
    let mut before = ' ';
    for (at, letter) in message.char_indices() {
        // Within a word it is an apostrophe.
        let opens = letter == '\'' && !before.is_alphanumeric();
        if opens || matches!(letter, '"' | '`' | '“' | '‘') {
            return message.get(..at).unwrap_or_default();
        }
        before = letter;
    }
    message
}

/// As [`Told::is_account_fault`], of a failure without a status.
pub(super) fn is_account_fault(failure: &Failure) -> bool {
    let message = failure.message.to_lowercase();
    ACCOUNT_CODES.contains(&failure.code.as_str())
        || ACCOUNT_WORDS
            .iter()
            .chain(&LOOSE_WORDS)
            .any(|word| message.contains(word))
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
            (
                r#"{"error":{"message":"Invalid schema for function 'get_billing_info'.","type":"invalid_request_error","code":"invalid_function_parameters","param":"tools[0].function.parameters"}}"#,
                false,
            ),
            (
                r#"{"error":{"message":"Unknown parameter: 'api key'.","type":"invalid_request_error","code":null,"param":"api key"}}"#,
                false,
            ),
            (
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"tools.0.name: get billing info is too long"}}"#,
                false,
            ),
            (
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Unexpected value(s) `credit balance` for the `anthropic-beta` header."}}"#,
                false,
            ),
            (
                r#"{"error":{"message":"Your organization's API key is disabled.","type":"bad_request","code":null,"param":null}}"#,
                true,
            ),
            (
                r#"{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","code":null,"param":"None"}}"#,
                true,
            ),
            (
                r#"{"error":{"message":"No billing account.","code":"invalid_billing_account"}}"#,
                true,
            ),
            (
                r#"{"error":{"message":"x","type":"insufficient_quota","code":"invalid_state","param":"model"}}"#,
                true,
            ),
            (
                r#"{"object":"error","message":"Insufficient balance","code":400}"#,
                true,
            ),
            (
                r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]"#,
                true,
            ),
            (
                r#"{"detail":[{"loc":["body","billing"],"msg":"extra fields not permitted"}]}"#,
                false,
            ),
        ];

        for (body, account) in table {
            let told = error_in(body.as_bytes()).expect("an error body");
            assert_eq!(told.is_account_fault(400), account, "{body}");
        }
        assert_eq!(error_in(b"<html>"), None);
    }

    #[test]
    fn words_outside_of_an_envelope_are_found() {
        let long = "x".repeat(5_000);
        let table = [
            (r#"{"object":"error","message":"Too long.","type":"BadRequestError","code":400}"#.to_owned(), Some("Too long.".to_owned())),
            (r#"{"detail":"No such parameter"}"#.to_owned(), Some("No such parameter".to_owned())),
            (
                r#"{"detail":[{"loc":["body","messages",0],"msg":"field required"},{"msg":"and more"},{"loc":1}]}"#.to_owned(),
                Some("body.messages.0: field required; and more".to_owned()),
            ),
            (format!(r#"{{"detail":"{long}"}}"#), Some("x".repeat(LONGEST_WORDS))),
            (r#"{"error":null,"message":"Bad"}"#.to_owned(), Some("Bad".to_owned())),
            (
                r#"[{"error":{"code":400,"message":"Too many tokens.","status":"INVALID_ARGUMENT"}}]"#.to_owned(),
                Some("Too many tokens.".to_owned()),
            ),
            ("[]".to_owned(), None),
            (r#"{"detail":[]}"#.to_owned(), None),
            (r#"{"message":"","detail":7}"#.to_owned(), None),
            ("{}".to_owned(), None),
        ];

        for (body, words) in table {
            let told = error_in(body.as_bytes());
            assert!(
                told.as_ref().is_none_or(|told| !told.is_enveloped),
                "{body}"
            );
            assert_eq!(told.map(|told| told.failure.message), words, "{body}");
        }
    }
}
