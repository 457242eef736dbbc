//! Reads the fields of operators' forms; a fault is a sentence for beside the field.

use crate::words::{Phrase, format, phrase};
use chrono::NaiveDate;
use entity::{Credits, Timestamp};
use identity::reason::{Reason, ReasonFault};
use serde::Deserialize;
use std::{str::FromStr, time::Duration};

/// A form of one button, without fields.
#[derive(Debug, Deserialize)]
pub(crate) struct Pressed {}

/// A text that has to be there, at most `longest` characters.
pub(super) fn text(value: &str, longest: usize) -> Result<String, Phrase> {
    let value = value.trim();
    match value.chars().count() {
        0 => Err(phrase("op-fault-required")),
        length if length > longest => Err(phrase("op-fault-long")),
        _ => Ok(value.to_owned()),
    }
}

/// Why an operator does it.
pub(super) fn reason(value: &str) -> Result<Reason, Phrase> {
    Reason::parse(value).map_err(|fault| match fault {
        ReasonFault::Empty => phrase("op-fault-required"),
        ReasonFault::TooLong => phrase("op-fault-long"),
    })
}

/// Credits, zero or more.
pub(in crate::pages) fn credits(value: &str) -> Result<Credits, Phrase> {
    match Credits::parse(value) {
        Ok(credits) if !credits.is_negative() && credits <= Credits::MAX => Ok(credits),
        Ok(_) => Err(phrase("op-fault-range")),
        Err(_) => Err(phrase("op-fault-credits")),
    }
}

/// Credits above zero.
pub(in crate::pages) fn some_credits(value: &str) -> Result<Credits, Phrase> {
    credits(value).and_then(|credits| {
        if credits.is_positive() {
            Ok(credits)
        } else {
            Err(phrase("op-fault-positive"))
        }
    })
}

/// What `read` makes of a field, or nothing where it is empty.
pub(in crate::pages) fn optional<T>(
    value: &str,
    read: impl FnOnce(&str) -> Result<T, Phrase>,
) -> Result<Option<T>, Phrase> {
    if value.trim().is_empty() {
        Ok(None)
    } else {
        read(value).map(Some)
    }
}

/// A whole number within bounds.
pub(in crate::pages) fn number(
    value: &str,
    bounds: std::ops::RangeInclusive<i64>,
) -> Result<i64, Phrase> {
    let number = i64::from_str(value.trim()).map_err(|_| phrase("op-fault-number"))?;
    if bounds.contains(&number) {
        Ok(number)
    } else {
        Err(phrase("op-fault-range"))
    }
}

/// A factor such as `1.25`, in millionths.
pub(super) fn factor(value: &str) -> Result<i64, Phrase> {
    // A factor and an amount of credits are both decimals; three digits more than millionths are refused.
    let nanos = Credits::parse(value)
        .map_err(|_| phrase("op-fault-multiplier"))?
        .nanos();
    if nanos % 1_000 == 0 && (1..=1_000_000_000_000).contains(&nanos) {
        Ok(nanos / 1_000)
    } else {
        Err(phrase("op-fault-multiplier"))
    }
}

/// The first moment of a day written `YYYY-MM-DD`, in UTC, whenever that is.
pub(super) fn first_of_day(value: &str) -> Result<Timestamp, Phrase> {
    let day = NaiveDate::from_str(value.trim()).map_err(|_| phrase("op-fault-date"))?;
    let start = day.and_hms_opt(0, 0, 0);
    let start = start.ok_or_else(|| phrase("op-fault-date"))?;
    Ok(Timestamp::from_datetime(start.and_utc()))
}

/// The first moment of a day written `YYYY-MM-DD`, in UTC; today's has passed, so it means now.
pub(super) fn start_of_day(value: &str, now: Timestamp) -> Result<Timestamp, Phrase> {
    let start = first_of_day(value)?;
    if start.to_datetime().date_naive() < now.to_datetime().date_naive() {
        Err(phrase("op-fault-range"))
    } else {
        Ok(start.max(now))
    }
}

