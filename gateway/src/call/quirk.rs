//! What a provider does otherwise than its protocol has it, put right on the way out.

use std::fmt;

use bytes::Bytes;
use entity::channel::{OutputLimit, Quirks};
use outbound::Url;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The fields of an object in their order, each value as it was written.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Read).map(Fields)
    }
}

/// A chat request as the provider takes it; nothing where it takes it as it is. Every other field stays as it was
/// written.
pub(super) fn chat_body(quirks: &Quirks, body: &Bytes) -> Option<Bytes> {
    if quirks.output_limit.is_none() && !quirks.no_stream_options {
        return None;
    }
    let Fields(mut fields) = serde_json::from_slice(body).ok()?;
    let before = fields.len();
    if quirks.no_stream_options {
        fields.retain(|(name, _)| name != "stream_options");
    }
    let mut changed = fields.len() != before;
    if let Some(wanted) = quirks.output_limit {
        let other = match wanted {
            OutputLimit::MaxTokens => OutputLimit::MaxCompletionTokens,
            OutputLimit::MaxCompletionTokens => OutputLimit::MaxTokens,
        };
        let is_there = fields.iter().any(|(name, _)| name == wanted.field());
        for (name, _) in &mut fields {
            if name == other.field() && !is_there {
                wanted.field().clone_into(name);
                changed = true;
            }
        }
        let kept = fields.len();
        fields.retain(|(name, _)| name != other.field());
        changed |= fields.len() != kept;
    }
    changed.then(|| written(&fields))
}

fn written(fields: &[(String, &RawValue)]) -> Bytes {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}:{}", serde_json::json!(name), value.get()))
        .collect();
    format!("{{{}}}", fields.join(",")).into()
}

/// The address with the version that the provider wants named there.
pub(super) fn address(quirks: &Quirks, mut url: Url) -> Url {
    if let Some(version) = &quirks.api_version {
        url.query_pairs_mut().append_pair("api-version", version);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_request_is_written_as_the_provider_takes_it() {
        let old = Quirks {
            output_limit: Some(OutputLimit::MaxTokens),
            no_stream_options: true,
            ..Quirks::default()
        };
        let new = Quirks {
            output_limit: Some(OutputLimit::MaxCompletionTokens),
            ..Quirks::default()
        };
        let table = [
            (&old, r#"{"model":"a","max_tokens":5}"#, None),
            (
                &old,
                r#"{"t": 1.0, "max_completion_tokens": 5,"stream_options":{"include_usage":true}}"#,
                Some(r#"{"t":1.0,"max_tokens":5}"#),
            ),
            (
                &old,
                r#"{"max_completion_tokens":7,"max_tokens":5}"#,
                Some(r#"{"max_tokens":5}"#),
            ),
            (
                &new,
                r#"{"max_tokens":5,"x":[1e3]}"#,
                Some(r#"{"max_completion_tokens":5,"x":[1e3]}"#),
            ),
            (&Quirks::default(), r#"{"max_tokens":5}"#, None),
        ];

        for (quirks, body, expected) in table {
            let written = chat_body(quirks, &Bytes::from_static(body.as_bytes()));
            assert_eq!(written.as_deref(), expected.map(str::as_bytes), "{body}");
        }
    }

    #[test]
    fn the_version_goes_into_the_address() {
        let quirks = Quirks {
            api_version: Some("preview".to_owned()),
            ..Quirks::default()
        };
        let url = Url::parse("https://x.example/openai/v1/chat/completions").expect("an address");

        assert_eq!(
            address(&quirks, url.clone()).as_str(),
            "https://x.example/openai/v1/chat/completions?api-version=preview"
        );
        assert_eq!(address(&Quirks::default(), url.clone()), url);
    }
}
