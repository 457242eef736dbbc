//! The stable codes of refusals, with their statuses and the types that each protocol has for them.

use entity::{Timestamp, rejection::Fix};

/// Why a call was refused. The word is stable: it stands in the body, in `x-tollgate-code` and in the docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "each variant is its own word, explained under /docs/errors"
)]
pub enum Code {
    InvalidRequest,
    ModelRequired,
    MissingKey,
    InvalidKey,
    ForeignKey,
    KeyDisabled,
    KeyExpired,
    InsufficientCredits,
    InDebt,
    SpendCapReached,
    UserBanned,
    TenantSuspended,
    WalletFrozen,
    ModelBlocked,
    ModelNotInPlan,
    GroupMismatch,
    ProtocolNotAllowed,
    ClientNotAllowed,
    ModelNotFound,
    RouteNotFound,
    MethodNotAllowed,
    RequestTimeout,
    DuplicateRequest,
    IdempotencyKeyInUse,
    RequestTooLarge,
    UnsupportedMediaType,
    IdempotencyKeyReused,
    ConcurrencyLimit,
    RateLimited,
    QuotaExhausted,
    UpstreamError,
    NoChannel,
    ChannelsFailed,
    Overloaded,
    Draining,
    CreditExhausted,
    InternalError,
}

