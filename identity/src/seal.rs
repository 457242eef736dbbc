//! Upstream secrets at rest: AES-256-GCM under the installation's master key. What was sealed for one row and
//! host opens for no other, so neither a swapped ciphertext nor a changed base URL can send a secret astray.

use crate::{
    digits,
    ring::{Ring, RingFault},
};
use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use entity::{ChannelId, TenantId};
use std::fmt;
use zeroize::Zeroizing;

/// The installation's master key, with the keys it replaced.
#[derive(Clone, Debug)]
pub struct MasterKey(Ring);

/// A sealed secret as the database holds it: key number (1 byte), nonce (12 bytes), ciphertext and tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

/// An upstream secret in the clear, on its way into a request and nowhere else.
pub struct ChannelSecret(Zeroizing<String>);

/// Why a sealed secret does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenFault {
    /// Too short to be a sealed secret.
    #[error("not a sealed secret")]
    Malformed,
    /// Sealed with a master key that this process was not given.
    #[error("sealed with master key {0}, which is not configured")]
    UnknownKey(u8),
    /// Altered, of another row, or for another host: enter the secret anew.
    #[error("sealed for another channel or host, or altered")]
    Refused,
}

const NONCE_BYTES: usize = 12;

impl MasterKey {
    /// Reads the master key and those it replaced, as [`Ring::parse`] does.
    ///
    /// # Errors
    /// When the text is no ring of secrets.
    pub fn parse(text: &str) -> Result<Self, RingFault> {
        Ring::parse(text).map(Self)
    }
}

impl From<Ring> for MasterKey {
    fn from(ring: Ring) -> Self {
        Self(ring)
    }
}

impl Sealed {
    /// What the column holds.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// For the column.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl ChannelSecret {
    /// The secret, for the header that carries it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ChannelSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelSecret(..)")
    }
}

/// Seals a channel's secret for its row and the host of its base URL.
pub fn seal_channel_secret(
    master: &MasterKey,
    channel: ChannelId,
    host: &str,
    secret: &str,
) -> Sealed {
    let (number, key) = master.0.newest();
    let nonce: [u8; NONCE_BYTES] = *digits::random();
    let payload = Payload {
        msg: secret.as_bytes(),
        aad: &bound_to(channel, host),
    };
    let ciphertext = cipher(key)
        .encrypt(&nonce.into(), payload)
        .expect("a secret is shorter than the cipher's limit");
    let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + ciphertext.len());
    sealed.push(number.get());
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&ciphertext);
    Sealed(sealed)
}

/// Opens a channel's secret for its row and the host it is about to be sent to.
///
/// # Errors
/// When it was sealed for something else, altered, or with a key this process lacks.
pub fn open_channel_secret(
    master: &MasterKey,
    channel: ChannelId,
    host: &str,
    sealed: &Sealed,
) -> Result<ChannelSecret, OpenFault> {
    let (number, rest) = sealed.0.split_first().ok_or(OpenFault::Malformed)?;
    let (nonce, ciphertext) = rest
        .split_first_chunk::<NONCE_BYTES>()
        .ok_or(OpenFault::Malformed)?;
    let key = master
        .0
        .with_number(*number)
        .ok_or(OpenFault::UnknownKey(*number))?;
    let payload = Payload {
        msg: ciphertext,
        aad: &bound_to(channel, host),
    };
    let plain = cipher(key)
        .decrypt(nonce.into(), payload)
        .map_err(|_| OpenFault::Refused)?;
    String::from_utf8(plain)
        .map(|text| ChannelSecret(Zeroizing::new(text)))
        .map_err(|_| OpenFault::Refused)
}

/// Seals a note that leaves this installation in a client's hands and is to come back from the same tenant.
pub fn seal_carrier(master: &MasterKey, tenant: TenantId, note: &[u8]) -> Vec<u8> {
    let (number, key) = master.0.newest();
    let nonce: [u8; NONCE_BYTES] = *digits::random();
    let payload = Payload {
        msg: note,
        aad: &carried_by(tenant),
    };
    let ciphertext = cipher(key)
        .encrypt(&nonce.into(), payload)
        .expect("a note is shorter than the cipher's limit");
    [&[number.get()][..], &nonce, &ciphertext].concat()
}

/// Opens what [`seal_carrier`] sealed for this tenant. Nothing for any other bytes, which anybody may send.
pub fn open_carrier(master: &MasterKey, tenant: TenantId, sealed: &[u8]) -> Option<Vec<u8>> {
    let (number, rest) = sealed.split_first()?;
    let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>()?;
    let payload = Payload {
        msg: ciphertext,
        aad: &carried_by(tenant),
    };
    cipher(master.0.with_number(*number)?)
        .decrypt(nonce.into(), payload)
        .ok()
}

