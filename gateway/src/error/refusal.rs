//! One refusal: its code, what to tell the caller, and what the answer's headers must carry.

use std::time::Duration;

use bytes::Bytes;
use entity::rejection::Fix;

use super::Code;

/// Why this call is refused, ready to be put into an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    /// The true cause first, then the mend. Full sentences; no address and no request id, those are added.
    pub(crate) message: String,
    /// The field of the request to look at.
    pub(crate) field: Option<Box<str>>,
    /// How long to wait before another try makes sense.
    pub(crate) retry_after: Option<Duration>,
    /// When the window is whole again that refused the call.
    pub(crate) resets_at: Option<entity::Timestamp>,
    /// Another status than the code's own, where a client reads it better.
    pub(crate) other_status: Option<u16>,
    /// What the caller can do, where the code alone does not say it.
    pub(crate) mend: Option<Box<Fix>>,
    /// An upstream's own answer, passed on in full because the caller caused it and clients read its wording.
    pub(crate) verbatim: Option<Box<Verbatim>>,
}

/// An upstream's error answer as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verbatim {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

/// Clients honour hours and hang, so no answer asks for more.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

impl Refusal {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
            retry_after: None,
            resets_at: None,
            other_status: None,
            mend: None,
            verbatim: None,
        }
    }

    #[must_use]
    pub(crate) fn at(mut self, field: Option<impl Into<Box<str>>>) -> Self {
        self.field = field.map(Into::into);
        self
    }

    /// At least a second and at most a minute, whatever is asked.
    #[must_use]
    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait.clamp(Duration::from_secs(1), LONGEST_WAIT));
        self
    }

    #[must_use]
    pub(crate) fn until(mut self, resets_at: entity::Timestamp) -> Self {
        self.resets_at = Some(resets_at);
        self
    }

    #[must_use]
    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.other_status = Some(status);
        self
    }

    #[must_use]
    pub(crate) fn mended_by(mut self, fix: Fix) -> Self {
        self.mend = Some(Box::new(fix));
        self
    }

    /// What the caller can do.
    pub(crate) fn fix(&self) -> Fix {
        self.mend
            .as_deref()
            .cloned()
            .unwrap_or_else(|| self.code.fix(self.resets_at))
    }

    #[must_use]
    pub(crate) fn verbatim(mut self, status: u16, body: Bytes) -> Self {
        self.verbatim = Some(Box::new(Verbatim { status, body }));
        self
    }

    /// The error type in the `OpenAI` family: what the code says, unless the status blames the request.
    pub(crate) fn openai_type(&self) -> &'static str {
        match self.other_status {
            Some(400 | 413 | 422) => Code::InvalidRequest.openai_type(),
            _ => self.code.openai_type(),
        }
    }

    /// As [`Refusal::openai_type`], in Anthropic's envelope.
    pub(crate) fn anthropic_type(&self) -> &'static str {
        match self.other_status {
            Some(413) => Code::RequestTooLarge.anthropic_type(),
            Some(400 | 422) => Code::InvalidRequest.anthropic_type(),
            _ => self.code.anthropic_type(),
        }
    }

    /// The status on the wire.
    pub(crate) fn status(&self) -> u16 {
        self.verbatim
            .as_ref()
            .map(|answer| answer.status)
            .or(self.other_status)
            .unwrap_or_else(|| self.code.status())
    }
}
