//! How a redemption code looks, how forgiving it is read, and the digest that is all we keep of it.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Crockford's base32: no I, L, O or U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Random symbols: 24 of 5 bits are 120 bits.
const RANDOM: usize = 24;
/// All symbols: the last one checks the others.
const LENGTH: usize = 25;
/// Symbols between two dashes.
const GROUP: usize = 5;
/// Longest text worth reading.
const TEXT_MAX: usize = 100;
/// Shortest key of the digests, in bytes.
const KEY_MIN: usize = 32;

/// A redemption code in plain text: five groups of five symbols. Shown once, when it is made; only its digest is
/// stored.
#[derive(Clone, PartialEq, Eq)]
pub struct RedemptionCode([u8; LENGTH]);

/// Why a text cannot be a redemption code of ours. Found without looking it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeFault {
    /// Nothing there.
    #[error("the code is empty")]
    Empty,
    /// Fewer or more symbols than a code has, or a symbol that no code holds.
    #[error("a code has 25 letters and digits, in groups of five")]
    Form,
    /// The right shape, but a symbol is wrong or two are swapped.
    #[error("the code is mistyped")]
    Mistyped,
}

impl RedemptionCode {
    /// A new code of 120 random bits.
    pub fn fresh() -> Result<Self, getrandom::Error> {
        let mut bytes = [0_u8; RANDOM];
        getrandom::fill(&mut bytes)?;
        let mut symbols = [0_u8; LENGTH];
        for (symbol, byte) in symbols.iter_mut().zip(bytes) {
            *symbol = byte & 31;
        }
        let (random, tail) = symbols.split_at_mut(RANDOM);
        if let Some(last) = tail.first_mut() {
            *last = check(random);
        }
        Ok(Self(symbols))
    }

    /// Reads what a person typed or pasted: any case, spaces and dashes anywhere, O for 0, I and L for 1.
    pub fn parse(text: &str) -> Result<Self, CodeFault> {
        let text = text.trim();
        if text.is_empty() {
            return Err(CodeFault::Empty);
        }
        if text.len() > TEXT_MAX {
            return Err(CodeFault::Form);
        }
        let mut symbols = [0_u8; LENGTH];
        let mut count: usize = 0;
        for c in text.chars().filter(|c| !c.is_whitespace() && !is_dash(*c)) {
            let slot = symbols.get_mut(count).ok_or(CodeFault::Form)?;
            *slot = symbol(c).ok_or(CodeFault::Form)?;
            count = count.saturating_add(1);
        }
        if count != LENGTH {
            return Err(CodeFault::Form);
        }
        let (random, tail) = symbols.split_at(RANDOM);
        if tail.first() != Some(&check(random)) {
            return Err(CodeFault::Mistyped);
        }
        Ok(Self(symbols))
    }

    /// The plain code, `XXXXX-XXXXX-XXXXX-XXXXX-XXXXX`, for the one export of its batch.
    pub fn expose(&self) -> String {
        let groups: Vec<String> = self.0.chunks(GROUP).map(spell).collect();
        groups.join("-")
    }

    /// The last group, by which an operator finds a code again.
    pub fn hint(&self) -> String {
        self.0
            .chunks(GROUP)
            .next_back()
            .map(spell)
            .unwrap_or_default()
    }
}

/// Never the code.
impl fmt::Debug for RedemptionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedemptionCode(..{})", self.hint())
    }
}

fn spell(symbols: &[u8]) -> String {
    symbols
        .iter()
        .filter_map(|value| ALPHABET.get(usize::from(*value)))
        .map(|letter| char::from(*letter))
        .collect()
}

fn symbol(c: char) -> Option<u8> {
    let c = match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let place = ALPHABET
        .iter()
        .position(|letter| char::from(*letter) == c)?;
    u8::try_from(place).ok()
}

