//! The envelopes: a refusal as a body, and as an event in a stream that has already begun.

use bytes::Bytes;
use entity::{HoldId, Protocol};
use serde_json::{Value, json};

use super::{Code, Refusal};

/// Which family of error bodies the caller reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    OpenAi,
    Responses,
    Anthropic,
}

impl From<Protocol> for Shape {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Chat | Protocol::Embeddings => Self::OpenAi,
            Protocol::Responses => Self::Responses,
            Protocol::Messages => Self::Anthropic,
        }
    }
}

/// Where the pages of this installation are; every message links them.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    /// The public address without a trailing slash.
    pub(crate) public_url: String,
}

impl Links {
    /// The whole text a caller sees: cause and mend, the page that mends it, the page that explains it, the request.
    pub(crate) fn message(&self, refusal: &Refusal, request: HoldId) -> String {
        let url = &self.public_url;
        let mend = refusal
            .code
            .console_path()
            .map(|path| format!(" Open {url}{path} to fix it."))
            .unwrap_or_default();
        format!(
            "{}{mend} See {url}/docs/errors#{} (request id: {request})",
            refusal.message,
            refusal.code.as_str()
        )
    }
}

/// A refusal's body.
pub(crate) fn render(shape: Shape, refusal: &Refusal, request: HoldId, links: &Links) -> Bytes {
    if let Some(answer) = &refusal.verbatim {
        return answer.body.clone();
    }
    let message = links.message(refusal, request);
    let body = match shape {
        Shape::Anthropic => json!({
            "type": "error",
            "error": {"type": refusal.anthropic_type(), "message": message},
            "request_id": request,
        }),
        Shape::OpenAi | Shape::Responses => {
            json!({"error": openai_error(shape, refusal, &message)})
        }
    };
    body.to_string().into()
}

/// A refusal as the protocol's own error event, for a stream under way.
///
/// A Responses client takes `response.failed` for the end; `opened` is the response object it has seen so far.
pub(crate) fn stream_event(
    protocol: Protocol,
    refusal: &Refusal,
    request: HoldId,
    links: &Links,
    opened: Option<&Value>,
) -> Bytes {
    let message = links.message(refusal, request);
    match protocol {
        Protocol::Chat | Protocol::Embeddings => {
            let body = json!({"error": openai_error(Shape::OpenAi, refusal, &message)});
            format!("data: {body}\n\n")
        }
        Protocol::Messages => {
            let body = json!({
                "type": "error",
                "error": {"type": refusal.anthropic_type(), "message": message},
                "request_id": request,
            });
            format!("event: error\ndata: {body}\n\n")
        }
        Protocol::Responses => {
            let mut response = opened
                .cloned()
                .filter(Value::is_object)
                .unwrap_or_else(|| json!({"id": format!("resp_{}", request.uuid().simple()), "object": "response", "output": []}));
            if let Some(fields) = response.as_object_mut() {
                let code = responses_code(refusal.code);
                fields.insert("status".to_owned(), "failed".into());
                fields.insert(
                    "error".to_owned(),
                    json!({"code": code, "message": message}),
                );
            }
            let body = json!({"type": "response.failed", "sequence_number": LAST_NUMBER, "response": response});
            format!("event: response.failed\ndata: {body}\n\n")
        }
    }
    .into()
}

/// Numbers rise in a stream; clients do not demand that they have no gaps.
const LAST_NUMBER: u32 = 1_000_000_000;

fn openai_error(shape: Shape, refusal: &Refusal, message: &str) -> Value {
    // Codex has fixed words for this type, and they are the true cause.
    let quota_at_responses = shape == Shape::Responses && refusal.code == Code::QuotaExhausted;
    let kind = if quota_at_responses {
        "usage_limit_reached"
    } else {
        refusal.openai_type()
    };
    let mut error = json!({
        "message": message,
        "type": kind,
        "param": refusal.field,
        "code": refusal.code.as_str(),
    });
    if let (Some(at), Some(fields)) = (refusal.resets_at, error.as_object_mut()) {
        fields.insert("resets_at".to_owned(), (at.micros() / 1_000_000).into());
    }
    error
}

/// Codex acts on this code: `invalid_prompt` is final and shows our text, `server_error` is tried again.
fn responses_code(code: Code) -> &'static str {
    match code.should_retry() {
        Some(true) => "server_error",
        Some(false) | None => "invalid_prompt",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Links {
        Links {
            public_url: "https://gate.example".to_owned(),
        }
    }

    fn request() -> HoldId {
        "01890a5d-ac96-774b-bcce-b302099a8057"
            .parse()
            .expect("an id")
    }

    fn parsed(shape: Shape, refusal: &Refusal) -> Value {
        serde_json::from_slice(&render(shape, refusal, request(), &links())).expect("JSON")
    }

    const TAIL: &str = "Open https://gate.example/console/redeem to fix it. See https://gate.example/docs/errors#insufficient_credits (request id: 01890a5d-ac96-774b-bcce-b302099a8057)";

    #[test]
    fn each_protocol_gets_its_own_envelope() {
        let refusal = Refusal::new(Code::InsufficientCredits, "Not enough credits.");

        assert_eq!(
            parsed(Shape::OpenAi, &refusal),
            json!({"error": {"message": format!("Not enough credits. {TAIL}"), "type": "insufficient_quota",
                             "param": null, "code": "insufficient_credits"}})
        );
        assert_eq!(
            parsed(Shape::Anthropic, &refusal),
            json!({"type": "error", "request_id": request(),
                   "error": {"type": "billing_error", "message": format!("Not enough credits. {TAIL}")}})
        );
    }

    #[test]
    fn an_exhausted_quota_reads_as_usage_limit_in_responses() {
        let refusal = Refusal::new(Code::QuotaExhausted, "The daily quota is used up.");

        assert_eq!(
            parsed(Shape::Responses, &refusal)["error"]["type"],
            "usage_limit_reached"
        );
        assert_eq!(
            parsed(Shape::OpenAi, &refusal)["error"]["type"],
            "insufficient_quota"
        );
    }

    #[test]
    fn an_upstream_answer_that_the_caller_caused_passes_word_for_word() {
        let answer = Bytes::from_static(
            b"{\"type\":\"error\",\"error\":{\"message\":\"prompt is too long\"}}",
        );
        let refusal = Refusal::new(Code::UpstreamError, "").verbatim(400, answer.clone());

        assert_eq!(
            render(Shape::Anthropic, &refusal, request(), &links()),
            answer
        );
        assert_eq!(refusal.status(), 400);
    }

    #[test]
    fn a_stream_ends_with_the_error_event_of_its_protocol() {
        let refusal = Refusal::new(Code::ChannelsFailed, "The upstream broke off.");
        let event = |protocol| {
            let bytes = stream_event(
                protocol,
                &refusal,
                request(),
                &links(),
                Some(&json!({"id": "resp_1"})),
            );
            String::from_utf8(bytes.to_vec()).expect("text")
        };

        assert!(event(Protocol::Chat).starts_with("data: {\"error\":{"));
        assert!(event(Protocol::Messages).starts_with("event: error\ndata: {"));
        let responses = event(Protocol::Responses);
        assert!(responses.starts_with("event: response.failed\ndata: {"));
        assert!(responses.contains("\"id\":\"resp_1\""));
        assert!(responses.contains("\"code\":\"server_error\""));
    }
}
