//! Credits in nano-credits. Integers only: there is no float, no bare `+` and no way in but by name.

use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// An amount of credits, counted in nano-credits: 1 credit is 1,000,000,000 of them and one US dollar of list
/// price. May be negative where it is a difference.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    DeriveValueType,
)]
#[serde(into = "String", try_from = "String")]
pub struct Credits(i64);

/// Why a text is not an amount of credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreditsError {
    /// Something else than digits with one decimal point.
    #[error("not a decimal number")]
    NotANumber,
    /// More than nine digits after the point.
    #[error("finer than a nano-credit (9 digits after the point at most)")]
    TooFine,
    /// Past what an i64 of nano-credits holds.
    #[error("too large (9,223,372,036 credits at most)")]
    TooLarge,
}

const NANOS_PER_CREDIT: i64 = 1_000_000_000;
const DECIMALS: usize = 9;

impl Credits {
    /// No credits.
    pub const ZERO: Self = Self(0);
    /// The most a wallet may hold, so that sums of a few wallets stay in range.
    pub const MAX: Self = Self(4_000_000_000_000_000_000);

    /// This many nano-credits.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nano-credits.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The sum, or `None` where it does not fit.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(nanos) => Some(Self(nanos)),
            None => None,
        }
    }

    /// The difference, or `None` where it does not fit.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(nanos) => Some(Self(nanos)),
            None => None,
        }
    }

    /// The amount with its sign turned, or `None` for the one that has no opposite.
    #[must_use]
    pub const fn checked_neg(self) -> Option<Self> {
        match self.0.checked_neg() {
            Some(nanos) => Some(Self(nanos)),
            None => None,
        }
    }

    /// Whether there are none.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether there are some.
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Whether some are owed.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Reads a decimal number of credits such as `12`, `0.5` or `-0.000000001`.
    ///
    /// # Errors
    /// When the text is no such number, finer than a nano-credit, or too large.
    pub fn parse(text: &str) -> Result<Self, CreditsError> {
        let text = text.trim();
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || digits.ends_with('.')
        {
            return Err(CreditsError::NotANumber);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > DECIMALS {
            return Err(CreditsError::TooFine);
        }
        let whole: i64 = whole.parse().map_err(|_| CreditsError::TooLarge)?;
        let fraction: i64 = format!("{fraction:0<DECIMALS$}")
            .parse()
            .map_err(|_| CreditsError::TooLarge)?;
        let nanos = whole
            .checked_mul(NANOS_PER_CREDIT)
            .and_then(|nanos| nanos.checked_add(fraction))
            .ok_or(CreditsError::TooLarge)?;
        Ok(Self(if negative { -nanos } else { nanos }))
    }
}

/// The shortest exact decimal number of credits.
impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        let unit = NANOS_PER_CREDIT.unsigned_abs();
        let fraction = format!("{:09}", nanos % unit);
        let fraction = fraction.trim_end_matches('0');
        let sign = if self.0 < 0 { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{}{point}{fraction}", nanos / unit)
    }
}

impl FromStr for Credits {
    type Err = CreditsError;

    fn from_str(text: &str) -> Result<Self, CreditsError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Credits {
    type Error = CreditsError;

    fn try_from(text: String) -> Result<Self, CreditsError> {
        Self::parse(&text)
    }
}

impl From<Credits> for String {
    fn from(credits: Credits) -> Self {
        credits.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back() {
        for (nanos, text) in [
            (0, "0"),
            (1, "0.000000001"),
            (-1, "-0.000000001"),
            (1_500_000_000, "1.5"),
            (-12_000_000_000, "-12"),
            (i64::MAX, "9223372036.854775807"),
        ] {
            assert_eq!(Credits::from_nanos(nanos).to_string(), text);
            assert_eq!(Credits::parse(text), Ok(Credits::from_nanos(nanos)));
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for (text, fault) in [
            ("", CreditsError::NotANumber),
            ("1,5", CreditsError::NotANumber),
            ("1e9", CreditsError::NotANumber),
            (".5", CreditsError::NotANumber),
            ("5.", CreditsError::NotANumber),
            ("--5", CreditsError::NotANumber),
            ("0.0000000001", CreditsError::TooFine),
            ("9223372037", CreditsError::TooLarge),
            ("99999999999999999999", CreditsError::TooLarge),
        ] {
            assert_eq!(Credits::parse(text), Err(fault), "{text}");
        }
        assert_eq!(
            Credits::parse(" 0.5000000000000 "),
            Ok(Credits::from_nanos(500_000_000))
        );
    }
}
