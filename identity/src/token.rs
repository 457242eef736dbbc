//! Secrets of 256 bits that a browser carries: in a cookie, in a mailed link, in the set-up link. Only their
//! SHA-256 is ever stored, which is enough for a secret that cannot be guessed.

use crate::digits;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

const BYTES: usize = 32;

macro_rules! tokens {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// A new one.
            pub(crate) fn fresh() -> Self {
                Self(fresh())
            }

            /// Reads one as a browser sent it; nothing when it cannot be one.
            pub fn parse(text: &str) -> Option<Self> {
                parse(text).map(Self)
            }

            /// The text for the cookie or the link, and for nothing else.
            pub fn expose(&self) -> &str {
                &self.0
            }

            /// What the database holds of it.
            pub(crate) fn digest(&self) -> Vec<u8> {
                Sha256::digest(self.0.as_bytes()).to_vec()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )+};
}

tokens! {
    /// What a signed-in browser's cookie holds.
    SessionToken,
    /// What a mailed link holds.
    TokenSecret,
    /// What the link to the first operator's account holds.
    SetupSecret,
}

fn fresh() -> Zeroizing<String> {
    let bytes = digits::random::<BYTES>();
    Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

fn parse(text: &str) -> Option<Zeroizing<String>> {
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
    (bytes.len() == BYTES).then(|| Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_as_itself() {
        let token = SessionToken::fresh();

        let again = SessionToken::parse(token.expose()).expect("what we made is well-formed");

        assert_eq!(again.digest(), token.digest());
        assert_ne!(SessionToken::fresh().digest(), token.digest());
    }

    #[test]
    fn what_cannot_be_a_token_is_not_looked_up() {
        let long = "A".repeat(44);
        for text in [
            "",
            "short",
            "with spaces in the middle of it and so forth",
            &long,
        ] {
            assert!(TokenSecret::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn debug_output_does_not_show_it() {
        let token = SetupSecret::fresh();

        assert_eq!(format!("{token:?}"), "SetupSecret(..)");
    }
}