fn carried_by(tenant: TenantId) -> Vec<u8> {
    format!("carrier|{tenant}").into_bytes()
}

/// The last four characters, which operators tell secrets apart by; fewer would say too much of a short one.
pub fn hint(secret: &str) -> String {
    let chars = secret.chars().count();
    let shown = if chars >= 12 { 4 } else { 0 };
    secret.chars().skip(chars - shown).collect()
}

fn cipher(key: &[u8; 32]) -> Aes256Gcm {
    Aes256Gcm::new(key.into())
}

/// Table, column, row and host. Only the last part has a length of its own, so no two differ only in where
/// they are cut.
fn bound_to(channel: ChannelId, host: &str) -> Vec<u8> {
    format!("channel|secret|{channel}|{}", host.to_ascii_lowercase()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(numbers: &[u8]) -> MasterKey {
        let entry = |number: &u8| {
            let bytes = (0..32_u8).map(|byte| byte.wrapping_mul(7).wrapping_add(*number));
            format!("{number}:{}", hex::encode(bytes.collect::<Vec<_>>()))
        };
        let text = numbers.iter().map(entry).collect::<Vec<_>>().join(",");
        MasterKey::parse(&text).expect("a ring")
    }

    fn opened(
        master: &MasterKey,
        channel: ChannelId,
        host: &str,
        sealed: &Sealed,
    ) -> Result<String, OpenFault> {
        open_channel_secret(master, channel, host, sealed).map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn a_secret_opens_for_its_own_row_and_host_only() {
        let (master, channel) = (master(&[1]), ChannelId::fresh());

        let sealed = seal_channel_secret(&master, channel, "api.example.org", "sk-upstream");

        assert_eq!(
            opened(&master, channel, "API.example.org", &sealed),
            Ok("sk-upstream".to_owned())
        );
        for (row, host) in [
            (ChannelId::fresh(), "api.example.org"),
            (channel, "api.example.com"),
            (channel, "api.example.org."),
            (channel, ""),
        ] {
            assert_eq!(
                opened(&master, row, host, &sealed),
                Err(OpenFault::Refused),
                "{host}"
            );
        }
    }

    #[test]
    fn a_note_comes_back_from_its_own_tenant_only() {
        let (master, tenant) = (master(&[1]), TenantId::fresh());

        let sealed = seal_carrier(&master, tenant, b"state");

        assert_eq!(
            open_carrier(&master, tenant, &sealed).as_deref(),
            Some(&b"state"[..])
        );
        assert_eq!(open_carrier(&master, TenantId::fresh(), &sealed), None);
        for length in 0..sealed.len() {
            assert_eq!(open_carrier(&master, tenant, &sealed[..length]), None);
        }
    }

    #[test]
    fn an_altered_secret_does_not_open() {
        let (master, channel) = (master(&[1]), ChannelId::fresh());
        let sealed = seal_channel_secret(&master, channel, "h.example", "sk-upstream").into_bytes();

        for index in 1..sealed.len() {
            let mut altered = sealed.clone();
            altered[index] ^= 1;
            let altered = Sealed::from_bytes(altered);
            assert_eq!(
                opened(&master, channel, "h.example", &altered),
                Err(OpenFault::Refused)
            );
        }
        for length in 0..13 {
            let cut = Sealed::from_bytes(sealed[..length].to_vec());
            assert_eq!(
                opened(&master, channel, "h.example", &cut),
                Err(OpenFault::Malformed)
            );
        }
    }

    #[test]
    fn a_rotated_key_opens_what_it_sealed_and_seals_no_more() {
        let channel = ChannelId::fresh();
        let old = seal_channel_secret(&master(&[1]), channel, "h.example", "sk-upstream");

        let new = seal_channel_secret(&master(&[2, 1]), channel, "h.example", "sk-upstream");

        assert_eq!(
            opened(&master(&[2, 1]), channel, "h.example", &old),
            Ok("sk-upstream".to_owned())
        );
        assert_eq!(
            opened(&master(&[1]), channel, "h.example", &new),
            Err(OpenFault::UnknownKey(2))
        );
    }

    #[test]
    fn two_seals_of_one_secret_differ() {
        let (master, channel) = (master(&[1]), ChannelId::fresh());

        let one = seal_channel_secret(&master, channel, "h.example", "sk-upstream");
        let other = seal_channel_secret(&master, channel, "h.example", "sk-upstream");

        assert_ne!(one, other);
    }

    #[test]
    fn a_hint_shows_the_end_of_long_secrets_only() {
        for (secret, shown) in [("sk-0123456789abcd", "abcd"), ("short", ""), ("", "")] {
            assert_eq!(hint(secret), shown);
        }
    }
}
