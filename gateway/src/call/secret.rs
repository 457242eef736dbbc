//! A channel's own secret, kept out of what its upstream says: some repeat the key that they refuse.

use bytes::Bytes;

use crate::{catalog::Credential, wire::tap::Failure};

/// What stands for a secret.
const BLANK: &str = "***";

/// The secrets of the key that a call goes with.
#[derive(Clone, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Those that the headers of a key carry.
    pub(super) fn of(credential: Option<&Credential>) -> Self {
        let values = credential.iter().flat_map(|credential| &credential.headers);
        let secrets = values
            .filter(|(_, value)| value.is_sensitive())
            .filter_map(|(_, value)| value.to_str().ok())
            .map(|value| value.strip_prefix("Bearer ").unwrap_or(value))
            .filter(|secret| !secret.is_empty())
            .map(str::to_owned);
        Self(secrets.collect())
    }

    /// The words without a secret. What cannot be cleaned is dropped whole.
    pub(super) fn clean(&self, words: &Bytes) -> Bytes {
        let leaks = |secret: &String| {
            let secret = secret.as_bytes();
            words.windows(secret.len()).any(|part| part == secret)
        };
        if !self.0.iter().any(leaks) {
            return words.clone();
        }
        match std::str::from_utf8(words) {
            Ok(text) => self.clean_text(text).into(),
            Err(_) => Bytes::new(),
        }
    }

    /// As [`Secrets::clean`], of text.
    pub(super) fn clean_text(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, BLANK))
    }

    /// An error event without a secret; nothing where it spells the secret in a way that cannot be cut out.
    pub(super) fn clean_event(&self, raw: &Bytes, failure: &Failure) -> Option<Bytes> {
        let cleaned = self.clean(raw);
        let said = |secret: &String| {
            failure.message.contains(secret.as_str()) || failure.code.contains(secret.as_str())
        };
        let is_spelled_otherwise = cleaned == *raw && self.0.iter().any(said);
        (!is_spelled_otherwise && (raw.is_empty() || !cleaned.is_empty())).then_some(cleaned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_cut_out_however_an_event_spells_it() {
        let secrets = Secrets(vec!["sk-up/stream".to_owned()]);
        let failure = |message: &str| Failure {
            code: "bad".to_owned(),
            message: message.to_owned(),
        };
        let table = [
            (
                r#"{"message":"no sk-up/stream"}"#,
                "no sk-up/stream",
                Some(r#"{"message":"no ***"}"#),
            ),
            (r#"{"message":"no sk-up\/stream"}"#, "no sk-up/stream", None),
            (
                r#"{"message":"all well"}"#,
                "all well",
                Some(r#"{"message":"all well"}"#),
            ),
        ];

        for (raw, message, expected) in table {
            let cleaned =
                secrets.clean_event(&Bytes::from_static(raw.as_bytes()), &failure(message));
            assert_eq!(cleaned.as_deref(), expected.map(str::as_bytes), "{raw}");
        }
    }
}
