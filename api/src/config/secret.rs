//! Values that must not be printed.

use std::fmt;

/// Text that is never shown: a password, an address with a password in it, a provider's key.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Guards `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that uses it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// 32 random bytes, written as 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// Guards `bytes`.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// When the text is not that, or is so even that nobody can have drawn it by chance.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes)
            .map_err(|_| "it is not 64 hexadecimal digits")?;
        let mut distinct = bytes.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() < FEWEST_DISTINCT_BYTES {
            return Err("it is an example, not a random value");
        }
        Ok(Self(bytes))
    }

    /// The bytes, for the one place that uses them.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Of 32 random bytes about 30 differ; fewer than this many is no accident.
const FEWEST_DISTINCT_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_64_random_hexadecimal_digits() {
        let random = "9f2c4d7be1a05386c4f7d2180b6e93a57cd1480fe6b25933a81d64fc0e729b5a";

        assert!(Key::parse(random).is_ok());
        assert!(Key::parse(&format!("{random}\n")).is_ok());
        for bad in [
            "",
            "change-me",
            &random[2..],
            &"00".repeat(32),
            &"0123456789abcdef".repeat(4),
        ] {
            assert!(Key::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let key = Key::new([7; 32]);

        let printed = format!("{:?} {key:?}", Secret::new("hunter2"));

        assert_eq!(printed, "Secret(..) Key(..)");
    }
}
