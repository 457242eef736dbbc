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
    /// Sorts a failure by the most precise of what it says: its words where a prompt is too long, which has many codes,
    /// then its code, its type and its status.
    pub(crate) fn of(fault: &Fault) -> Self {
        let message = fault.message.to_ascii_lowercase();
        if fault.code == "context_length_exceeded"
            || message.starts_with("prompt is too long")
            || message.contains("maximum context length")
            || message.contains("context window")
        {
            return Self::ContextLength;
        }
        Self::of_word(&fault.code)
            .or_else(|| Self::of_word(&fault.kind))
            .or_else(|| Self::of_status(fault.status?))
            .unwrap_or(Self::Server)
    }

    fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "request_too_large" => Self::TooLarge,
            "rate_limit_error" | "rate_limit_exceeded" => Self::RateLimit,
            "overloaded_error" | "server_is_overloaded" | "slow_down" => Self::Overloaded,
            "server_error" | "api_error" => Self::Server,
            word if word.starts_with("invalid_") || word.starts_with("unsupported_") => {
                Self::BadRequest
            }
            _ => return None,
        })
    }

    fn of_status(status: u16) -> Option<Self> {
        Some(match status {
            400 | 422 => Self::BadRequest,
            413 => Self::TooLarge,
            429 => Self::RateLimit,
            529 => Self::Overloaded,
            _ => return None,
        })
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
    let code = code.or(Some(fault.code.as_str()).filter(|code| !code.is_empty()));
    json!({"message": fault.message, "type": kind, "param": fault.param, "code": code})
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn a_failure_is_sorted_by_the_most_precise_word_and_keeps_its_code_and_field() {
        let bad = "invalid_request_error";
        // What the upstream says; type and code for OpenAI's clients; type for Anthropic's.
        let table = [
            (json!({"type": bad, "code": "unknown_parameter", "param": "x"}), bad, json!("unknown_parameter"), bad),
            (json!({"type": bad, "code": "decimal_above_max_value", "param": "temperature"}), bad, json!("decimal_above_max_value"), bad),
            (json!({"type": bad, "code": "missing_required_parameter"}), bad, json!("missing_required_parameter"), bad),
            (json!({"type": bad, "code": "content_policy_violation"}), bad, json!("content_policy_violation"), bad),
            (json!({"type": "BadRequestError", "code": 400}), bad, json!(null), bad),
            (json!({"type": "UnprocessableEntityError", "code": 422}), bad, json!(null), bad),
            (json!({"type": bad}), bad, json!(null), bad),
            (json!({"type": bad, "code": "context_length_exceeded"}), bad, json!("context_length_exceeded"), bad),
            (json!({"type": "tokens", "code": "rate_limit_exceeded"}), "rate_limit_error", json!("rate_limit_exceeded"), "rate_limit_error"),
            (json!({"type": "overloaded_error"}), "server_error", json!("server_is_overloaded"), "overloaded_error"),
            (json!({"type": "api_error"}), "server_error", json!("server_error"), "api_error"),
            (json!({"type": "server_error", "code": "odd"}), "server_error", json!("server_error"), "api_error"),
            (json!({"type": "InternalServerError", "code": 500}), "server_error", json!("server_error"), "api_error"),
            (json!({"type": "request_too_large"}), bad, json!(null), "request_too_large"),
            (json!("boom"), "server_error", json!("server_error"), "api_error"),
        ];

        for (error, kind, code, other) in table {
            let fault = Fault::read(&error);
            let told = openai(&fault);
            assert_eq!((&told["type"], &told["code"]), (&kind.into(), &code), "{error}");
            assert_eq!(told["param"], error.get("param").cloned().unwrap_or_default(), "{error}");
            assert_eq!(anthropic(&fault)["type"], other, "{error}");
        }
    }
}
