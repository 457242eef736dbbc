//! Properties of prices and windows, beside a second way to say the same. `PROPTEST_CASES` says how many cases.

use billing_core::{
    plan::{Span, Window},
    rating::{
        MAX_TOKENS, PPM_ONE, Price, RatingError, Tokens, Upper, affordable_output, bound_ceil,
        charge_ceil, expected_ceil, itemise,
    },
};
use chrono::{DateTime, Datelike, Timelike, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use entity::{Credits, ModelId, PriceVersionId, Timestamp, price_version};
use proptest::prelude::*;
use std::time::Duration;

/// A price of each class and of the request, and a longer one past a threshold.
#[derive(Clone, Debug)]
struct Listed {
    short: [i64; 5],
    long: Option<(u64, [i64; 5])>,
    per_request: i64,
}

impl Listed {
    fn price(&self) -> Price {
        let [input, read, write, hour, output] = self.short;
        let tiers = self.long.map(|(above, [input, read, write, hour, output])| {
            format!(
                r#"{{"long_context":{{"above":{above},"input":{input},"output":{output},"cache_read":{read},
                "cache_write_short":{write},"cache_write_long":{hour}}}}}"#
            )
        });
        Price::of(&price_version::Model {
            id: PriceVersionId::fresh(),
            model_id: ModelId::fresh(),
            effective_at: Timestamp::from_micros(0),
            input,
            output,
            cache_read: Some(read),
            cache_write_short: Some(write),
            cache_write_long: Some(hour),
            per_request: self.per_request,
            tiers,
            cost_input: None,
            cost_output: None,
            cost_cache_read: None,
            cost_cache_write_short: None,
            cost_cache_write_long: None,
            cost_per_request: None,
            classes: None,
            cost_classes: None,
            cost_tiers: None,
            source: price_version::Source::Sandbox,
            source_detail: None,
            created_at: Timestamp::from_micros(0),
        })
        .expect("a price")
    }

    /// Millionths of a nano-credit at the plain multiplier; never more than fits.
    fn exact(&self, tokens: &Tokens) -> u128 {
        let prompt = tokens.prompt().expect("few");
        let rates = match self.long {
            Some((above, rates)) if prompt > above => rates,
            _ => self.short,
        };
        let wide = |number: i64| u128::from(number.unsigned_abs());
        let classes: u128 = counts(tokens)
            .iter()
            .zip(rates)
            .map(|(count, rate)| u128::from(*count) * wide(rate))
            .sum();
        classes + u128::from(tokens.requests) * wide(self.per_request) * 1_000_000
    }
}

fn counts(tokens: &Tokens) -> [u64; 5] {
    [
        tokens.input,
        tokens.cache_read,
        tokens.cache_write_short,
        tokens.cache_write_long,
        tokens.output,
    ]
}

/// `exact * ppm / 10^12`, rounded up, in 256 bits by hand; none past what fits into 128.
fn scaled_up(exact: u128, ppm: i64) -> Option<u128> {
    const SCALE: u128 = 1_000_000_000_000;
    let factor = u128::from(ppm.unsigned_abs());
    let (high, low) = (exact >> 64, exact & u128::from(u64::MAX));
    let (high, low) = (high * factor, low * factor);
    let high = high + (low >> 64);
    let low = low & u128::from(u64::MAX);
    // Long division, 64 bits at a time.
    let (first, rest) = (high / SCALE, high % SCALE);
    let lower = (rest << 64) | low;
    let quotient = first.checked_mul(1 << 64)?.checked_add(lower / SCALE)?;
    Some(quotient + u128::from(lower % SCALE > 0))
}

fn any_rates(most: i64) -> impl Strategy<Value = [i64; 5]> {
    proptest::array::uniform5(prop_oneof![Just(0), 0..=most, Just(most)])
}

fn any_listed(most: i64) -> impl Strategy<Value = Listed> {
    (
        any_rates(most),
        proptest::option::of((0..2_000_000_u64, any_rates(most))),
        0..=most / 1_000,
    )
        .prop_map(|(short, long, per_request)| Listed {
            short,
            long,
            per_request,
        })
}

fn any_tokens(most: u64) -> impl Strategy<Value = Tokens> {
    let count = move || prop_oneof![Just(0), 0..=most, Just(most)];
    ([count(), count(), count(), count(), count()], 0..3_u64).prop_map(|(count, requests)| Tokens {
        input: count[0],
        cache_read: count[1],
        cache_write_short: count[2],
        cache_write_long: count[3],
        output: count[4],
        reasoning: count[4] / 2,
        requests,
        ..Tokens::default()
    })
}

