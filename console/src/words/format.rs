//! How credits, token counts and times are written on every page and in every mail.

use entity::{Credits, Timestamp};

/// Credits split for print: `1,234.50` and the digits beyond cents, `0134`, which pages show fainter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Amount {
    /// Sign, grouped whole credits and two decimals.
    pub whole: String,
    /// Further decimals without trailing zeros; often empty.
    pub rest: String,
}

/// Credits as pages print them.
pub(crate) fn amount(credits: Credits) -> Amount {
    let plain = credits.to_string();
    let (sign, digits) = plain
        .strip_prefix('-')
        .map_or(("", plain.as_str()), |digits| ("\u{2212}", digits));
    let (units, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let cents: String = decimals.chars().chain("00".chars()).take(2).collect();
    Amount {
        whole: format!("{sign}{}.{cents}", grouped(units)),
        rest: decimals.chars().skip(2).collect(),
    }
}

/// Credits in one piece: `1,234.500134`.
pub(crate) fn credits(credits: Credits) -> String {
    let Amount { whole, rest } = amount(credits);
    whole + &rest
}

/// Millionths of a nano-credit as credits, exact: `0.003702`.
pub(crate) fn fine(exact: i128) -> String {
    const DECIMALS: usize = 15;
    const UNIT: u128 = 1_000_000_000_000_000;
    let magnitude = exact.unsigned_abs();
    let sign = if exact < 0 { "\u{2212}" } else { "" };
    let decimals = format!("{:0DECIMALS$}", magnitude % UNIT);
    let kept = decimals.trim_end_matches('0').len().max(2);
    format!(
        "{sign}{}.{}",
        grouped(&(magnitude / UNIT).to_string()),
        &decimals[..kept]
    )
}

/// A whole number with groups of three: `12,345`.
pub(crate) fn count(number: i64) -> String {
    let plain = number.to_string();
    match plain.strip_prefix('-') {
        Some(digits) => format!("\u{2212}{}", grouped(digits)),
        None => grouped(&plain),
    }
}

fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A moment for `<time>`: what is printed (UTC) and the machine-readable form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// `2026-11-21 04:25 UTC`
    pub text: String,
    /// RFC 3339, for `datetime`.
    pub machine: String,
}

/// A moment as pages print it.
pub(crate) fn moment(time: Timestamp) -> Moment {
    let time = time.to_datetime();
    Moment {
        text: time.format("%Y-%m-%d %H:%M UTC").to_string(),
        machine: time.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }
}

/// A day: `2026-11-21`.
pub(crate) fn day(time: Timestamp) -> String {
    time.to_datetime().format("%Y-%m-%d").to_string()
}

/// A factor in millionths: `1`, `0.5`, `1.25`.
pub(crate) fn factor(ppm: i64) -> String {
    let (units, rest) = (ppm / 1_000_000, (ppm % 1_000_000).abs());
    let text = format!("{units}.{rest:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_are_exact_with_at_least_two_decimals() {
        let table = [
            (0, "0.00"),
            (1, "0.000000001"),
            (1_500_000_000, "1.50"),
            (1_234_567_500_000_000, "1,234,567.50"),
            (12_345_678_901, "12.345678901"),
            (-2_000_000_001, "\u{2212}2.000000001"),
        ];
        for (nanos, text) in table {
            assert_eq!(credits(Credits::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn fine_amounts_keep_every_digit() {
        let table = [
            (0, "0.00"),
            (1, "0.000000000000001"),
            (3_702_000_000_000, "0.003702"),
            (1_500_000_000_000_000, "1.50"),
        ];
        for (exact, text) in table {
            assert_eq!(fine(exact), text);
        }
    }

    #[test]
    fn counts_are_grouped() {
        let table = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (-1_234_567, "\u{2212}1,234,567"),
        ];
        for (number, text) in table {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn factors_drop_empty_decimals() {
        let table = [
            (1_000_000, "1"),
            (500_000, "0.5"),
            (1_250_000, "1.25"),
            (0, "0"),
        ];
        for (ppm, text) in table {
            assert_eq!(factor(ppm), text);
        }
    }
}
