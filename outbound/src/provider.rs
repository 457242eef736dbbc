//! How each kind of provider is addressed: where an endpoint lies under a base URL, and how the secret is sent.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;

/// The kinds of provider that are reached over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `OpenAI` itself: chat, responses, embeddings.
    OpenAi,
    /// Anthropic itself: messages.
    Anthropic,
    /// Anyone who speaks `OpenAI`'s chat and embeddings.
    OpenAiCompatible,
}

/// What is asked of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Chat completions.
    Chat,
    /// Responses.
    Responses,
    /// A conversation made short, for Responses to go on with.
    Compact,
    /// Messages.
    Messages,
    /// The input tokens of a request for messages.
    CountTokens,
    /// Embeddings.
    Embeddings,
    /// The list of models; every kind has it, and a channel test begins with it.
    Models,
}

/// The API version sent to Anthropic where the caller named none.
pub const ANTHROPIC_VERSION: &str = "2023-06-01";

impl Kind {
    /// Whether this kind of provider has the endpoint at all.
    pub fn serves(self, endpoint: Endpoint) -> bool {
        match endpoint {
            Endpoint::Models => true,
            Endpoint::Messages | Endpoint::CountTokens => self == Self::Anthropic,
            Endpoint::Responses | Endpoint::Compact => self == Self::OpenAi,
            Endpoint::Chat | Endpoint::Embeddings => self != Self::Anthropic,
        }
    }

    /// The base URL of the provider's own service; none where there are many.
    pub fn default_base(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => Some("https://api.openai.com/v1"),
            Self::Anthropic => Some("https://api.anthropic.com"),
            Self::OpenAiCompatible => None,
        }
    }
}

/// The URL of an endpoint under a base URL, forgiving a base with or without its version and trailing slash.
///
/// Anthropic's version is part of the endpoint, so `/v1` is added unless it is there. The others carry their version
/// in the base (`/v1`, `/api/paas/v4`), so it is added only where the base has no path.
pub fn endpoint(kind: Kind, base: &Url, endpoint: Endpoint) -> Url {
    let path = base.path().trim_end_matches('/');
    let version = match kind {
        Kind::Anthropic if !path.ends_with("/v1") => "/v1",
        Kind::OpenAi | Kind::OpenAiCompatible if path.is_empty() => "/v1",
        Kind::Anthropic | Kind::OpenAi | Kind::OpenAiCompatible => "",
    };
    let leaf = match endpoint {
        Endpoint::Chat => "chat/completions",
        Endpoint::Responses => "responses",
        Endpoint::Compact => "responses/compact",
        Endpoint::Messages => "messages",
        Endpoint::CountTokens => "messages/count_tokens",
        Endpoint::Embeddings => "embeddings",
        Endpoint::Models => "models",
    };

    let full = format!("{path}{version}/{leaf}");
    let mut url = base.clone();
    url.set_path(&full);
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// The headers that carry a provider's secret; `None` when the secret cannot stand in a header.
pub fn credential(kind: Kind, secret: &str) -> Option<HeaderMap> {
    let (name, text) = match kind {
        Kind::Anthropic => (HeaderName::from_static("x-api-key"), secret.to_owned()),
        Kind::OpenAi | Kind::OpenAiCompatible => {
            (header::AUTHORIZATION, format!("Bearer {secret}"))
        }
    };
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(name, value);
    if kind == Kind::Anthropic {
        headers.insert(
            HeaderName::from_static("anthropic-version"),
            HeaderValue::from_static(ANTHROPIC_VERSION),
        );
    }
    Some(headers)
}

/// The headers of a provider that wants its secret in `api-key`, as Azure does.
pub fn api_key(secret: &str) -> Option<HeaderMap> {
    let mut value = HeaderValue::from_str(secret).ok()?;
    value.set_sensitive(true);
    Some(HeaderMap::from_iter([(
        HeaderName::from_static("api-key"),
        value,
    )]))
}

/// Names that an operator may give a channel's requests beside those that begin with `x-`.
const SETTABLE: [&str; 9] = [
    "user-agent",
    "referer",
    "http-referer",
    "accept-language",
    "openai-organization",
    "openai-project",
    "openai-beta",
    "anthropic-beta",
    "anthropic-version",
];

/// Whether an operator may set this header on a channel's requests: never one that carries a credential, names another
/// host, or frames the request. The name is in lower case.
pub fn may_be_set(name: &str) -> bool {
    let credential = ["key", "token", "auth", "secret", "cookie", "session"];
    let steering = [
        "x-forwarded-",
        "x-real-ip",
        "x-original-",
        "x-rewrite-",
        "x-http-method",
        "x-host",
    ];
    if SETTABLE.contains(&name) {
        return true;
    }
    name.starts_with("x-")
        && HeaderName::try_from(name).is_ok()
        && !credential.iter().any(|word| name.contains(word))
        && !steering.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn an_endpoint_is_found_under_any_reasonable_base() {
        use Endpoint::{Chat, Embeddings, Messages, Models, Responses};
        use Kind::{Anthropic, OpenAi, OpenAiCompatible};
        let table = [
            (
                OpenAi,
                "https://api.openai.com/v1",
                Chat,
                "https://api.openai.com/v1/chat/completions",
            ),
            (
                OpenAi,
                "https://api.openai.com",
                Responses,
                "https://api.openai.com/v1/responses",
            ),
            (
                OpenAi,
                "https://api.openai.com/v1/",
                Embeddings,
                "https://api.openai.com/v1/embeddings",
            ),
            (
                Anthropic,
                "https://api.anthropic.com",
                Messages,
                "https://api.anthropic.com/v1/messages",
            ),
            (
                Anthropic,
                "https://api.anthropic.com/v1",
                Messages,
                "https://api.anthropic.com/v1/messages",
            ),
            (
                Anthropic,
                "https://x.example/anthropic",
                Models,
                "https://x.example/anthropic/v1/models",
            ),
            (
                OpenAiCompatible,
                "https://x.example/api/paas/v4",
                Chat,
                "https://x.example/api/paas/v4/chat/completions",
            ),
            (
                OpenAiCompatible,
                "http://10.0.0.1:8000",
                Chat,
                "http://10.0.0.1:8000/v1/chat/completions",
            ),
            (
                OpenAiCompatible,
                "https://x.example/v1?a=1#b",
                Chat,
                "https://x.example/v1/chat/completions",
            ),
        ];

        for (kind, base, leaf, expected) in table {
            let base = Url::parse(base).expect("the table holds addresses");
            assert_eq!(endpoint(kind, &base, leaf).as_str(), expected);
        }
    }

    #[test]
    fn only_headers_without_power_may_be_set() {
        for name in ["user-agent", "http-referer", "x-title", "openai-project"] {
            assert!(may_be_set(name), "{name}");
        }
        for name in [
            "authorization",
            "x-api-key",
            "api-key",
            "x-goog-api-key",
            "x-auth-token",
            "cookie",
            "host",
            "content-length",
            "transfer-encoding",
            "connection",
            "x-forwarded-for",
            "x-real-ip",
            "proxy-authorization",
            "x-bad name",
            "",
        ] {
            assert!(!may_be_set(name), "{name}");
        }
    }

    #[test]
    fn a_secret_never_shows_in_debug_output() {
        for kind in [Kind::OpenAi, Kind::Anthropic, Kind::OpenAiCompatible] {
            let headers = credential(kind, "sk-secret").expect("a plain secret");

            assert!(!format!("{headers:?}").contains("sk-secret"));
        }
        assert!(credential(Kind::OpenAi, "two\nlines").is_none());
    }
}