fn sum(a: &Tokens, b: &Tokens) -> Tokens {
    Tokens {
        input: a.input + b.input,
        cache_read: a.cache_read + b.cache_read,
        cache_write_short: a.cache_write_short + b.cache_write_short,
        cache_write_long: a.cache_write_long + b.cache_write_long,
        output: a.output + b.output,
        reasoning: a.reasoning + b.reasoning,
        requests: a.requests + b.requests,
        ..Tokens::default()
    }
}

const USUAL: i64 = 100_000_000_000;

proptest! {
    #[test]
    fn a_charge_is_exact_to_the_nano_or_out_of_range_whatever_the_numbers(
        listed in any_listed(i64::MAX), tokens in any_tokens(MAX_TOKENS), ppm in 0..=i64::MAX,
    ) {
        let exact = scaled_up(listed.exact(&tokens), ppm);
        let expected = exact
            .and_then(|nanos| i64::try_from(nanos).ok())
            .map(Credits::from_nanos)
            .filter(|charge| *charge <= Credits::MAX);
        prop_assert_eq!(charge_ceil(&listed.price(), &tokens, ppm), expected.ok_or(RatingError::OutOfRange));
    }

    #[test]
    fn a_usual_charge_is_exact_to_the_nano(
        listed in any_listed(USUAL), tokens in any_tokens(3_000_000), ppm in 0..5_000_000_i64,
    ) {
        let nanos = scaled_up(listed.exact(&tokens), ppm).expect("small");
        let expected = Credits::from_nanos(i64::try_from(nanos).expect("small"));
        prop_assert_eq!(charge_ceil(&listed.price(), &tokens, ppm), Ok(expected));
    }

    #[test]
    fn a_count_past_any_model_is_absurd_in_every_class(place in 0..7_usize, beyond in 1..1_000_u64) {
        let mut count = [0_u64; 7];
        count[place] = MAX_TOKENS + beyond;
        let [input, cache_read, cache_write_short, cache_write_long, output, reasoning, requests] = count;
        let tokens = Tokens { input, cache_read, cache_write_short, cache_write_long, output, reasoning, requests, ..Tokens::default() };
        let listed = Listed { short: [1; 5], long: None, per_request: 1 };
        prop_assert_eq!(charge_ceil(&listed.price(), &tokens, PPM_ONE), Err(RatingError::AbsurdTokens));
    }

    #[test]
    fn more_never_costs_less_and_parts_never_less_than_the_whole(
        listed in any_listed(USUAL), a in any_tokens(1_000_000), b in any_tokens(1_000_000), ppm in 0..5_000_000_i64,
    ) {
        let flat = Listed { long: None, ..listed };
        let price = flat.price();
        let cost = |tokens: &Tokens, ppm| charge_ceil(&price, tokens, ppm).expect("in range").nanos();
        let (parts, whole) = (cost(&a, ppm) + cost(&b, ppm), cost(&sum(&a, &b), ppm));
        prop_assert!(whole >= cost(&a, ppm) && whole >= cost(&b, ppm));
        prop_assert!((0..=1).contains(&(parts - whole)), "one rounding each");
        prop_assert!(cost(&a, ppm + 1) >= cost(&a, ppm));
    }

    #[test]
    fn no_call_within_its_bounds_costs_more_than_its_bound(
        listed in any_listed(USUAL), tokens in any_tokens(1_000_000), ppm in 0..5_000_000_i64,
    ) {
        let tokens = Tokens { requests: tokens.requests.min(1), ..tokens };
        let price = listed.price();
        let upper = Upper { input: tokens.prompt().expect("few"), output: tokens.output, searches: 0 };
        let bound = bound_ceil(&price, &upper, ppm).expect("in range");
        prop_assert!(charge_ceil(&price, &tokens, ppm).expect("in range") <= bound);
    }

    #[test]
    fn what_an_amount_pays_for_it_pays_for_and_one_token_more_it_does_not(
        listed in any_listed(USUAL), input in 0..1_000_000_u64, amount in 0..1_000_000_000_000_i64, ppm in 0..5_000_000_i64,
    ) {
        let price = listed.price();
        let amount = Credits::from_nanos(amount);
        let cost = |output| expected_ceil(&price, input, output, ppm);
        match affordable_output(&price, input, amount, ppm) {
            None => prop_assert!(cost(0).expect("in range") > amount),
            Some(most) => {
                prop_assert!(cost(most).expect("in range") <= amount);
                if most < MAX_TOKENS {
                    prop_assert!(cost(most + 1).is_ok_and(|cost| cost > amount));
                }
            }
        }
    }

    #[test]
    fn the_lines_of_a_bill_lose_nothing_before_the_one_rounding(
        listed in any_listed(USUAL), tokens in any_tokens(3_000_000),
    ) {
        let price = listed.price();
        let lines: i128 = itemise(&price, &tokens).iter().map(|line| line.exact).sum();
        let charge = charge_ceil(&price, &tokens, PPM_ONE).expect("in range");
        prop_assert_eq!(i128::from(charge.nanos()), (lines + 999_999).div_euclid(1_000_000));
    }
}

