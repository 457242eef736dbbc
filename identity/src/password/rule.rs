//! Which passwords are taken: long enough to be the only factor, not a well-known one, and nothing else asked
//! (NIST SP 800-63B-4, 3.1.1.2; OWASP ASVS 5, V6.2).

use crate::email::EmailAddress;
use std::fmt;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// A password that may be set. In Unicode NFC, so that the same keys match on every system.
pub struct Password(Zeroizing<String>);

/// A password as typed at sign-in; right or wrong, nothing else is asked of it.
pub struct Attempt(Zeroizing<String>);

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// Fewer than 15 characters.
    #[error("shorter than {} characters", Password::MIN_CHARS)]
    TooShort,
    /// More than 128 characters.
    #[error("longer than {} characters", Password::MAX_CHARS)]
    TooLong,
    /// Holds a control character, which no keyboard types twice the same way.
    #[error("holds a control character")]
    Unprintable,
    /// Among the first that anybody would try.
    #[error("too easy to guess")]
    Common,
    /// Its owner's name or mail address with little else.
    #[error("made of the owner's own name or mail address")]
    OwnWords,
}

impl Password {
    /// The fewest characters.
    pub const MIN_CHARS: usize = 15;
    /// The most characters.
    pub const MAX_CHARS: usize = 128;

    /// Reads a new password. Spaces count, wherever they stand.
    ///
    /// # Errors
    /// When it is too short, too long, unprintable or well known.
    pub fn parse(text: &str) -> Result<Self, PasswordFault> {
        let password = normal(text);
        let chars = password.chars().count();
        if chars < Self::MIN_CHARS {
            return Err(PasswordFault::TooShort);
        }
        if chars > Self::MAX_CHARS {
            return Err(PasswordFault::TooLong);
        }
        if password.chars().any(char::is_control) {
            return Err(PasswordFault::Unprintable);
        }
        if is_common(&password) {
            return Err(PasswordFault::Common);
        }
        Ok(Self(password))
    }

    /// Refuses a password that its owner's name or address gives away.
    ///
    /// # Errors
    /// When fewer than eight characters are left without them.
    pub(crate) fn differs_from(
        &self,
        email: &EmailAddress,
        display_name: &str,
    ) -> Result<(), PasswordFault> {
        let mut rest = self.0.to_lowercase();
        let name = display_name.to_lowercase();
        let words = [email.as_str(), email.local(), name.as_str()];
        let parts = email.local().split(['.', '+', '-', '_']);
        for word in words
            .into_iter()
            .chain(parts)
            .chain(name.split_whitespace())
        {
            if word.chars().count() >= 4 {
                rest = rest.replace(word, "");
            }
        }
        if rest.chars().count() < 8 {
            return Err(PasswordFault::OwnWords);
        }
        Ok(())
    }

    pub(crate) fn into_text(self) -> Zeroizing<String> {
        self.0
    }
}

impl Attempt {
    /// What was typed. One too long to be anybody's password is wrong without more ado.
    pub fn new(text: &str) -> Self {
        if text.chars().take(Password::MAX_CHARS + 1).count() > Password::MAX_CHARS {
            return Self(Zeroizing::new(String::new()));
        }
        Self(normal(text))
    }

    pub(crate) fn into_text(self) -> Zeroizing<String> {
        self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attempt(..)")
    }
}

fn normal(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.nfc().collect())
}

/// Words that lists of leaked passwords are made of, and those of this product and its field.
const WORDS: &[&str] = &[
    "administrator",
    "1q2w3e4r",
    "passwort",
    "password",
    "passw0rd",
    "p@ssw0rd",
    "p@ssword",
    "changeme",
    "anthropic",
    "trustno1",
    "football",
    "baseball",
    "sunshine",
    "princess",
    "superman",
    "starwars",
    "whatever",
    "computer",
    "internet",
    "iloveyou",
    "michael",
    "chatgpt",
    "default",
    "letmein",
    "welcome",
    "tollgate",
    "dragon",
    "monkey",
    "master",
    "secret",
    "shadow",
    "batman",
    "openai",
    "claude",
    "access",
    "qazwsx",
    "azerty",
    "login",
    "admin",
    "hello",
    "guest",
    "pass",
    "test",
    "root",
    "user",
    "abc",
    "the",
    "123",
    "my",
];
/// Rows of keys and letters that hands run along.
const RUNS: &[&str] = &[
    "01234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
];
const SHORTEST_RUN: usize = 3;