/// The last moment of a day written `YYYY-MM-DD`, in UTC; it has to lie ahead of `now`.
pub(super) fn end_of_day(value: &str, now: Timestamp) -> Result<Timestamp, Phrase> {
    let day = NaiveDate::from_str(value.trim()).map_err(|_| phrase("op-fault-date"))?;
    let next = day
        .succ_opt()
        .and_then(|next| next.and_hms_opt(0, 0, 0))
        .ok_or_else(|| phrase("op-fault-date"))?;
    let end = Timestamp::from_datetime(next.and_utc());
    if end > now {
        Ok(end)
    } else {
        Err(phrase("op-fault-range"))
    }
}

/// The three letters of a currency, in lower case.
pub(super) fn currency(text: &str) -> Result<String, Phrase> {
    let text = text.trim().to_lowercase();
    if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_lowercase()) {
        Ok(text)
    } else {
        Err(phrase("op-fault-currency"))
    }
}

/// The day on which something with this end still works, in UTC.
pub(super) fn last_day(end: Timestamp) -> String {
    format::day(end.minus(Duration::from_micros(1)))
}

/// An amount of money in a currency's main unit, as its hundredths.
pub(super) fn money(value: &str) -> Result<i64, Phrase> {
    let nanos = Credits::parse(value)
        .map_err(|_| phrase("op-fault-money"))?
        .nanos();
    if nanos >= 0 && nanos % 10_000_000 == 0 {
        Ok(nanos / 10_000_000)
    } else {
        Err(phrase("op-fault-money"))
    }
}

/// The lines of a text area or of boxes of one name, without the empty ones.
pub(super) fn lines(value: &str) -> Vec<String> {
    value
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Patterns of model names, apart by spaces, commas or lines.
pub(in crate::pages) fn patterns(value: &str) -> Vec<String> {
    let apart = |c: char| c.is_whitespace() || c == ',';
    value
        .split(apart)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The ids that boxes of one name carry; what is no id is left out.
pub(super) fn ids<T: FromStr>(value: &str) -> Vec<T> {
    value
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_has_at_most_six_decimals() {
        let table = [
            ("1", Some(1_000_000)),
            ("1.2", Some(1_200_000)),
            ("0", None),
            ("0.000001", Some(1)),
            ("0.0000001", None),
            ("1000", Some(1_000_000_000)),
            ("1000.1", None),
            ("-1", None),
            ("much", None),
        ];
        for (text, ppm) in table {
            assert_eq!(factor(text).ok(), ppm, "{text}");
        }
    }

    #[test]
    fn money_has_two_decimals() {
        let table = [
            ("20", Some(2_000)),
            ("19.90", Some(1_990)),
            ("0.005", None),
            ("-1", None),
        ];
        for (text, minor) in table {
            assert_eq!(money(text).ok(), minor, "{text}");
        }
    }

    #[test]
    fn a_day_ends_at_the_next_midnight_and_lies_ahead() {
        let now = Timestamp::from_micros(1_795_000_000_000_000);
        let end = end_of_day("2026-11-21", now).expect("a day ahead");

        assert_eq!(end.to_datetime().to_rfc3339(), "2026-11-22T00:00:00+00:00");
        assert_eq!(last_day(end), "2026-11-21");
        assert_eq!(start_of_day("2026-11-18", now).ok(), Some(now));
        let start = start_of_day("2026-11-21", now).expect("a day ahead");
        assert_eq!(
            start.to_datetime().to_rfc3339(),
            "2026-11-21T00:00:00+00:00"
        );
        assert!(start_of_day("2026-11-17", now).is_err());
        assert!(end_of_day("2020-01-01", now).is_err());
        assert!(end_of_day("21.11.2026", now).is_err());
    }
}
