//! Money of the real world, and the packs in which credits are sold for it.

use std::fmt;

use entity::Credits;
use serde::{Deserialize, Serialize};

/// Longest name of a pack, in characters.
const NAME_MAX: usize = 80;
/// Largest price: what providers take in one payment, in the smallest unit.
const MINOR_MAX: i64 = 99_999_999;

/// An amount in a currency's smallest unit: 500 of `usd` are five dollars, 500 of `jpy` five hundred yen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    minor: i64,
    currency: [u8; 3],
}

impl Money {
    /// An amount above zero; the currency is three letters of ISO 4217, in any case.
    pub fn new(minor: i64, currency: &str) -> Result<Self, PackFault> {
        let letters: [u8; 3] = currency
            .as_bytes()
            .try_into()
            .map_err(|_| PackFault::Currency)?;
        if !letters.iter().all(u8::is_ascii_alphabetic) {
            return Err(PackFault::Currency);
        }
        if !(1..=MINOR_MAX).contains(&minor) {
            return Err(PackFault::Price);
        }
        Ok(Self {
            minor,
            currency: letters.map(|letter| letter.to_ascii_lowercase()),
        })
    }

    /// In the currency's smallest unit.
    pub fn minor(&self) -> i64 {
        self.minor
    }

    /// ISO 4217, lower case.
    pub fn currency(&self) -> String {
        self.currency
            .iter()
            .map(|letter| char::from(*letter))
            .collect()
    }

    /// Digits of the currency after the point, as payment providers count them.
    fn decimals(&self) -> usize {
        const NONE: [&[u8; 3]; 16] = [
            b"bif", b"clp", b"djf", b"gnf", b"jpy", b"kmf", b"krw", b"mga", b"pyg", b"rwf", b"ugx",
            b"vnd", b"vuv", b"xaf", b"xof", b"xpf",
        ];
        const THREE: [&[u8; 3]; 5] = [b"bhd", b"jod", b"kwd", b"omr", b"tnd"];
        if NONE.contains(&&self.currency) {
            0
        } else if THREE.contains(&&self.currency) {
            3
        } else {
            2
        }
    }
}

/// Such as `5.00 USD`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = self.decimals();
        let width = decimals.saturating_add(1);
        let digits = format!("{:0width$}", self.minor);
        let (whole, fraction) = digits.split_at(digits.len().saturating_sub(decimals));
        let point = if fraction.is_empty() { "" } else { "." };
        write!(
            f,
            "{whole}{point}{fraction} {}",
            self.currency().to_ascii_uppercase()
        )
    }
}

/// Credits on sale for a fixed price: a snapshot of it stays with the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PackText", into = "PackText")]
pub struct CreditPack {
    name: String,
    credits: Credits,
    bonus: Credits,
    price: Money,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackText {
    name: String,
    credits: Credits,
    #[serde(default)]
    bonus: Credits,
    price_minor: i64,
    currency: String,
}

/// Why a pack cannot be sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackFault {
    /// The name is empty or too long.
    #[error("a credit pack needs a name of at most {NAME_MAX} characters")]
    Name,
    /// No credits, or more than a wallet holds.
    #[error("a credit pack holds credits above zero, and a bonus not below it")]
    Credits,
    /// Free, negative or too dear.
    #[error("a price is between 1 and {MINOR_MAX} of the currency's smallest unit")]
    Price,
    /// No currency.
    #[error("a currency has three letters")]
    Currency,
}

impl CreditPack {
    /// A pack without bonus.
    pub fn new(name: &str, credits: Credits, price: Money) -> Result<Self, PackFault> {
        Self::with_bonus(name, credits, Credits::ZERO, price)
    }

    /// A pack with credits on top.
    pub fn with_bonus(
        name: &str,
        credits: Credits,
        bonus: Credits,
        price: Money,
    ) -> Result<Self, PackFault> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > NAME_MAX {
            return Err(PackFault::Name);
        }
        let total = credits.checked_add(bonus).ok_or(PackFault::Credits)?;
        if !credits.is_positive() || bonus.is_negative() || total > Credits::MAX {
            return Err(PackFault::Credits);
        }
        Ok(Self {
            name: name.to_owned(),
            credits,
            bonus,
            price,
        })
    }

    /// What buyers read.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is bought.
    pub fn credits(&self) -> Credits {
        self.credits
    }

    /// What is given on top.
    pub fn bonus(&self) -> Credits {
        self.bonus
    }

    /// What it costs, without tax.
    pub fn price(&self) -> Money {
        self.price
    }
}

impl TryFrom<PackText> for CreditPack {
    type Error = PackFault;

    fn try_from(text: PackText) -> Result<Self, PackFault> {
        let price = Money::new(text.price_minor, &text.currency)?;
        Self::with_bonus(&text.name, text.credits, text.bonus, price)
    }
}

impl From<CreditPack> for PackText {
    fn from(pack: CreditPack) -> Self {
        Self {
            price_minor: pack.price.minor,
            currency: pack.price.currency(),
            name: pack.name,
            credits: pack.credits,
            bonus: pack.bonus,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_with_the_digits_of_its_currency() {
        let table = [
            (500, "usd", "5.00 USD"),
            (5, "USD", "0.05 USD"),
            (500, "jpy", "500 JPY"),
            (1_500, "kwd", "1.500 KWD"),
        ];

        for (minor, currency, text) in table {
            assert_eq!(
                Money::new(minor, currency).expect("money").to_string(),
                text
            );
        }
    }

    #[test]
    fn what_cannot_be_sold_is_refused() {
        let price = Money::new(100, "eur").expect("money");
        let credits = Credits::from_nanos;

        assert_eq!(Money::new(0, "usd"), Err(PackFault::Price));
        assert_eq!(Money::new(-1, "usd"), Err(PackFault::Price));
        assert_eq!(Money::new(i64::MAX, "usd"), Err(PackFault::Price));
        assert_eq!(Money::new(1, "euro"), Err(PackFault::Currency));
        assert_eq!(Money::new(1, "u$d"), Err(PackFault::Currency));
        assert_eq!(
            CreditPack::new("A", credits(0), price),
            Err(PackFault::Credits)
        );
        assert_eq!(
            CreditPack::new(" ", credits(1), price),
            Err(PackFault::Name)
        );
        assert_eq!(
            CreditPack::with_bonus("A", credits(1), credits(-1), price),
            Err(PackFault::Credits)
        );
        assert_eq!(
            CreditPack::with_bonus("A", credits(1), credits(i64::MAX), price),
            Err(PackFault::Credits)
        );
    }

    #[test]
    fn a_pack_survives_the_way_to_text_and_back() {
        let text =
            r#"{"name":"Ten","credits":"10","bonus":"0.5","price_minor":1000,"currency":"usd"}"#;

        let pack: CreditPack = serde_json::from_str(text).expect("a pack");

        assert_eq!(serde_json::to_string(&pack).expect("text"), text);
        assert!(serde_json::from_str::<CreditPack>(&text.replace("1000", "0")).is_err());
    }
}