fn any_zone() -> impl Strategy<Value = Tz> {
    (0..TZ_VARIANTS.len()).prop_map(|place| TZ_VARIANTS[place])
}

/// Any second from 1980 to 2100.
fn any_moment() -> impl Strategy<Value = Timestamp> {
    (315_532_800..4_102_444_800_i64).prop_map(|second| Timestamp::from_micros(second * 1_000_000))
}

fn local(at: Timestamp, zone: Tz) -> DateTime<Tz> {
    DateTime::<Utc>::from_timestamp_micros(at.micros())
        .expect("a time")
        .with_timezone(&zone)
}

fn before(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.micros() - 1)
}

proptest! {
    #[test]
    fn every_moment_of_every_zone_lies_in_one_window_and_windows_meet(
        zone in any_zone(), now in any_moment(), window in prop_oneof![Just(Window::Day), Just(Window::Week), Just(Window::Month)],
    ) {
        let span = window.span(now, zone, None);
        prop_assert!(span.contains(now));
        prop_assert_eq!(window.span(span.starts_at, zone, None), span, "its first instant is in it");
        prop_assert_eq!(window.span(before(span.ends_at), zone, None), span, "and its last");
        let next = window.span(span.ends_at, zone, None);
        prop_assert_eq!(next.starts_at, span.ends_at, "the next one begins where it ends");
        let length = Duration::from_micros(span.ends_at.micros().abs_diff(span.starts_at.micros()));
        prop_assert!(length <= window.longest(), "{length:?}");
    }

    #[test]
    fn a_window_begins_with_a_local_day_week_or_month(zone in any_zone(), now in any_moment()) {
        let day = Window::Day.span(now, zone, None);
        let (first, last) = (local(day.starts_at, zone), local(before(day.ends_at), zone));
        prop_assert_eq!(first.date_naive(), local(now, zone).date_naive());
        prop_assert_eq!(last.date_naive(), first.date_naive());
        prop_assert!(first.hour() <= 1, "midnight, or when the clocks have jumped: {first}");
        let week = local(Window::Week.span(now, zone, None).starts_at, zone);
        // A zone may have left out a Monday, as it may have left out a day.
        prop_assert!(week.weekday().num_days_from_monday() <= 1, "{week}");
        let month = local(Window::Month.span(now, zone, None).starts_at, zone);
        prop_assert!(month.day() <= 2 && month.month() == local(now, zone).month(), "{month}");
    }

    #[test]
    fn no_moment_is_counted_in_two_windows_however_the_zone_changes(
        old in any_zone(), new in any_zone(), then in any_moment(), later in 0..5_000_000_000_000_i64,
        window in prop_oneof![
            Just(Window::Day), Just(Window::Week), Just(Window::Month),
            (1..=720_u32).prop_map(|hours| Window::FirstUse { hours }),
        ],
    ) {
        let past = window.span(then, old, None);
        let now = Timestamp::from_micros(then.micros() + later);
        let span: Span = window.span(now, new, Some(past));
        prop_assert!(span.contains(now));
        if past.contains(now) {
            prop_assert_eq!(span, past);
        } else {
            prop_assert!(span.starts_at >= past.ends_at);
        }
        if let Window::FirstUse { hours } = window {
            let length = span.ends_at.micros() - span.starts_at.micros();
            prop_assert_eq!(length, i64::from(hours) * 3_600_000_000);
        }
    }
}
