//! Failures between protocols: what kind an upstream's error is, and how each protocol says it.

use serde_json::{Value, json};

use super::answer::Fault;

/// What kind of failure, as far as clients act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    BadRequest,
    ContextLength,
    TooLarge,
    RateLimit,
    Overloaded,
    Server,
}

impl FaultKind {
    /// Sorts a failure by its code or type, and by its words where the code is too general.
    pub(crate) fn of(fault: &Fault) -> Self {
        let message = fault.message.to_ascii_lowercase();
        if fault.code == "context_length_exceeded"
            || message.starts_with("prompt is too long")
            || message.contains("maximum context length")
            || message.contains("context window")
        {
            return Self::ContextLength;
        }
        match fault.code.as_str() {
            "request_too_large" => Self::TooLarge,
            "rate_limit_error" | "rate_limit_exceeded" => Self::RateLimit,
            "overloaded_error" | "server_is_overloaded" | "slow_down" => Self::Overloaded,
            "invalid_request_error" | "invalid_prompt" | "invalid_value" => Self::BadRequest,
            code if code.starts_with("invalid_") || code.starts_with("unsupported_") => {
                Self::BadRequest
            }
            _ => Self::Server,
        }
    }

    fn openai(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::BadRequest | Self::TooLarge => ("invalid_request_error", None),
            Self::ContextLength => ("invalid_request_error", Some("context_length_exceeded")),
            Self::RateLimit => ("rate_limit_error", Some("rate_limit_exceeded")),
            Self::Overloaded => ("server_error", Some("server_is_overloaded")),
            Self::Server => ("server_error", Some("server_error")),
        }
    }

    fn anthropic(self) -> &'static str {
        match self {
            Self::BadRequest | Self::ContextLength => "invalid_request_error",
            Self::TooLarge => "request_too_large",
            Self::RateLimit => "rate_limit_error",
            Self::Overloaded => "overloaded_error",
            Self::Server => "api_error",
        }
    }

    /// The code within a failed response, which Codex acts on.
    fn response(self) -> &'static str {
        match self {
            Self::BadRequest | Self::TooLarge => "invalid_prompt",
            Self::ContextLength => "context_length_exceeded",
            Self::RateLimit => "rate_limit_exceeded",
            Self::Overloaded => "server_is_overloaded",
            Self::Server => "server_error",
        }
    }
}

/// An error object of both `OpenAI` protocols.
pub(crate) fn openai(fault: &Fault) -> Value {
    let (kind, code) = FaultKind::of(fault).openai();
    json!({"message": fault.message, "type": kind, "param": null, "code": code})
}

/// An error object of a failed response.
pub(crate) fn response(fault: &Fault) -> Value {
    json!({"code": FaultKind::of(fault).response(), "message": fault.message})
}

/// An error object of Messages. Claude Code makes room when it reads that the prompt is too long.
pub(crate) fn anthropic(fault: &Fault) -> Value {
    let kind = FaultKind::of(fault);
    let said = &fault.message;
    let message = if kind == FaultKind::ContextLength && !said.starts_with("prompt is too long") {
        format!("prompt is too long: {said}")
    } else {
        said.clone()
    };
    json!({"type": kind.anthropic(), "message": message})
}
