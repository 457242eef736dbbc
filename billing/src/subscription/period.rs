//! Where periods start and end. Pure.

use chrono::{Days, Months};
use entity::Timestamp;
use entity::plan_version::Period;

/// When the period number `count` after the anchor starts. None beyond the calendar.
pub(super) fn boundary(anchor: Timestamp, period: Period, count: u32) -> Option<Timestamp> {
    let start = anchor.to_datetime();
    let moved = match period {
        Period::Day => start.checked_add_days(Days::new(u64::from(count))),
        Period::Week => start.checked_add_days(Days::new(u64::from(count).checked_mul(7)?)),
        Period::Month => start.checked_add_months(Months::new(count)),
        Period::Year => start.checked_add_months(Months::new(count.checked_mul(12)?)),
    };
    moved.map(Timestamp::from_datetime)
}

/// How many whole periods have passed since the anchor.
pub(super) fn periods_until(anchor: Timestamp, period: Period, now: Timestamp) -> Option<u32> {
    let longest_days: u64 = match period {
        Period::Day => 1,
        Period::Week => 7,
        Period::Month => 31,
        Period::Year => 366,
    };
    let days = now.since(anchor).as_secs().checked_div(86_400)?;
    // No period is longer than this, so the count starts at or below the answer and walks up to it.
    let mut count = u32::try_from(days.checked_div(longest_days)?).ok()?;
    loop {
        let next = count.checked_add(1)?;
        if boundary(anchor, period, next)? > now {
            return Some(count);
        }
        count = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_datetime(
            text.parse::<chrono::DateTime<chrono::Utc>>()
                .expect("a time"),
        )
    }

    #[test]
    fn a_month_from_the_31st_comes_back_to_the_31st() {
        let anchor = at("2026-01-31T10:00:00Z");

        let starts = [1, 2, 3].map(|count| boundary(anchor, Period::Month, count));

        assert_eq!(
            starts,
            [
                Some(at("2026-02-28T10:00:00Z")),
                Some(at("2026-03-31T10:00:00Z")),
                Some(at("2026-04-30T10:00:00Z"))
            ]
        );
    }

    #[test]
    fn whole_periods_are_counted_to_the_instant() {
        let anchor = at("2024-02-29T00:00:00Z");
        let table = [
            (Period::Day, "2024-02-29T23:59:59Z", 0),
            (Period::Day, "2024-03-01T00:00:00Z", 1),
            (Period::Week, "2024-03-07T00:00:00Z", 1),
            (Period::Month, "2024-03-28T23:59:59Z", 0),
            (Period::Month, "2024-03-29T00:00:00Z", 1),
            (Period::Month, "2025-02-28T00:00:00Z", 12),
            (Period::Year, "2025-02-27T23:59:59Z", 0),
            (Period::Year, "2028-02-29T00:00:00Z", 4),
            (Period::Year, "2034-02-28T00:00:00Z", 10),
        ];

        for (period, now, count) in table {
            assert_eq!(
                periods_until(anchor, period, at(now)),
                Some(count),
                "{period:?} {now}"
            );
        }
    }

    #[test]
    fn a_period_beyond_the_calendar_is_none() {
        assert_eq!(
            boundary(at("2026-01-01T00:00:00Z"), Period::Year, u32::MAX),
            None
        );
    }
}
