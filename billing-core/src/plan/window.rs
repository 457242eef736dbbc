//! When a quota starts anew: calendar windows by the tenant's own clock, across every change of clocks and zones.

use chrono::{
    DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeZone, offset::LocalResult,
};
use chrono_tz::{GapInfo, Tz};
use entity::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest window from first use: a leap year.
pub const HOURS_MAX: u32 = 8_784;

/// How long a quota counts before it starts anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// From the first call for so many hours; then from the next first call.
    FirstUse {
        /// How many.
        hours: u32,
    },
    /// From midnight to midnight.
    Day,
    /// From Monday's midnight to the next.
    Week,
    /// From the first of the month to the first of the next.
    Month,
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::FirstUse { hours } => write!(f, "{hours} hours"),
            Self::Day => f.write_str("day"),
            Self::Week => f.write_str("week"),
            Self::Month => f.write_str("month"),
        }
    }
}

/// One window on the time line: from `starts_at`, up to and without `ends_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First instant inside.
    pub starts_at: Timestamp,
    /// First instant after; when the quota is whole again.
    pub ends_at: Timestamp,
}

impl Span {
    /// Whether the instant lies inside.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.starts_at <= at && at < self.ends_at
    }
}

impl Window {
    /// Whether it has a length, and a sensible one.
    pub fn is_in_range(self) -> bool {
        match self {
            Self::FirstUse { hours } => (1..=HOURS_MAX).contains(&hours),
            Self::Day | Self::Week | Self::Month => true,
        }
    }

    /// Whether it starts by the calendar and not by a call.
    pub fn is_calendar(self) -> bool {
        !matches!(self, Self::FirstUse { .. })
    }

    /// The longest that one may last, with the day by which a change of the tenant's zone can shift it.
    pub fn longest(self) -> Duration {
        let hours: u64 = match self {
            Self::FirstUse { hours } => hours.into(),
            Self::Day => 48,
            Self::Week => 8 * 24,
            Self::Month => 32 * 24,
        };
        Duration::from_secs(hours.saturating_mul(3_600))
    }

    /// The window that `now` lies in. `latest` is the last one that was counted: while it runs it stays as it is, so
    /// that a tenant's change of zone takes effect at the next window and no instant is counted in two.
    pub fn span(self, now: Timestamp, zone: Tz, latest: Option<Span>) -> Span {
        match latest {
            Some(running) if running.contains(now) => running,
            _ if !self.is_calendar() => Span {
                starts_at: now,
                ends_at: now.plus(self.longest()),
            },
            Some(past) if past.ends_at <= now => {
                let fresh = self.calendar(now, zone);
                Span {
                    starts_at: fresh.starts_at.max(past.ends_at),
                    ..fresh
                }
            }
            _ => self.calendar(now, zone),
        }
    }

    fn calendar(self, now: Timestamp, zone: Tz) -> Span {
        let today = now.to_datetime().with_timezone(&zone).date_naive();
        let (first, next) = match self {
            Self::FirstUse { .. } | Self::Day => {
                (Some(today), today.checked_add_days(Days::new(1)))
            }
            Self::Week => {
                let since_monday = u64::from(today.weekday().num_days_from_monday());
                let monday = today.checked_sub_days(Days::new(since_monday));
                (
                    monday,
                    monday.and_then(|day| day.checked_add_days(Days::new(7))),
                )
            }
            Self::Month => {
                let first = today.with_day(1);
                (
                    first,
                    first.and_then(|day| day.checked_add_months(Months::new(1))),
                )
            }
        };
        Span {
            starts_at: midnight(first.unwrap_or(today), zone),
            ends_at: midnight(next.unwrap_or(NaiveDate::MAX), zone),
        }
    }
}