fn is_dash(c: char) -> bool {
    matches!(c, '-' | '_' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

/// The check symbol: the others as the coefficients of a polynomial over the field of 32 elements (x^5 + x^2 + 1), at
/// its generator. Each place has a weight of its own, so one wrong symbol or two swapped ones never go unseen.
fn check(symbols: &[u8]) -> u8 {
    symbols.iter().fold(1, |sum, value| {
        let doubled = (sum ^ value) << 1;
        if doubled & 32 == 0 {
            doubled
        } else {
            doubled ^ 0b10_0101
        }
    })
}

/// The key of the digests under which codes are stored: a copy of the database does not help to guess codes.
#[derive(Clone)]
pub struct CodeKeys {
    mac: Hmac<Sha256>,
}

/// The key is too short to keep digests safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key of redemption codes needs at least {KEY_MIN} bytes")]
pub struct KeyTooShort;

impl CodeKeys {
    /// Takes the installation's secret for redemption codes, at least 32 bytes.
    pub fn new(secret: &[u8]) -> Result<Self, KeyTooShort> {
        if secret.len() < KEY_MIN {
            return Err(KeyTooShort);
        }
        let mac = Hmac::new_from_slice(secret).map_err(|_| KeyTooShort)?;
        Ok(Self { mac })
    }

    pub(super) fn digest(&self, code: &RedemptionCode) -> Vec<u8> {
        let mut mac = self.mac.clone();
        mac.update(b"tollgate redemption code 1:");
        mac.update(spell(&code.0).as_bytes());
        mac.finalize().into_bytes().to_vec()
    }
}

/// Never the key.
impl fmt::Debug for CodeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeKeys(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "00000-00000-00000-00000-0000";

    fn code() -> RedemptionCode {
        RedemptionCode::fresh().expect("randomness")
    }

    fn keys(byte: u8) -> CodeKeys {
        CodeKeys::new(&[byte; 32]).expect("a key")
    }

    #[test]
    fn a_code_is_read_back_however_it_is_typed() {
        for _ in 0..100 {
            let code = code();
            let text = code.expose();
            let typed = [
                text.clone(),
                text.to_lowercase(),
                text.replace('-', " "),
                text.replace('-', ""),
                format!("  {text}\n"),
                text.replace('0', "o").replace('1', "l"),
                text.replace('0', "O").replace('1', "I"),
                text.replace('-', "\u{2013}"),
            ];

            for typed in typed {
                assert_eq!(RedemptionCode::parse(&typed), Ok(code.clone()), "{typed}");
            }
            assert!(text.ends_with(&code.hint()));
        }
    }

    #[test]
    fn one_wrong_or_two_swapped_symbols_are_seen() {
        let text: Vec<char> = code().expose().replace('-', "").chars().collect();

        for place in 0..text.len() {
            for letter in ALPHABET.iter().map(|letter| char::from(*letter)) {
                let mut typed = text.clone();
                typed[place] = letter;
                let read = RedemptionCode::parse(&typed.iter().collect::<String>());
                assert_eq!(read.is_ok(), typed == text);
            }
            for other in 0..place {
                let mut typed = text.clone();
                typed.swap(place, other);
                let read = RedemptionCode::parse(&typed.iter().collect::<String>());
                assert_eq!(read.is_ok(), typed == text);
            }
        }
    }

    #[test]
    fn what_is_no_code_is_said_so_without_a_look_up() {
        let table = [
            ("", CodeFault::Empty),
            ("   ", CodeFault::Empty),
            ("hello", CodeFault::Form),
            (PLAIN, CodeFault::Form),
            ("U0000-00000-00000-00000-00000", CodeFault::Form),
            ("sk-tg-0123456789012345678", CodeFault::Form),
            ("00000-00000-00000-00000-000000", CodeFault::Form),
            ("0000000000000000000000000\u{e9}", CodeFault::Form),
        ];

        for (text, fault) in table {
            assert_eq!(RedemptionCode::parse(text), Err(fault), "{text}");
        }
        assert_eq!(
            RedemptionCode::parse(&"0".repeat(101)),
            Err(CodeFault::Form)
        );
        assert_eq!(
            RedemptionCode::parse(&format!("{PLAIN}0")),
            Err(CodeFault::Mistyped)
        );
    }

    #[test]
    fn digests_depend_on_the_key_and_the_code_and_nothing_prints_either() {
        let (first, second) = (code(), code());

        assert_eq!(keys(1).digest(&first), keys(1).digest(&first));
        assert_ne!(keys(1).digest(&first), keys(2).digest(&first));
        assert_ne!(keys(1).digest(&first), keys(1).digest(&second));
        assert!(!format!("{first:?}").contains(&first.expose()));
        assert_eq!(format!("{:?}", keys(1)), "CodeKeys(..)");
        assert_eq!(CodeKeys::new(&[1; 31]).err(), Some(KeyTooShort));
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_reader_and_what_it_reads_is_spelled_one_way(text in "\\PC{0,120}") {
            if let Ok(code) = RedemptionCode::parse(&text) {
                proptest::prop_assert_eq!(RedemptionCode::parse(&code.expose()), Ok(code));
            }
        }
    }
}