/// The facts of one code: word, HTTP status, type for the `OpenAI` family, type for Anthropic.
type Facts = (&'static str, u16, &'static str, &'static str);

impl Code {
    /// Every code, for docs and tests.
    pub const ALL: [Self; 37] = [
        Self::InvalidRequest,
        Self::ModelRequired,
        Self::MissingKey,
        Self::InvalidKey,
        Self::ForeignKey,
        Self::KeyDisabled,
        Self::KeyExpired,
        Self::InsufficientCredits,
        Self::InDebt,
        Self::SpendCapReached,
        Self::UserBanned,
        Self::TenantSuspended,
        Self::WalletFrozen,
        Self::ModelBlocked,
        Self::ModelNotInPlan,
        Self::GroupMismatch,
        Self::ProtocolNotAllowed,
        Self::ClientNotAllowed,
        Self::ModelNotFound,
        Self::RouteNotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::DuplicateRequest,
        Self::IdempotencyKeyInUse,
        Self::RequestTooLarge,
        Self::UnsupportedMediaType,
        Self::IdempotencyKeyReused,
        Self::ConcurrencyLimit,
        Self::RateLimited,
        Self::QuotaExhausted,
        Self::UpstreamError,
        Self::NoChannel,
        Self::ChannelsFailed,
        Self::Overloaded,
        Self::Draining,
        Self::CreditExhausted,
        Self::InternalError,
    ];

    fn facts(self) -> Facts {
        let request = "invalid_request_error";
        let key = "authentication_error";
        let right = "permission_error";
        let server = "server_error";
        match self {
            Self::InvalidRequest => ("invalid_request", 400, request, request),
            Self::ModelRequired => ("model_required", 400, request, request),
            Self::MissingKey => ("missing_key", 401, key, key),
            Self::InvalidKey => ("invalid_key", 401, key, key),
            Self::ForeignKey => ("foreign_key", 401, key, key),
            Self::KeyDisabled => ("key_disabled", 401, key, key),
            Self::KeyExpired => ("key_expired", 401, key, key),
            Self::InsufficientCredits => (
                "insufficient_credits",
                402,
                "insufficient_quota",
                "billing_error",
            ),
            Self::InDebt => ("in_debt", 402, "insufficient_quota", "billing_error"),
            Self::SpendCapReached => (
                "spend_cap_reached",
                402,
                "insufficient_quota",
                "billing_error",
            ),
            Self::UserBanned => ("user_banned", 403, right, right),
            Self::TenantSuspended => ("tenant_suspended", 403, right, right),
            Self::WalletFrozen => ("wallet_frozen", 403, right, right),
            Self::ModelBlocked => ("model_blocked", 403, right, right),
            Self::ModelNotInPlan => ("model_not_in_plan", 403, right, right),
            Self::GroupMismatch => ("group_mismatch", 403, right, right),
            Self::ProtocolNotAllowed => ("protocol_not_allowed", 403, right, right),
            Self::ClientNotAllowed => ("client_not_allowed", 403, right, right),
            Self::ModelNotFound => ("model_not_found", 404, request, "not_found_error"),
            Self::RouteNotFound => ("route_not_found", 404, request, "not_found_error"),
            Self::MethodNotAllowed => ("method_not_allowed", 405, request, request),
            Self::RequestTimeout => ("request_timeout", 408, request, "timeout_error"),
            Self::DuplicateRequest => ("duplicate_request", 409, request, request),
            Self::IdempotencyKeyInUse => ("idempotency_key_in_use", 409, request, request),
            Self::IdempotencyKeyReused => ("idempotency_key_reused", 422, request, request),
            Self::RequestTooLarge => ("request_too_large", 413, request, "request_too_large"),
            Self::UnsupportedMediaType => ("unsupported_media_type", 415, request, request),
            Self::ConcurrencyLimit => (
                "concurrency_limit",
                429,
                "rate_limit_error",
                "rate_limit_error",
            ),
            Self::RateLimited => ("rate_limited", 429, "rate_limit_error", "rate_limit_error"),
            Self::QuotaExhausted => (
                "quota_exhausted",
                429,
                "insufficient_quota",
                "rate_limit_error",
            ),
            Self::UpstreamError => ("upstream_error", 502, server, "api_error"),
            Self::InternalError => ("internal_error", 500, server, "api_error"),
            Self::NoChannel => ("no_channel", 503, server, "overloaded_error"),
            Self::ChannelsFailed => ("channels_failed", 503, server, "overloaded_error"),
            Self::Overloaded => ("overloaded", 503, server, "overloaded_error"),
            Self::Draining => ("draining", 503, server, "overloaded_error"),
            Self::CreditExhausted => (
                "credit_exhausted",
                402,
                "insufficient_quota",
                "billing_error",
            ),
        }
    }

    /// The word itself.
    pub fn as_str(self) -> &'static str {
        self.facts().0
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        self.facts().1
    }

    /// The error type in the `OpenAI` family.
    pub(crate) fn openai_type(self) -> &'static str {
        self.facts().2
    }

    /// The error type in Anthropic's envelope.
    pub(crate) fn anthropic_type(self) -> &'static str {
        self.facts().3
    }

    /// What `x-should-retry` says: a client that obeys it stops asking for what cannot change by itself.
    pub(crate) fn should_retry(self) -> Option<bool> {
        match self.status() {
            401..=405 => Some(false),
            // Nobody but an operator can put up a channel, and clients that come back wait minutes to say so.
            _ if matches!(self, Self::QuotaExhausted | Self::NoChannel) => Some(false),
            // SDKs repeat every 409 otherwise; only the one that waits for another call may come to something.
            _ if matches!(self, Self::DuplicateRequest | Self::IdempotencyKeyReused) => Some(false),
            _ if self == Self::IdempotencyKeyInUse => Some(true),
            429 | 503 => Some(true),
            _ => None,
        }
    }

    /// What a caller can do about it, as far as the code alone says.
    pub(crate) fn fix(self, resets_at: Option<Timestamp>) -> Fix {
        match self {
            Self::InvalidRequest | Self::UnsupportedMediaType => Fix::MendRequest,
            Self::ModelRequired => Fix::NameModel,
            Self::MissingKey | Self::ForeignKey => Fix::SendKey,
            Self::InvalidKey | Self::KeyExpired => Fix::NewKey,
            Self::KeyDisabled => Fix::EnableKey,
            Self::InsufficientCredits | Self::InDebt | Self::CreditExhausted => Fix::AddCredits,
            Self::SpendCapReached => Fix::RaiseCap,
            Self::UserBanned
            | Self::TenantSuspended
            | Self::WalletFrozen
            | Self::GroupMismatch
            | Self::ProtocolNotAllowed
            | Self::ClientNotAllowed => Fix::AskOperator,
            Self::ModelBlocked => Fix::OtherModel,
            Self::ModelNotInPlan => Fix::OtherPlan,
            Self::ModelNotFound => Fix::PickModel {
                near: String::new(),
            },
            Self::RouteNotFound | Self::MethodNotAllowed => Fix::BaseUrl,
            Self::RequestTooLarge => Fix::Shrink,
            Self::ConcurrencyLimit | Self::RateLimited => Fix::SlowDown,
            Self::QuotaExhausted => match resets_at {
                Some(at) => Fix::AwaitWindow {
                    until: at.to_datetime().format("%Y-%m-%d %H:%M UTC").to_string(),
                },
                None => Fix::TryLater,
            },
            Self::DuplicateRequest | Self::IdempotencyKeyReused => Fix::NewIdempotencyKey,
            Self::RequestTimeout
            | Self::IdempotencyKeyInUse
            | Self::UpstreamError
            | Self::NoChannel
            | Self::ChannelsFailed
            | Self::Overloaded
            | Self::Draining
            | Self::InternalError => Fix::TryLater,
        }
    }

    /// The console page that mends it, under the public address.
    pub(crate) fn console_path(self) -> Option<&'static str> {
        match self {
            Self::MissingKey
            | Self::InvalidKey
            | Self::ForeignKey
            | Self::KeyDisabled
            | Self::KeyExpired
            | Self::GroupMismatch
            | Self::ProtocolNotAllowed
            | Self::ClientNotAllowed
            | Self::SpendCapReached => Some("/console/keys"),
            Self::InsufficientCredits | Self::InDebt | Self::CreditExhausted => {
                Some("/console/redeem")
            }
            Self::ModelNotInPlan
            | Self::QuotaExhausted
            | Self::RateLimited
            | Self::ConcurrencyLimit => Some("/console"),
            Self::InvalidRequest
            | Self::ModelBlocked
            | Self::ModelNotFound
            | Self::ModelRequired
            | Self::UserBanned
            | Self::TenantSuspended
            | Self::WalletFrozen
            | Self::RouteNotFound
            | Self::MethodNotAllowed
            | Self::RequestTimeout
            | Self::DuplicateRequest
            | Self::IdempotencyKeyInUse
            | Self::IdempotencyKeyReused
            | Self::RequestTooLarge
            | Self::UnsupportedMediaType
            | Self::UpstreamError
            | Self::NoChannel
            | Self::ChannelsFailed
            | Self::Overloaded
            | Self::InternalError
            | Self::Draining => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_word_of_its_own() {
        let mut words: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();

        words.sort_unstable();
        words.dedup();

        assert_eq!(words.len(), Code::ALL.len());
    }

    #[test]
    fn what_cannot_mend_itself_is_not_to_be_retried() {
        for (code, retry) in [
            (Code::InvalidKey, Some(false)),
            (Code::InsufficientCredits, Some(false)),
            (Code::ModelBlocked, Some(false)),
            (Code::ModelNotFound, Some(false)),
            (Code::QuotaExhausted, Some(false)),
            (Code::ConcurrencyLimit, Some(true)),
            (Code::RateLimited, Some(true)),
            (Code::SpendCapReached, Some(false)),
            (Code::NoChannel, Some(false)),
            (Code::ChannelsFailed, Some(true)),
            (Code::DuplicateRequest, Some(false)),
            (Code::IdempotencyKeyInUse, Some(true)),
            (Code::IdempotencyKeyReused, Some(false)),
            (Code::InvalidRequest, None),
        ] {
            assert_eq!(code.should_retry(), retry, "{code:?}");
        }
    }
}