/// The first instant of a local day. Midnight may come twice (the first counts) or never (the day then starts when
/// the clocks have jumped).
fn midnight(day: NaiveDate, zone: Tz) -> Timestamp {
    let local = day.and_time(NaiveTime::MIN);
    let instant: Option<DateTime<Tz>> = match zone.from_local_datetime(&local) {
        LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => Some(instant),
        LocalResult::None => GapInfo::new(&local, &zone).and_then(|gap| gap.end),
    };
    let utc = instant.map_or_else(|| local.and_utc(), |instant| instant.to_utc());
    Timestamp::from_datetime(utc)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_datetime(text.parse::<DateTime<chrono::Utc>>().expect("a time"))
    }

    fn zone(name: &str) -> Tz {
        name.parse().expect("a zone")
    }

    #[test]
    fn windows_follow_the_tenants_clock_across_changes_of_clocks() {
        let table = [
            (
                Window::Day,
                "UTC",
                "2026-11-21T10:00:00Z",
                "2026-11-21T00:00:00Z",
                "2026-11-22T00:00:00Z",
            ),
            (
                Window::Day,
                "Asia/Shanghai",
                "2026-11-21T17:00:00Z",
                "2026-11-21T16:00:00Z",
                "2026-11-22T16:00:00Z",
            ),
            // 23 hours: clocks go forward.
            (
                Window::Day,
                "Europe/Berlin",
                "2026-03-29T12:00:00Z",
                "2026-03-28T23:00:00Z",
                "2026-03-29T22:00:00Z",
            ),
            // 25 hours: clocks go back.
            (
                Window::Day,
                "Europe/Berlin",
                "2026-10-25T12:00:00Z",
                "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z",
            ),
            // Midnight does not exist: the day starts at one o'clock.
            (
                Window::Day,
                "Africa/Cairo",
                "2026-04-24T12:00:00Z",
                "2026-04-23T22:00:00Z",
                "2026-04-24T21:00:00Z",
            ),
            // Midnight comes twice: the first counts.
            (
                Window::Day,
                "America/Havana",
                "2026-11-01T12:00:00Z",
                "2026-11-01T04:00:00Z",
                "2026-11-02T05:00:00Z",
            ),
            // A day that was left out of the calendar.
            (
                Window::Day,
                "Pacific/Apia",
                "2011-12-30T08:00:00Z",
                "2011-12-29T10:00:00Z",
                "2011-12-30T10:00:00Z",
            ),
            (
                Window::Week,
                "UTC",
                "2026-11-22T23:59:59Z",
                "2026-11-16T00:00:00Z",
                "2026-11-23T00:00:00Z",
            ),
            (
                Window::Month,
                "America/New_York",
                "2026-11-30T23:00:00Z",
                "2026-11-01T04:00:00Z",
                "2026-12-01T05:00:00Z",
            ),
            (
                Window::Month,
                "UTC",
                "2028-02-29T23:00:00Z",
                "2028-02-01T00:00:00Z",
                "2028-03-01T00:00:00Z",
            ),
        ];

        for (window, name, now, starts, ends) in table {
            let span = window.span(at(now), zone(name), None);
            assert_eq!(
                (span.starts_at, span.ends_at),
                (at(starts), at(ends)),
                "{window:?} {name} {now}"
            );
        }
    }

    #[test]
    fn windows_meet_without_gap_or_overlap_for_every_hour_of_a_year() {
        for name in [
            "Europe/Berlin",
            "Africa/Cairo",
            "America/Havana",
            "Australia/Lord_Howe",
            "Asia/Kathmandu",
        ] {
            let mut now = at("2026-01-01T00:30:00Z");
            let mut span = Window::Day.span(now, zone(name), None);
            for _ in 0..(366 * 24) {
                now = now.plus(Duration::from_hours(1));
                let next = Window::Day.span(now, zone(name), None);
                assert!(
                    next == span || next.starts_at == span.ends_at,
                    "{name} {now:?}"
                );
                assert!(next.contains(now), "{name} {now:?}");
                span = next;
            }
        }
    }

    #[test]
    fn a_window_from_first_use_begins_with_a_call_and_not_before_the_last_one_ended() {
        let five = Window::FirstUse { hours: 5 };
        let first = five.span(at("2026-11-21T10:17:03Z"), zone("Europe/Berlin"), None);
        assert_eq!(first.starts_at, at("2026-11-21T10:17:03Z"));
        assert_eq!(first.ends_at, at("2026-11-21T15:17:03Z"));

        let within = five.span(at("2026-11-21T15:17:02Z"), zone("UTC"), Some(first));
        assert_eq!(within, first);

        let next = five.span(at("2026-11-21T18:00:00Z"), zone("UTC"), Some(first));
        assert_eq!(next.starts_at, at("2026-11-21T18:00:00Z"));
    }

    #[test]
    fn a_change_of_zone_takes_effect_at_the_next_window() {
        let berlin = Window::Day.span(at("2026-06-01T12:00:00Z"), zone("Europe/Berlin"), None);
        assert_eq!(berlin.ends_at, at("2026-06-01T22:00:00Z"));

        let still = Window::Day.span(
            at("2026-06-01T20:00:00Z"),
            zone("Asia/Shanghai"),
            Some(berlin),
        );
        assert_eq!(still, berlin);

        let next = Window::Day.span(
            at("2026-06-01T23:00:00Z"),
            zone("Asia/Shanghai"),
            Some(berlin),
        );
        assert_eq!(next.starts_at, berlin.ends_at);
        assert_eq!(next.ends_at, at("2026-06-02T16:00:00Z"));
    }
}
