//! What it costs to change to a better plan in the middle of a period, in whole nano-credits.
//!
//! The period keeps its ends. Of it, `left` micros of `whole` remain. Of the old version's price and allowance the
//! unused share is credited, of the new version's the same share is taken: so the tenant pays the difference of the
//! prices times `left / whole`, rounded up, and gets the difference of the allowances times `left / whole`, rounded
//! down. What is left of the old allowance stays where it is. Both differences are taken before the one rounding of
//! each, so that two changes cost at most one nano-credit more than one, and give at most one less.

use entity::{Credits, Timestamp};

use super::window::Span;

/// What a version asks and gives for a whole period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What it costs.
    pub price: Credits,
    /// What it gives.
    pub allowance: Credits,
}

/// What a change in the middle of a period comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prorated {
    /// What the wallet pays now.
    pub due: Credits,
    /// What comes in for the rest of the period.
    pub extra: Credits,
}

/// Why there is no change in the middle of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unprorated {
    /// The new version costs less, or costs the same and gives less: that is for the period's end.
    #[error("the plan is no better than the present one")]
    NotBetter,
    /// The moment lies outside the period: it is over, or the clock has gone back to before it began.
    #[error("the moment lies outside the period")]
    OutsidePeriod,
}

/// What it comes to to change from `old` to `new` at `now`, within the period `span`.
///
/// # Errors
/// [`Unprorated`].
pub fn prorate(old: Offer, new: Offer, span: Span, now: Timestamp) -> Result<Prorated, Unprorated> {
    if !span.contains(now) {
        return Err(Unprorated::OutsidePeriod);
    }
    if !is_better(old, new) {
        return Err(Unprorated::NotBetter);
    }
    let whole = micros(span.starts_at, span.ends_at);
    let left = micros(now, span.ends_at);
    let share = |less: Credits, more: Credits| {
        let difference = i128::from(more.nanos()).saturating_sub(i128::from(less.nanos()));
        // Both are below 2^63, so the product fits.
        difference.max(0).saturating_mul(left)
    };
    let due = div_ceil(share(old.price, new.price), whole);
    let extra = share(old.allowance, new.allowance).div_euclid(whole);
    Ok(Prorated {
        due: credits(due),
        extra: credits(extra),
    })
}

/// Whether a version is a step up: it costs more, or gives more for the same.
pub fn is_better(old: Offer, new: Offer) -> bool {
    new.price > old.price || (new.price == old.price && new.allowance > old.allowance)
}

fn micros(from: Timestamp, until: Timestamp) -> i128 {
    i128::from(until.micros())
        .saturating_sub(i128::from(from.micros()))
        .max(1)
}

fn div_ceil(product: i128, whole: i128) -> i128 {
    let up = product.saturating_add(whole.saturating_sub(1));
    up.div_euclid(whole)
}

/// A part of a difference of credits is no more than the difference.
fn credits(nanos: i128) -> Credits {
    Credits::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(price: i64, allowance: i64) -> Offer {
        Offer {
            price: Credits::from_nanos(price),
            allowance: Credits::from_nanos(allowance),
        }
    }

    fn span(ends_at: i64) -> Span {
        Span {
            starts_at: Timestamp::from_micros(0),
            ends_at: Timestamp::from_micros(ends_at),
        }
    }

    fn at(old: Offer, new: Offer, whole: i64, now: i64) -> Result<Prorated, Unprorated> {
        prorate(old, new, span(whole), Timestamp::from_micros(now))
    }

    #[test]
    fn a_change_pays_and_gets_the_difference_for_what_is_left() {
        let (small, large) = (offer(100, 1_000), offer(400, 5_000));
        let table = [
            (0, 300, 4_000),
            (500, 150, 2_000),
            (999, 1, 4),
            (1, 300, 3_996),
        ];

        for (now, due, extra) in table {
            let found = at(small, large, 1_000, now).expect("a step up");
            assert_eq!(
                (found.due.nanos(), found.extra.nanos()),
                (due, extra),
                "{now}"
            );
        }
    }

    #[test]
    fn what_is_no_step_up_waits_for_the_periods_end() {
        let table = [
            (offer(100, 10), offer(99, 900), Err(Unprorated::NotBetter)),
            (offer(100, 10), offer(100, 10), Err(Unprorated::NotBetter)),
            (offer(100, 10), offer(100, 9), Err(Unprorated::NotBetter)),
        ];
        for (old, new, answer) in table {
            assert_eq!(at(old, new, 10, 5), answer);
        }
        let dearer_and_smaller = at(offer(100, 10), offer(200, 5), 10, 5).expect("a step up");
        assert_eq!(
            dearer_and_smaller.extra,
            Credits::ZERO,
            "nothing is taken back"
        );
    }

    #[test]
    fn a_clock_before_the_period_or_after_it_is_refused() {
        for now in [-1, 10, 11] {
            let answer = at(offer(0, 0), offer(1, 1), 10, now);
            assert_eq!(answer, Err(Unprorated::OutsidePeriod), "{now}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_credit_is_lost_or_invented(
            price in 0..=Credits::MAX.nanos() / 3, more in 1..=Credits::MAX.nanos() / 3, most in 1..=Credits::MAX.nanos() / 3,
            allowance in 0..=Credits::MAX.nanos() / 3, larger in 0..=Credits::MAX.nanos() / 3, largest in 0..=Credits::MAX.nanos() / 3,
            whole in 2_i64..40_000_000_000_000, first in 0_u32..1_000_000, second in 0_u32..1_000_000,
        ) {
            let moment = |part: u32| i64::try_from(i128::from(whole) * i128::from(part) / 1_000_000).expect("within the period");
            let (early, late) = (moment(first.min(second)), moment(first.max(second)));
            let steps = [
                offer(price, allowance),
                offer(price + more, allowance + larger),
                offer(price + more + most, allowance + larger + largest),
            ];
            let change = |from: usize, to: usize, now| at(steps[from], steps[to], whole, now).expect("a step up");

            let (up, on, straight) = (change(0, 1, early), change(1, 2, early), change(0, 2, early));
            let later = change(1, 2, late);

            // Within one rounding of the exact share.
            let left = i128::from(whole - early);
            let exact = i128::from(more) * left;
            let due = i128::from(up.due.nanos()) * i128::from(whole);
            proptest::prop_assert!(due >= exact && due - exact < i128::from(whole));
            let exact = i128::from(larger) * left;
            let extra = i128::from(up.extra.nanos()) * i128::from(whole);
            proptest::prop_assert!(extra <= exact && exact - extra < i128::from(whole));
            // In two steps or in one, it comes to the same but for one nano-credit, in the house's favour.
            let two = up.due.nanos() + on.due.nanos() - straight.due.nanos();
            proptest::prop_assert!((0..=1).contains(&two));
            let two = straight.extra.nanos() - up.extra.nanos() - on.extra.nanos();
            proptest::prop_assert!((0..=1).contains(&two));
            // Waiting neither costs more nor gives more.
            proptest::prop_assert!(later.due <= on.due && later.extra <= on.extra);
            // Nobody pays or gets more than a whole period's difference.
            proptest::prop_assert!(up.due.nanos() <= more && up.extra.nanos() <= larger);
        }
    }
}