/// Whether nothing is left once well-known words, runs, repetitions, digits and signs are taken away.
fn is_common(password: &str) -> bool {
    let letters = Zeroizing::new(password.to_lowercase().chars().collect::<Vec<_>>());
    let mut distinct = Zeroizing::new(letters.to_vec());
    distinct.sort_unstable();
    distinct.dedup();
    let repeats = |unit: usize| letters.iter().zip(&letters[unit..]).all(|(a, b)| a == b);
    if distinct.len() <= 4 || (1..=5).any(repeats) {
        return true;
    }
    let mut at = 0;
    let mut left = 0;
    while at < letters.len() {
        let known = known_prefix(&letters[at..]);
        left += usize::from(known == 0);
        at += known.max(1);
    }
    left <= 3
}

/// How many characters at the start belong to what everybody tries.
fn known_prefix(letters: &[char]) -> usize {
    let starts = |word: &str| {
        let length = word.chars().count();
        word.chars()
            .eq(letters.iter().copied().take(length))
            .then_some(length)
    };
    let word = WORDS
        .iter()
        .filter_map(|word| starts(word))
        .max()
        .unwrap_or(0);
    let run = RUNS
        .iter()
        .map(|row| run_length(row, letters))
        .max()
        .unwrap_or(0);
    let same = letters
        .iter()
        .take_while(|letter| **letter == letters[0])
        .count();
    let sign = usize::from(!letters[0].is_alphabetic());
    [word, run, same]
        .into_iter()
        .filter(|length| *length >= 2)
        .max()
        .unwrap_or(sign)
}

fn run_length(row: &str, letters: &[char]) -> usize {
    let forwards = row.chars().collect::<Vec<_>>();
    let backwards = row.chars().rev().collect::<Vec<_>>();
    [forwards, backwards]
        .iter()
        .flat_map(|row| (0..row.len()).map(move |start| &row[start..]))
        .map(|row| row.iter().zip(letters).take_while(|(a, b)| a == b).count())
        .filter(|length| *length >= SHORTEST_RUN)
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Option<PasswordFault> {
        Password::parse(text).err()
    }

    #[test]
    fn length_decides_at_its_bounds() {
        let of = |chars: usize| "kT9 vé".chars().cycle().take(chars).collect::<String>();
        for (chars, expected) in [
            (14, Some(PasswordFault::TooShort)),
            (15, None),
            (64, None),
            (128, None),
            (129, Some(PasswordFault::TooLong)),
        ] {
            assert_eq!(fault(&of(chars)), expected, "{chars}");
        }
    }

    #[test]
    fn no_composition_is_asked_for() {
        for text in [
            "correct horse battery staple",
            "only lower case letters",
            "八个字也可以是很好的口令因为很长",
            "Tr0ub4dor&3-and-friends",
        ] {
            assert_eq!(fault(text), None, "{text}");
        }
    }

    #[test]
    fn what_everybody_tries_is_refused() {
        for text in [
            "passwordpassword",
            "Password12345678!",
            "123456789012345",
            "qwertyuiopasdfgh",
            "aaaaaaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabc",
            "letmein-letmein-2026",
            "TollgateAdmin2026!!",
            "1qaz2wsx3edc4rfv",
        ] {
            assert_eq!(fault(text), Some(PasswordFault::Common), "{text}");
        }
    }

    #[test]
    fn control_characters_are_refused() {
        assert_eq!(
            fault("a line\nand another one"),
            Some(PasswordFault::Unprintable)
        );
    }

    #[test]
    fn own_words_do_not_make_a_password() {
        let email = EmailAddress::parse("augusta.byron@example.org").expect("a mail address");
        for (text, expected) in [
            ("augusta.byron@example.org", Err(PasswordFault::OwnWords)),
            ("augustabyron1815", Err(PasswordFault::OwnWords)),
            ("Countess Lovelace!", Err(PasswordFault::OwnWords)),
            ("augusta likes long walks", Ok(())),
        ] {
            let password = Password::parse(text).expect("long enough");
            assert_eq!(
                password.differs_from(&email, "Countess Lovelace"),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn the_same_letters_typed_differently_are_one_password() {
        let composed = Attempt::new("caf\u{e9} au lait, s'il vous pla\u{ee}t");
        let decomposed = Attempt::new("cafe\u{301} au lait, s'il vous plai\u{302}t");

        assert_eq!(composed.into_text(), decomposed.into_text());
    }

    #[test]
    fn every_character_counts() {
        let start = "x1y2 ".repeat(20);
        let one = Password::parse(&format!("{start}a")).expect("long enough");
        let other = Password::parse(&format!("{start}b")).expect("long enough");

        assert_ne!(one.into_text(), other.into_text());
    }
}
