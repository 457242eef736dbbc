//! A moment as tables hold it: microseconds since 1970 in UTC, the same on both databases.

use chrono::{DateTime, Utc};
use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// A moment in microseconds since 1970-01-01T00:00:00Z.
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
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `micros` microseconds after 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The moment of a calendar time; anything finer than a microsecond is cut.
    pub fn from_datetime(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_micros())
    }

    /// The calendar time, for pages and time zones.
    pub fn to_datetime(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// This moment and `span` more; stays at the last moment there is.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros_of(span)))
    }

    /// This moment less `span`; stays at the first moment there is.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(micros_of(span)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn micros_of(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC with microseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            &self
                .to_datetime()
                .to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stays_in_range() {
        let late = Timestamp::from_micros(i64::MAX);

        assert_eq!(late.plus(Duration::from_secs(1)), late);
        assert_eq!(Timestamp::from_micros(5).since(late), Duration::ZERO);
        assert_eq!(
            Timestamp::from_micros(0)
                .plus(Duration::from_millis(3))
                .micros(),
            3_000
        );
    }

    #[test]
    fn a_moment_survives_the_calendar() {
        let moment = Timestamp::from_micros(1_795_000_000_123_456);

        assert_eq!(Timestamp::from_datetime(moment.to_datetime()), moment);
        assert_eq!(moment.to_string(), "2026-11-18T11:06:40.123456Z");
    }
}
