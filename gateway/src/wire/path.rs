//! Which endpoint a path means, forgiving the usual slips of a base URL.
//!
//! `/v1/x`, `/x` and `/v1/v1/x` are one endpoint, as are a trailing and a doubled slash: a base URL with a wrong or
//! missing `/v1` is the most common mistake of this field.

use entity::Protocol;

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Call(Protocol),
    Compact,
    CountTokens,
    Usage,
    Balance,
    Doctor,
    Account,
    Models,
    Model(String),
}

/// The endpoint of a path; `None` where there is none.
pub(crate) fn endpoint(path: &str) -> Option<Endpoint> {
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    for _ in 0..2 {
        if parts.first() == Some(&"v1") {
            parts.remove(0);
        }
    }
    leaf(&parts)
}

/// The endpoint that a wrong path most likely meant: its last parts, whatever stands before them.
pub(crate) fn meant(path: &str) -> Option<Endpoint> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    (0..parts.len()).find_map(|start| leaf(parts.get(start..)?))
}

fn leaf(parts: &[&str]) -> Option<Endpoint> {
    match parts {
        ["chat", "completions"] => Some(Endpoint::Call(Protocol::Chat)),
        ["responses", "compact"] => Some(Endpoint::Compact),
        ["responses"] => Some(Endpoint::Call(Protocol::Responses)),
        ["messages"] => Some(Endpoint::Call(Protocol::Messages)),
        ["messages", "count_tokens"] => Some(Endpoint::CountTokens),
        ["embeddings"] => Some(Endpoint::Call(Protocol::Embeddings)),
        ["usage"] => Some(Endpoint::Usage),
        ["user", "balance"] => Some(Endpoint::Balance),
        ["doctor"] => Some(Endpoint::Doctor),
        ["api", "user", "self"] => Some(Endpoint::Account),
        ["models"] => Some(Endpoint::Models),
        ["models", name @ ..] => Some(Endpoint::Model(name.join("/"))),
        _ => None,
    }
}

/// The path of a protocol's endpoint, as documented.
pub(crate) fn of(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Chat => "/v1/chat/completions",
        Protocol::Responses => "/v1/responses",
        Protocol::Messages => "/v1/messages",
        Protocol::Embeddings => "/v1/embeddings",
    }
}

/// The path of an endpoint, as documented.
pub(crate) fn as_documented(endpoint: &Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Usage => "/v1/usage",
        Endpoint::Balance => "/v1/user/balance",
        Endpoint::Doctor => "/v1/doctor",
        Endpoint::Account => "/v1/api/user/self",
        Endpoint::Models | Endpoint::Model(_) => "/v1/models",
        Endpoint::Call(protocol) => of(*protocol),
        Endpoint::Compact => "/v1/responses/compact",
        Endpoint::CountTokens => "/v1/messages/count_tokens",
    }
}

/// Whether the version stands first, so that the base URL before it is the right one.
pub(crate) fn is_versioned(path: &str) -> bool {
    path.split('/').find(|part| !part.is_empty()) == Some("v1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_with_a_wrong_or_missing_version_still_arrives() {
        let table = [
            ("/v1/chat/completions", Some(Endpoint::Call(Protocol::Chat))),
            ("/chat/completions", Some(Endpoint::Call(Protocol::Chat))),
            (
                "/v1/v1/chat/completions/",
                Some(Endpoint::Call(Protocol::Chat)),
            ),
            ("//v1//responses", Some(Endpoint::Call(Protocol::Responses))),
            ("/messages", Some(Endpoint::Call(Protocol::Messages))),
            ("/v1/v1/messages", Some(Endpoint::Call(Protocol::Messages))),
            ("/v1/embeddings", Some(Endpoint::Call(Protocol::Embeddings))),
            ("//v1/usage", Some(Endpoint::Usage)),
            ("/v1/user/balance", Some(Endpoint::Balance)),
            ("/balance", None),
            ("/models/", Some(Endpoint::Models)),
            (
                "/v1/models/sandbox/echo",
                Some(Endpoint::Model("sandbox/echo".to_owned())),
            ),
            ("/v1/v1/v1/messages", None),
            ("/api/messages", None),
            ("/v1/messages/count_tokens", Some(Endpoint::CountTokens)),
            ("/messages/count_tokens/", Some(Endpoint::CountTokens)),
            ("/v1/messages/tokens", None),
            ("/responses/compact", Some(Endpoint::Compact)),
            ("/v1", None),
            ("/", None),
        ];

        for (path, expected) in table {
            assert_eq!(endpoint(path), expected, "{path}");
        }
    }

    #[test]
    fn the_meant_endpoint_is_found_behind_a_wrong_prefix() {
        assert_eq!(
            meant("/api/v1/chat/completions"),
            Some(Endpoint::Call(Protocol::Chat))
        );
        assert_eq!(
            meant("/openai/messages"),
            Some(Endpoint::Call(Protocol::Messages))
        );
        assert_eq!(meant("/wp-login.php"), None);
    }
}
