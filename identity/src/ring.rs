//! Secrets of the installation that can be rotated: several at a time, each with a number; the highest makes,
//! all are accepted. Read from a file or the environment, never from the database.

use base64::{Engine, engine::general_purpose::STANDARD};
use std::{collections::BTreeMap, fmt, num::NonZeroU8};
use zeroize::Zeroizing;

pub(crate) type Secret = Zeroizing<[u8; 32]>;

/// One or more numbered secrets of 256 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Ring(BTreeMap<NonZeroU8, Secret>);

/// Why a text is not a ring of secrets. Says where, never what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RingFault {
    /// There is no secret.
    #[error("empty")]
    Empty,
    /// Not 32 bytes in hexadecimal or base64, or the number before the colon is not within 1 to 255.
    #[error("entry {0} is not a number and 32 bytes in hexadecimal or base64, as in 1:9f86d0..")]
    Malformed(usize),
    /// Two secrets with one number.
    #[error("entry {0} repeats a number; number the new secret one higher: 2:new,1:old")]
    Repeated(usize),
    /// An older secret stands before a newer one.
    #[error(
        "entry {0} is newer than the one before it; the newest, with the highest number, stands first"
    )]
    Order(usize),
    /// A secret as documentation and tests write it, not one that was drawn.
    #[error("entry {0} is an example, not a random secret")]
    Example(usize),
}

/// 32 drawn bytes have fewer distinct values than this once in more than 10^15 draws.
const FEWEST_DISTINCT_BYTES: usize = 16;

impl Ring {
    /// Reads secrets separated by commas or white space, the newest first: `2:<64 hex digits>,1:<base64>`; a bare secret
    /// has the number 1. A number stays with its secret for good, for rows say by it what they were made with.
    ///
    /// # Errors
    /// When an entry is malformed, repeated, out of order or plainly an example.
    pub fn parse(text: &str) -> Result<Self, RingFault> {
        let mut ring = BTreeMap::new();
        let mut before = None;
        let entries = text
            .split([',', ' ', '\t', '\r', '\n'])
            .filter(|entry| !entry.is_empty());
        for (index, entry) in entries.enumerate() {
            let place = index + 1;
            let (number, secret) = entry.split_once(':').unwrap_or(("1", entry));
            let number: NonZeroU8 = number.parse().map_err(|_| RingFault::Malformed(place))?;
            let secret = decode(secret).ok_or(RingFault::Malformed(place))?;
            if distinct(&secret) < FEWEST_DISTINCT_BYTES {
                return Err(RingFault::Example(place));
            }
            if ring.insert(number, secret).is_some() {
                return Err(RingFault::Repeated(place));
            }
            if before.replace(number).is_some_and(|before| before < number) {
                return Err(RingFault::Order(place));
            }
        }
        if ring.is_empty() {
            return Err(RingFault::Empty);
        }
        Ok(Self(ring))
    }

    /// The secret that makes, and its number.
    pub(crate) fn newest(&self) -> (NonZeroU8, &Secret) {
        let (number, secret) = self
            .0
            .last_key_value()
            .expect("a ring has one secret at least");
        (*number, secret)
    }

    pub(crate) fn with_number(&self, number: u8) -> Option<&Secret> {
        self.0.get(&NonZeroU8::new(number)?)
    }

    /// Newest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = (NonZeroU8, &Secret)> {
        self.0
            .iter()
            .rev()
            .map(|(number, secret)| (*number, secret))
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn decode(text: &str) -> Option<Secret> {
    let bytes = Zeroizing::new(hex::decode(text).or_else(|_| STANDARD.decode(text)).ok()?);
    let secret: [u8; 32] = bytes.as_slice().try_into().ok()?;
    Some(Zeroizing::new(secret))
}

fn distinct(secret: &Secret) -> usize {
    let mut bytes = Zeroizing::new(secret.to_vec());
    bytes.sort_unstable();
    bytes.dedup();
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    const BASE64: &str = "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=";

    #[test]
    fn rings_are_read() {
        let rotated = format!("7:{BASE64},\n1:{HEX}\n");
        for (text, newest) in [(HEX, 1), (BASE64, 1), (&rotated, 7)] {
            let ring = Ring::parse(text).expect("a ring");
            assert_eq!(ring.newest().0.get(), newest);
        }
    }

    #[test]
    fn both_spellings_are_one_secret() {
        let ring = Ring::parse(&format!("2:{BASE64} 1:{HEX}")).expect("a ring");

        assert_eq!(ring.with_number(1), ring.with_number(2));
        assert_eq!(ring.with_number(0), None);
    }

    #[test]
    fn faults_are_named_and_do_not_show_the_secret() {
        let zeros = "0".repeat(64);
        let repeated = format!("1:{HEX},1:{HEX}");
        let oldest_first = format!("1:{HEX},2:{BASE64}");
        let too_large = format!("256:{HEX}");
        let zero = format!("0:{HEX}");
        for (text, fault) in [
            ("", RingFault::Empty),
            (" \n", RingFault::Empty),
            ("change-me", RingFault::Malformed(1)),
            (&HEX[2..], RingFault::Malformed(1)),
            (&too_large, RingFault::Malformed(1)),
            (&zero, RingFault::Malformed(1)),
            (&zeros, RingFault::Example(1)),
            (&repeated, RingFault::Repeated(2)),
            (&oldest_first, RingFault::Order(2)),
        ] {
            assert_eq!(Ring::parse(text).err(), Some(fault), "{text}");
        }
        let ring = Ring::parse(HEX).expect("a ring");
        assert_eq!(format!("{ring:?}"), "{1}");
    }
}
