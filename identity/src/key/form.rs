//! How a key is written: prefix, 256-bit secret in base62, and the CRC-32 of both in base62, so that a typing
//! error or a scanner's guess never reaches the database and leak scanners find ours by its form.

use super::inspect::foreign_provider;
use crate::{
    digits::{self, CHECKSUM_DIGITS, SECRET_DIGITS},
    name::{self, NameFault},
};
use std::fmt;
use zeroize::Zeroizing;

/// Characters after the prefix.
pub(super) const BODY_CHARS: usize = SECRET_DIGITS + CHECKSUM_DIGITS;

/// How new keys start. Keys made under an earlier prefix stay good: the checksum tells ours, not the prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyForm {
    prefix: String,
}

/// Why a text cannot be the prefix of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixFault {
    /// Shorter than 3 or longer than 16 characters.
    #[error("3 to 16 characters are needed")]
    Length,
    /// Something else than lower-case letters, digits, `-` and `_`, starting with a letter.
    #[error("only lower-case letters, digits, - and _ are allowed, and a letter first")]
    Alphabet,
    /// Does not end in `-` or `_`, so that nobody sees where the secret starts.
    #[error("it must end in - or _")]
    End,
    /// Another provider's keys start so.
    #[error("keys of {0} start like this")]
    Foreign(&'static str),
}

impl KeyForm {
    /// The prefix where none is configured.
    pub const DEFAULT_PREFIX: &'static str = "sk-tg-";

    /// Keys that start with `prefix`.
    ///
    /// # Errors
    /// When the prefix would not survive headers and configuration files, or is another provider's.
    pub fn with_prefix(prefix: &str) -> Result<Self, PrefixFault> {
        if !(3..=16).contains(&prefix.len()) {
            return Err(PrefixFault::Length);
        }
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        if !prefix.bytes().all(allowed)
            || !prefix.starts_with(|first: char| first.is_ascii_lowercase())
        {
            return Err(PrefixFault::Alphabet);
        }
        if !prefix.ends_with(['-', '_']) {
            return Err(PrefixFault::End);
        }
        if let Some(provider) = foreign_provider(prefix) {
            return Err(PrefixFault::Foreign(provider));
        }
        Ok(Self {
            prefix: prefix.to_owned(),
        })
    }

    /// How keys start.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A new key.
    pub(super) fn draw(&self) -> KeySecret {
        let mut text = Zeroizing::new(String::with_capacity(self.prefix.len() + BODY_CHARS));
        text.push_str(&self.prefix);
        digits::push_base62(&mut text, digits::random::<32>().as_slice(), SECRET_DIGITS);
        let checksum = checksum(&text);
        text.push_str(&checksum);
        KeySecret(text)
    }
}

impl Default for KeyForm {
    fn default() -> Self {
        Self {
            prefix: Self::DEFAULT_PREFIX.to_owned(),
        }
    }
}

/// The last six characters of a key whose text up to there is `text`.
pub(super) fn checksum(text: &str) -> String {
    let mut digits = String::with_capacity(CHECKSUM_DIGITS);
    digits::push_base62(
        &mut digits,
        &crc32fast::hash(text.as_bytes()).to_be_bytes(),
        CHECKSUM_DIGITS,
    );
    digits
}

/// A key in the clear, right after it was made. There is one, it cannot be copied, and reading it uses it up:
///
/// ```compile_fail
/// # fn show(secret: identity::key::KeySecret) {
/// let once = secret.reveal();
/// let twice = secret.reveal();
/// # }
/// ```
pub struct KeySecret(Zeroizing<String>);

impl KeySecret {
    /// The text for the one page or answer that shows it.
    #[must_use = "a key that is not shown now can never be shown"]
    pub fn reveal(self) -> Zeroizing<String> {
        self.0
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn last4(&self) -> &str {
        &self.0[self.0.len() - 4..]
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret(..)")
    }
}

/// What its holder calls a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName(String);

const MAX_NAME_CHARS: usize = 60;

impl KeyName {
    /// Reads a name of 1 to 60 characters; spaces around it are cut.
    ///
    /// # Errors
    /// When it is empty, too long or unprintable.
    pub fn parse(text: &str) -> Result<Self, NameFault> {
        name::parse(text, MAX_NAME_CHARS).map(Self)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_checked() {
        for (prefix, fault) in [
            ("sk-tg-", None),
            ("sk-", None),
            ("acme_live_", None),
            ("s-", Some(PrefixFault::Length)),
            ("a-prefix-of-17ch-", Some(PrefixFault::Length)),
            ("SK-TG-", Some(PrefixFault::Alphabet)),
            ("-sk-", Some(PrefixFault::Alphabet)),
            ("sk tg-", Some(PrefixFault::Alphabet)),
            ("schlüssel-", Some(PrefixFault::Alphabet)),
            ("sktg", Some(PrefixFault::End)),
            ("sk-ant-", Some(PrefixFault::Foreign("Anthropic"))),
            ("sk-ant-tg-", Some(PrefixFault::Foreign("Anthropic"))),
            ("gsk_", Some(PrefixFault::Foreign("Groq"))),
        ] {
            assert_eq!(KeyForm::with_prefix(prefix).err(), fault, "{prefix}");
        }
    }

    #[test]
    fn a_new_key_has_prefix_secret_and_checksum() {
        let key = KeyForm::default().draw().reveal();

        assert_eq!(key.len(), "sk-tg-".len() + 43 + 6);
        assert!(key.starts_with("sk-tg-"));
        assert_eq!(checksum(&key[..key.len() - 6]), key[key.len() - 6..]);
    }

    #[test]
    fn the_checksum_is_the_documented_one() {
        // CRC-32 (IEEE) of "123456789" is 0xCBF43926 = 3421780262.
        assert_eq!(checksum("123456789"), "3jZRME");
    }

    #[test]
    fn no_two_keys_are_alike() {
        let form = KeyForm::default();

        assert_ne!(form.draw().reveal(), form.draw().reveal());
    }

    #[test]
    fn debug_output_does_not_show_a_key() {
        assert_eq!(format!("{:?}", KeyForm::default().draw()), "KeySecret(..)");
    }

    #[test]
    fn names_are_checked() {
        let long = "x".repeat(61);
        for (typed, fault) in [
            (" laptop ", None),
            ("", Some(NameFault::Empty)),
            ("a\tb", Some(NameFault::Unprintable)),
            (&long, Some(NameFault::TooLong)),
        ] {
            assert_eq!(KeyName::parse(typed).err(), fault, "{typed}");
        }
    }
}
