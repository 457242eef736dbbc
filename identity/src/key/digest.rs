//! What is kept of a key: HMAC-SHA-256 under a pepper that the database does not hold, so that a copy of the
//! database can neither find a key nor plant one.

use super::{
    form::{KeyForm, KeySecret},
    inspect::WellFormed,
};
use crate::ring::{Ring, RingFault, Secret};
use entity::key::Scheme;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// The peppers of key digests: the newest makes, all are looked for.
#[derive(Clone, Debug)]
pub struct PepperRing(Ring);

impl PepperRing {
    /// Reads numbered peppers, as [`Ring::parse`] does.
    ///
    /// # Errors
    /// When the text is no ring of secrets.
    pub fn parse(text: &str) -> Result<Self, RingFault> {
        Ring::parse(text).map(Self)
    }
}

impl From<Ring> for PepperRing {
    fn from(ring: Ring) -> Self {
        Self(ring)
    }
}

/// How this installation writes keys and digests them.
#[derive(Clone, Debug)]
pub struct Keys {
    form: KeyForm,
    peppers: PepperRing,
}

impl Keys {
    /// Keys in this form under these peppers.
    pub const fn new(form: KeyForm, peppers: PepperRing) -> Self {
        Self { form, peppers }
    }

    /// How new keys are written.
    pub const fn form(&self) -> &KeyForm {
        &self.form
    }

    /// What a key's row may hold, under the newest pepper first.
    pub fn digests(&self, key: &WellFormed) -> Vec<KeyDigest> {
        let peppers = self.peppers.0.all();
        peppers
            .map(|(version, pepper)| KeyDigest::made(pepper, version.get(), key.text()))
            .collect()
    }

    pub(super) fn digest_of_new(&self, key: &KeySecret) -> KeyDigest {
        self.newest_digest(key.text())
    }

    /// What a key's row would hold had the key been made now; nothing where `version` is that of the newest pepper.
    pub(super) fn digest_after(&self, version: i64, key: &WellFormed) -> Option<KeyDigest> {
        let digest = self.newest_digest(key.text());
        (i64::from(digest.pepper_version) != version).then_some(digest)
    }

    fn newest_digest(&self, text: &str) -> KeyDigest {
        let (version, pepper) = self.peppers.0.newest();
        KeyDigest::made(pepper, version.get(), text)
    }
}

/// The stored form of a key. Two are equal when they are of one key under one pepper.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest {
    bytes: [u8; 32],
    pepper_version: u8,
}

impl KeyDigest {
    fn made(pepper: &Secret, pepper_version: u8, text: &str) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(pepper.as_slice())
            .expect("HMAC takes a key of any length");
        mac.update(text.as_bytes());
        Self {
            bytes: mac.finalize().into_bytes().into(),
            pepper_version,
        }
    }

    /// The digest.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Under which pepper it was made.
    pub const fn pepper_version(&self) -> u8 {
        self.pepper_version
    }

    /// How it was made.
    pub const fn scheme(&self) -> Scheme {
        Scheme::HmacSha256
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::inspect;

    const OLD: &str = "1:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    const NEW: &str = "2:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752";

    fn keys(peppers: &str) -> Keys {
        let peppers = PepperRing::parse(peppers).expect("peppers");
        Keys::new(KeyForm::default(), peppers)
    }

    #[test]
    fn a_digest_is_hmac_sha256() {
        // RFC 4231, test case 2, with its key as pepper would need a short key; the construction is the same.
        let mut mac = Hmac::<Sha256>::new_from_slice(b"Jefe").expect("any length");
        mac.update(b"what do ya want for nothing?");

        assert_eq!(
            hex::encode(mac.finalize().into_bytes()),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn a_key_is_found_under_every_pepper_of_the_ring() {
        let secret = KeyForm::default().draw();
        let before = keys(OLD).digest_of_new(&secret);
        let text = secret.reveal();
        let key = inspect(&text).expect("our own key");

        let rotated = keys(&format!("{NEW},{OLD}")).digests(&key);

        assert_eq!(rotated.len(), 2);
        assert_eq!(rotated[0].pepper_version(), 2);
        assert_eq!(rotated[1], before);
        assert_ne!(rotated[0].bytes(), rotated[1].bytes());
    }
}
