//! What is wrong with a credential, told from its text alone, so that the caller reads the cause and not just
//! "invalid".

use super::form::{BODY_CHARS, checksum};
use crate::digits::{self, CHECKSUM_DIGITS};
use std::fmt;
use zeroize::Zeroizing;

/// A text that has the form of one of our keys; whether there is such a key, the database knows.
#[derive(Clone)]
pub struct WellFormed(Zeroizing<String>);

/// What is wrong with a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// There is nothing, or only white space.
    #[error("empty")]
    Empty,
    /// The word `Bearer` stands in the value: the client adds it itself.
    #[error("the word Bearer is there twice")]
    DoubledBearer,
    /// Quotation marks came along from a configuration file.
    #[error("in quotation marks")]
    Quotes,
    /// A space, tab or line end came along.
    #[error("holds white space")]
    Whitespace,
    /// A key of somebody else's service.
    #[error("a key of {0}")]
    Foreign(&'static str),
    /// Written like ours, but a character is wrong.
    #[error("mistyped: the checksum does not match")]
    BadChecksum,
    /// Not written like ours: cut, or something else altogether.
    #[error("not in the form of a key")]
    BadForm,
}

/// How keys of other services start; longer prefixes first where one holds another.
const FOREIGN: &[(&str, &str)] = &[
    ("sk-ant-", "Anthropic"),
    ("sk-proj-", "OpenAI"),
    ("sk-svcacct-", "OpenAI"),
    ("sk-admin-", "OpenAI"),
    ("sk-None-", "OpenAI"),
    ("sess-", "OpenAI"),
    ("sk-or-", "OpenRouter"),
    ("sk-lf-", "Langfuse"),
    ("AIza", "Google"),
    ("ya29.", "Google"),
    ("gsk_", "Groq"),
    ("xai-", "xAI"),
    ("pplx-", "Perplexity"),
    ("hf_", "Hugging Face"),
    ("r8_", "Replicate"),
    ("fw_", "Fireworks"),
    ("nvapi-", "NVIDIA"),
    ("csk-", "Cerebras"),
    ("tgp_v1_", "Together"),
    ("jina_", "Jina"),
    ("bce-v3/", "Baidu"),
    ("ABSK", "Amazon Bedrock"),
    ("AKIA", "Amazon Web Services"),
    ("ghp_", "GitHub"),
    ("gho_", "GitHub"),
    ("ghu_", "GitHub"),
    ("github_pat_", "GitHub"),
    ("sk_live_", "Stripe"),
    ("sk_test_", "Stripe"),
    ("rk_live_", "Stripe"),
];
/// Stands in the middle of OpenAI's older keys, `sk-` and 48 characters.
const OPENAI_MARK: &str = "T3BlbkFJ";
const QUOTES: &[char] = &[
    '"', '\'', '`', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}',
];

/// Looks at a credential as it came, without the scheme (`Bearer `) of its header.
///
/// # Errors
/// What is wrong with it; the first of the list that fits.
pub fn inspect(text: &str) -> Result<WellFormed, KeyFault> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(KeyFault::Empty);
    }
    if is_bearer(trimmed) {
        return Err(KeyFault::DoubledBearer);
    }
    if trimmed.starts_with(QUOTES) || trimmed.ends_with(QUOTES) {
        return Err(KeyFault::Quotes);
    }
    if text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        return Err(KeyFault::Whitespace);
    }
    match is_ours(text) {
        Some(true) => Ok(WellFormed(Zeroizing::new(text.to_owned()))),
        shape => Err(match foreign_provider(text) {
            Some(provider) => KeyFault::Foreign(provider),
            None if shape.is_some() => KeyFault::BadChecksum,
            None => KeyFault::BadForm,
        }),
    }
}

/// `Some` when the text has the shape of a key of ours under whatever prefix; whether its checksum is right.
fn is_ours(text: &str) -> Option<bool> {
    let start = text.len().checked_sub(BODY_CHARS)?;
    let (prefix, body) = text.split_at_checked(start)?;
    if !prefix.ends_with(['-', '_']) || !digits::is_base62(body) {
        return None;
    }
    let (signed, tail) = text.split_at(text.len() - CHECKSUM_DIGITS);
    Some(checksum(signed) == tail)
}

