//! How an answer speaks to the caller who asked: its ids, its names, what it may show.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{answer::Reason, carrier::Carriers};

/// What all answers to one request have in common.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    /// What ids are made of.
    pub(crate) id: String,
    /// The model as the caller named it.
    pub(crate) model: String,
    /// Seconds since 1970.
    pub(crate) created: i64,
    /// The caller of a chat stream asked for its usage.
    pub(crate) usage_asked: bool,
    /// The caller switched thinking off.
    pub(crate) hides_thoughts: bool,
    /// Input tokens, about, until the upstream tells.
    pub(crate) input_estimate: u64,
    /// Fields that a Responses answer repeats.
    pub(crate) echo: Map<String, Value>,
    pub(crate) carriers: Carriers,
}

/// Appends one event of a stream.
pub(super) fn event(out: &mut Vec<u8>, name: Option<&str>, data: &impl Serialize) {
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    // Memory takes whatever is written, and these values have texts for keys.
    drop(serde_json::to_writer(&mut *out, data));
    out.extend_from_slice(b"\n\n");
}

/// The `finish_reason` of a chat answer.
pub(super) fn finish_reason(reason: Reason) -> &'static str {
    match reason {
        Reason::End | Reason::StopSequence => "stop",
        Reason::Length => "length",
        Reason::Tools => "tool_calls",
        Reason::Refused | Reason::Filtered => "content_filter",
    }
}

/// The `stop_reason` of a message.
pub(super) fn stop_reason(reason: Reason) -> &'static str {
    match reason {
        Reason::End => "end_turn",
        Reason::StopSequence => "stop_sequence",
        Reason::Length => "max_tokens",
        Reason::Tools => "tool_use",
        Reason::Refused | Reason::Filtered => "refusal",
    }
}

/// Why a response is incomplete; none where it is complete.
pub(super) fn incomplete_reason(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::Length => Some("max_output_tokens"),
        Reason::Filtered => Some("content_filter"),
        Reason::End | Reason::StopSequence | Reason::Tools | Reason::Refused => None,
    }
}
