//! What can go wrong with a page. Each becomes a page in the reader's language; the cause goes to the log alone.

use crate::words::{Phrase, phrase};
use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use std::time::Duration;

/// Why a page was not shown or a form not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody is signed in; signing in leads back to `next`.
    #[error("sign-in needed")]
    SignInNeeded {
        /// The path to come back to.
        next: String,
    },
    /// Signed in, but not as an operator.
    #[error("operators only")]
    Forbidden,
    /// No such page, or a row of somebody else.
    #[error("not found")]
    NotFound,
    /// The page knows other methods.
    #[error("method not allowed")]
    Method {
        /// Which ones.
        allow: &'static str,
    },
    /// The form did not come from our own page.
    #[error("forged form")]
    Forged,
    /// The form could not be read.
    #[error("malformed form: {0}")]
    Malformed(String),
    /// The form is larger than any of ours.
    #[error("form too large")]
    TooLarge,
    /// The form did not arrive in time.
    #[error("form too slow")]
    TooSlow,
    /// Asked too often.
    #[error("too many requests")]
    TooMany {
        /// When to try again.
        wait: Duration,
    },
    /// Too much to do at this moment.
    #[error("overloaded")]
    Busy,
    /// The store did not answer.
    #[error("store")]
    Store(#[from] sea_orm::DbErr),
    /// A template did not render.
    #[error("template")]
    Template(#[from] askama::Error),
    /// Anything of ours that broke.
    #[error("internal: {0}")]
    Internal(String),
}

impl Error {
    /// A stable word for logs and tests.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SignInNeeded { .. } => "sign_in_needed",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Method { .. } => "method_not_allowed",
            Self::Forged => "forged_form",
            Self::Malformed(_) => "malformed_form",
            Self::TooLarge => "form_too_large",
            Self::TooSlow => "form_too_slow",
            Self::TooMany { .. } => "too_many_requests",
            Self::Busy => "busy",
            Self::Store(_) | Self::Template(_) | Self::Internal(_) => "internal",
        }
    }

    /// Heading and explanation for the reader.
    pub(crate) fn words(&self) -> (Phrase, Phrase) {
        match self {
            Self::SignInNeeded { .. } => (phrase("error-sign-in"), phrase("error-sign-in-text")),
            Self::Forbidden => (phrase("error-forbidden"), phrase("error-forbidden-text")),
            Self::NotFound => (phrase("error-not-found"), phrase("error-not-found-text")),
            Self::Method { .. } => (phrase("error-method"), phrase("error-method-text")),
            Self::Forged => (phrase("error-forged"), phrase("error-forged-text")),
            Self::Malformed(_) => (phrase("error-malformed"), phrase("error-malformed-text")),
            Self::TooLarge => (phrase("error-too-large"), phrase("error-too-large-text")),
            Self::TooSlow => (phrase("error-too-slow"), phrase("error-too-slow-text")),
            Self::TooMany { wait } => (
                phrase("error-too-many"),
                phrase("error-too-many-text").count("seconds", whole_seconds(*wait)),
            ),
            Self::Busy => (phrase("error-busy"), phrase("error-busy-text")),
            Self::Store(_) | Self::Template(_) | Self::Internal(_) => {
                (phrase("error-internal"), phrase("error-internal-text"))
            }
        }
    }

    /// Seconds for `Retry-After`, where waiting helps.
    pub(crate) fn retry_after(&self) -> Option<i64> {
        match self {
            Self::TooMany { wait } => Some(whole_seconds(*wait)),
            Self::Busy => Some(2),
            _ => None,
        }
    }
}

fn whole_seconds(wait: Duration) -> i64 {
    i64::try_from(wait.as_millis().div_ceil(1000).max(1)).unwrap_or(i64::MAX)
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::SignInNeeded { .. } => StatusCode::SEE_OTHER,
            Self::Forbidden | Self::Forged => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) | Self::Template(_) | Self::Internal(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// A bare answer: the frame puts the page around it, for only the frame knows the reader's language.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}