/// Whose keys start like this text, if another service's do.
pub(super) fn foreign_provider(text: &str) -> Option<&'static str> {
    let by_prefix = FOREIGN.iter().find(|(prefix, _)| text.starts_with(prefix));
    match by_prefix {
        Some((_, provider)) => Some(provider),
        None if text.starts_with("sk-") && text.contains(OPENAI_MARK) => Some("OpenAI"),
        None if is_deepseek(text) => Some("DeepSeek"),
        None => None,
    }
}

/// `sk-` and 32 hexadecimal digits.
fn is_deepseek(text: &str) -> bool {
    text.strip_prefix("sk-").is_some_and(|rest| {
        rest.len() == 32
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

fn is_bearer(text: &str) -> bool {
    let word = text
        .split(|letter: char| letter.is_whitespace() || letter == ':')
        .next();
    word.is_some_and(|word| word.eq_ignore_ascii_case("bearer"))
}

impl WellFormed {
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for WellFormed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WellFormed(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyForm;

    fn key(prefix: &str) -> String {
        let form = KeyForm::with_prefix(prefix).expect("a prefix");
        form.draw().reveal().to_string()
    }

    #[test]
    fn our_own_keys_are_well_formed_under_any_prefix() {
        for prefix in ["sk-tg-", "sk-", "acme_live_"] {
            let key = key(prefix);
            assert!(inspect(&key).is_ok(), "{prefix}");
        }
    }

    #[test]
    fn a_mistyped_key_is_told_by_its_checksum() {
        let key = key("sk-tg-");
        for index in "sk-tg-".len()..key.len() {
            let mut mistyped = key.clone().into_bytes();
            mistyped[index] = if mistyped[index] == b'x' { b'y' } else { b'x' };
            let mistyped = String::from_utf8(mistyped).expect("ASCII");
            assert_eq!(
                inspect(&mistyped).err(),
                Some(KeyFault::BadChecksum),
                "at {index}"
            );
        }
    }

    #[test]
    fn every_way_of_getting_it_wrong_has_its_name() {
        let key = key("sk-tg-");
        let deepseek = format!("sk-{}", "0a1b2c3d".repeat(4));
        let openai = format!("sk-{}{OPENAI_MARK}{}", "a".repeat(20), "b".repeat(20));
        for (text, fault) in [
            (String::new(), KeyFault::Empty),
            (" \t ".to_owned(), KeyFault::Empty),
            (format!("Bearer {key}"), KeyFault::DoubledBearer),
            (format!("bearer: {key}"), KeyFault::DoubledBearer),
            ("Bearer".to_owned(), KeyFault::DoubledBearer),
            (format!("\"{key}\""), KeyFault::Quotes),
            (format!("'{key}"), KeyFault::Quotes),
            (format!("{key}\u{201d}"), KeyFault::Quotes),
            (format!("{key} "), KeyFault::Whitespace),
            (format!("{key}\n"), KeyFault::Whitespace),
            (key.replacen("tg-", "tg- ", 1), KeyFault::Whitespace),
            (
                "sk-ant-api03-abc".to_owned(),
                KeyFault::Foreign("Anthropic"),
            ),
            (
                "sk-ant-oat01-abc".to_owned(),
                KeyFault::Foreign("Anthropic"),
            ),
            ("sk-proj-abc".to_owned(), KeyFault::Foreign("OpenAI")),
            (openai, KeyFault::Foreign("OpenAI")),
            ("sk-or-v1-abc".to_owned(), KeyFault::Foreign("OpenRouter")),
            ("AIzaSyA".to_owned(), KeyFault::Foreign("Google")),
            ("gsk_abc".to_owned(), KeyFault::Foreign("Groq")),
            ("xai-abc".to_owned(), KeyFault::Foreign("xAI")),
            (deepseek, KeyFault::Foreign("DeepSeek")),
            (key[..key.len() - 1].to_owned(), KeyFault::BadForm),
            (format!("{key}x"), KeyFault::BadForm),
            ("sk-tg-".to_owned(), KeyFault::BadForm),
            ("YOUR_API_KEY".to_owned(), KeyFault::BadForm),
            ("ключ".repeat(20), KeyFault::BadForm),
        ] {
            assert_eq!(inspect(&text).err(), Some(fault), "{text}");
        }
    }

    #[test]
    fn debug_output_does_not_show_a_key() {
        let well_formed = inspect(&key("sk-tg-")).expect("our own key");

        assert_eq!(format!("{well_formed:?}"), "WellFormed(..)");
    }
}
