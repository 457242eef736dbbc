//! What can go wrong on the way out, by what the caller can do about it.

use std::error::Error;

use crate::address::Refusal;

/// Why a request got no answer, or why its body ended early.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The address is not allowed; nothing was sent. The text tells the operator what to add.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// No connection came about (name, TCP, TLS or its time limit); nothing was sent, so another try is safe.
    #[error("could not connect: {0}")]
    Connect(String),
    /// The request left, but no answer began in time; whether the other side worked on it is unknown.
    #[error("no answer within the time limit")]
    NoAnswer,
    /// The body went silent for longer than the idle limit.
    #[error("the answer went silent")]
    Silent,
    /// The connection broke after the request left.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The body is longer than the caller's cap.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The cap in bytes.
        limit: usize,
    },
}

impl SendError {
    /// Whether it is certain that the other side never saw the request.
    pub fn never_sent(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Connect(_))
    }
}

impl From<reqwest::Error> for SendError {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if let Some(refusal) = refusal_in(&error) {
            return Self::Refused(refusal);
        }
        if error.is_connect() {
            return Self::Connect(root(&error));
        }
        if error.is_timeout() {
            return Self::Silent;
        }
        Self::Broken(root(&error))
    }
}

/// The resolver's refusal, wherever the client's error chain carries it.
fn refusal_in(error: &(dyn Error + 'static)) -> Option<Refusal> {
    let mut at = Some(error);
    while let Some(current) = at {
        if let Some(refusal) = current.downcast_ref::<Refusal>() {
            return Some(refusal.clone());
        }
        at = current.source();
    }
    None
}

/// The innermost cause: it alone says what happened, the layers above only say where.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut at = error;
    while let Some(inner) = at.source() {
        at = inner;
    }
    at.to_string()
}
