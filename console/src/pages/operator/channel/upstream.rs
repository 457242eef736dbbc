//! Speaks with a channel's provider: the list of its models, and one small call. What comes back is put into words
//! that say what to mend.

use super::secret;
use crate::words::{Phrase, phrase};
use entity::{
    channel,
    channel::{Kind, Options, Quirks},
    model,
};
use identity::seal::{MasterKey, Sealed, open_channel_secret};
use outbound::{
    Call, HeaderName, Method, Outbound, SendError, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
    provider::{self, Endpoint},
};
use serde_json::Value;
use std::time::Duration;
use url::Url;

/// How long a provider may take to answer a test.
const LIMIT: Duration = Duration::from_secs(30);
/// The largest answer that is read.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// How much of a provider's own words is shown.
const DETAIL_CHARS: usize = 200;

/// What is needed to speak with a provider.
#[derive(Clone, Copy)]
pub(crate) struct Wire<'a> {
    pub(crate) outbound: &'a Outbound,
    pub(crate) master: &'a MasterKey,
}

/// A provider's answer.
struct Told {
    status: StatusCode,
    body: bytes::Bytes,
}

/// The names of the models that the provider lists.
pub(crate) async fn models(
    wire: Wire<'_>,
    channel: &channel::Model,
) -> Result<Vec<String>, Phrase> {
    let told = ask(wire, channel, Endpoint::Models, None).await?;
    if !told.status.is_success() {
        return Err(explained(&told, None));
    }
    let mut names = listed(&told.body).ok_or_else(|| phrase("op-channel-test-garbage"))?;
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// The names in a list of models: under `data` or bare, of objects or of names. A row that names nothing hides no other.
fn listed(body: &[u8]) -> Option<Vec<String>> {
    let list: Value = serde_json::from_slice(body).ok()?;
    let rows = list.get("data").unwrap_or(&list).as_array()?;
    let names = rows
        .iter()
        .filter_map(|row| row.get("id").unwrap_or(row).as_str());
    // Google puts its models below a folder; callers send the bare name, and so does Google take it.
    let names = names.map(|name| name.trim_start_matches("models/"));
    Some(
        names
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
    )
}

/// Makes the smallest call there is to a model.
pub(crate) async fn call(
    wire: Wire<'_>,
    channel: &channel::Model,
    kind: model::Kind,
    upstream_name: &str,
) -> Result<(), Phrase> {
    let (endpoint, mut body) = smallest(channel.kind, kind, upstream_name);
    let limit = Options::parse(&channel.options).quirks.output_limit;
    if let (Endpoint::Chat, Some(limit), Some(fields)) = (endpoint, limit, body.as_object_mut())
        && let Some(most) = fields.remove("max_tokens")
    {
        fields.insert(limit.field().to_owned(), most);
    }
    let told = ask(wire, channel, endpoint, Some(body)).await?;
    if !told.status.is_success() {
        return Err(explained(&told, Some(upstream_name)));
    }
    let answer: Value =
        serde_json::from_slice(&told.body).map_err(|_| phrase("op-channel-test-garbage"))?;
    let field = match endpoint {
        Endpoint::Chat => "choices",
        Endpoint::Messages => "content",
        Endpoint::Responses | Endpoint::Compact => "output",
        Endpoint::CountTokens => "input_tokens",
        Endpoint::Embeddings | Endpoint::Models => "data",
    };
    if answer.get(field).is_some_and(Value::is_array) {
        Ok(())
    } else {
        Err(phrase("op-channel-test-garbage"))
    }
}

fn smallest(channel: Kind, kind: model::Kind, name: &str) -> (Endpoint, Value) {
    let messages = serde_json::json!([{ "role": "user", "content": "Say OK." }]);
    match (kind, channel) {
        (model::Kind::Embedding, _) => (
            Endpoint::Embeddings,
            serde_json::json!({ "model": name, "input": "OK" }),
        ),
        (model::Kind::Chat, Kind::Anthropic) => (
            Endpoint::Messages,
            serde_json::json!({ "model": name, "max_tokens": 16, "messages": messages }),
        ),
        // Every present model of this provider answers here, chat models too; 16 is the least it takes.
        (model::Kind::Chat, Kind::Openai) => (
            Endpoint::Responses,
            serde_json::json!({ "model": name, "input": "Say OK.", "max_output_tokens": 16, "store": false }),
        ),
        (model::Kind::Chat, Kind::OpenaiCompatible | Kind::Sandbox) => (
            Endpoint::Chat,
            serde_json::json!({ "model": name, "max_tokens": 16, "messages": messages }),
        ),
    }
}

async fn ask(
    wire: Wire<'_>,
    channel: &channel::Model,
    endpoint: Endpoint,
    body: Option<Value>,
) -> Result<Told, Phrase> {
    let kind = match channel.kind {
        Kind::Openai => provider::Kind::OpenAi,
        Kind::Anthropic => provider::Kind::Anthropic,
        Kind::OpenaiCompatible => provider::Kind::OpenAiCompatible,
        Kind::Sandbox => return Err(phrase("op-channel-test-sandbox")),
    };
    let base = Url::parse(&channel.base_url).map_err(|_| phrase("op-fault-url"))?;
    let options = Options::parse(&channel.options);
    let mut headers = credential(wire, channel, kind, &options.quirks)?;
    let method = if body.is_some() {
        Method::POST
    } else {
        Method::GET
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in &options.headers {
        let (name, value) = (HeaderName::try_from(name), HeaderValue::try_from(value));
        if let (Ok(name), Ok(value)) = (name, value)
            && provider::may_be_set(name.as_str())
        {
            headers.insert(name, value);
        }
    }
    let secrets = secrets_of(&headers);
    let mut url = address(&options.quirks, provider::endpoint(kind, &base, endpoint));
    if let (provider::Kind::Anthropic, Endpoint::Models) = (kind, endpoint) {
        // The most there may be in a page, which is twenty where nobody asks.
        url.query_pairs_mut().append_pair("limit", "1000");
    }
    let call = Call {
        method,
        url,
        headers,
        body: body.map(|body| body.to_string().into()).unwrap_or_default(),
        header_timeout: Some(LIMIT),
        proxy: options
            .proxy
            .as_deref()
            .and_then(|proxy| Url::parse(proxy).ok()),
    };

    let answer = wire
        .outbound
        .send(call)
        .await
        .map_err(|error| unreached(&error))?;
    let status = answer.status();
    let body = answer
        .read(ANSWER_BYTES)
        .await
        .map_err(|error| unreached(&error))?;
    let body = match std::str::from_utf8(&body) {
        Ok(text) if secrets.iter().any(|secret| text.contains(secret)) => {
            let cleaned = secrets.iter().fold(text.to_owned(), |text, secret| {
                text.replace(secret.as_str(), "***")
            });
            cleaned.into()
        }
        _ => body,
    };
    Ok(Told { status, body })
}

/// What no page repeats, though some providers repeat the key that they refuse.
fn secrets_of(headers: &HeaderMap) -> Vec<String> {
    headers
        .values()
        .filter(|value| value.is_sensitive())
        .filter_map(|value| value.to_str().ok())
        .map(|value| value.strip_prefix("Bearer ").unwrap_or(value).to_owned())
        .filter(|secret| !secret.is_empty())
        .collect()
}

fn address(quirks: &Quirks, mut url: Url) -> Url {
    if let Some(version) = &quirks.api_version {
        url.query_pairs_mut().append_pair("api-version", version);
    }
    url
}

fn credential(
    wire: Wire<'_>,
    channel: &channel::Model,
    kind: provider::Kind,
    quirks: &Quirks,
) -> Result<HeaderMap, Phrase> {
    let Some(sealed) = channel.secret.clone() else {
        return Ok(HeaderMap::new());
    };
    let host = secret::host(&channel.base_url);
    let opened = open_channel_secret(wire.master, channel.id, &host, &Sealed::from_bytes(sealed))
        .map_err(|_| phrase("op-channel-test-secret"))?;
    let headers = if quirks.api_key_header {
        provider::api_key(opened.expose())
    } else {
        provider::credential(kind, opened.expose())
    };
    headers.ok_or_else(|| phrase("op-channel-test-secret"))
}

fn unreached(error: &SendError) -> Phrase {
    match error {
        SendError::Refused(refusal) => {
            phrase("op-channel-test-refused").with("detail", refusal.to_string())
        }
        SendError::Connect(detail) => {
            phrase("op-channel-test-connect").with("detail", detail.as_str())
        }
        SendError::NoAnswer | SendError::Silent => {
            phrase("op-channel-test-silent").count("seconds", LIMIT.as_secs().cast_signed())
        }
        SendError::Broken(detail) => {
            phrase("op-channel-test-broken").with("detail", detail.as_str())
        }
        SendError::TooLarge { .. } => phrase("op-channel-test-garbage"),
    }
}

/// What a refusal means: an operator, and only an operator, may read the provider's own words.
fn explained(told: &Told, model: Option<&str>) -> Phrase {
    let status = i64::from(told.status.as_u16());
    let detail = detail(&told.body);
    match (told.status.as_u16(), model) {
        (401 | 403, _) => phrase("op-channel-test-credential")
            .count("status", status)
            .with("detail", detail),
        (404, Some(model)) => phrase("op-channel-test-model-unknown")
            .with("model", model)
            .count("status", status)
            .with("detail", detail),
        (402 | 429 | 503 | 529, _) => phrase("op-channel-test-busy")
            .count("status", status)
            .with("detail", detail),
        _ => phrase("op-channel-test-status")
            .count("status", status)
            .with("detail", detail),
    }
}

fn detail(body: &[u8]) -> String {
    let message = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|value| value.pointer("/error/message")?.as_str().map(str::to_owned));
    message
        .unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
        .chars()
        .filter(|c| !c.is_control())
        .take(DETAIL_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, body: &str) -> Told {
        Told {
            status: StatusCode::from_u16(status).expect("a status"),
            body: bytes::Bytes::from(body.to_owned()),
        }
    }

    #[test]
    fn a_refusal_says_what_to_mend() {
        let key = explained(&told(401, r#"{"error":{"message":"bad key"}}"#), None);
        let model = explained(&told(404, "{}"), Some("gpt-0"));

        assert_eq!(key.id(), "op-channel-test-credential");
        assert_eq!(model.id(), "op-channel-test-model-unknown");
        assert_eq!(explained(&told(529, ""), None).id(), "op-channel-test-busy");
        assert_eq!(
            explained(&told(500, ""), None).id(),
            "op-channel-test-status"
        );
    }

    #[test]
    fn a_list_of_models_is_read_in_every_form_that_providers_give_it() {
        let table: [(&str, Option<&[&str]>); 6] = [
            (
                r#"{"data":[{"id":"a","x":1},{"id":"models/b"}]}"#,
                Some(&["a", "b"]),
            ),
            (
                r#"{"data":[{"id":"a"},{"id":7},{"name":"c"},null,{"id":""}]}"#,
                Some(&["a"]),
            ),
            (r#"[{"id":"a"},"b"]"#, Some(&["a", "b"])),
            (r#"{"data":[]}"#, Some(&[])),
            (r#"{"data":{"id":"a"}}"#, None),
            ("<html>", None),
        ];

        for (body, names) in table {
            let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            assert_eq!(listed(body.as_bytes()), names, "{body}");
        }
    }

    #[test]
    fn the_providers_words_are_cut_and_clean() {
        assert_eq!(
            detail(br#"{"error":{"message":"no\nsuch key"}}"#),
            "nosuch key"
        );
        assert_eq!(detail("x".repeat(1_000).as_bytes()).len(), DETAIL_CHARS);
    }
}
