//! From counts and a price to credits.

use super::{Class, MAX_TOKENS, PPM_ONE, Price, RatingError, Tokens};
use entity::Credits;

const TOKENS_PER_PRICE: i128 = 1_000_000;

/// One line of a bill, before the multiplier and the rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// For what.
    pub class: Class,
    /// How many tokens, searches or requests.
    pub count: u64,
    /// Nano-credits per million tokens; of a class by the piece, nano-credits for one.
    pub rate: i64,
    /// What it comes to, in millionths of a nano-credit.
    pub exact: i128,
}

/// The most that a call may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upper {
    /// Input tokens of whatever class.
    pub input: u64,
    /// Output tokens of whatever class.
    pub output: u64,
    /// Searches of whatever kind.
    pub searches: u64,
}

/// What these tokens cost at this price times `multiplier_ppm` millionths, rounded up to the next nano-credit
/// once, after everything is summed.
///
/// # Errors
/// [`RatingError`]: an absurd count, a negative multiplier, or a charge past the range of credits.
pub fn charge_ceil(
    price: &Price,
    tokens: &Tokens,
    multiplier_ppm: i64,
) -> Result<Credits, RatingError> {
    if !tokens.is_plausible() || tokens.prompt().is_none() {
        return Err(RatingError::AbsurdTokens);
    }
    total_ceil(&price.lines(tokens), multiplier_ppm)
}

/// The lines that [`charge_ceil`] sums, in the order of their classes.
pub fn itemise(price: &Price, tokens: &Tokens) -> Vec<Item> {
    let lines = price.lines(tokens).into_iter();
    lines
        .map(|(class, count, rate)| Item {
            class,
            count,
            rate,
            exact: exact(class, count, rate).unwrap_or(i128::MAX),
        })
        .collect()
}

/// The most that a call within `upper` can cost. [`charge_ceil`] of any such call is never more.
///
/// # Errors
/// As [`charge_ceil`].
pub fn bound_ceil(
    price: &Price,
    upper: &Upper,
    multiplier_ppm: i64,
) -> Result<Credits, RatingError> {
    if [upper.input, upper.output, upper.searches]
        .iter()
        .any(|count| *count > MAX_TOKENS)
    {
        return Err(RatingError::AbsurdTokens);
    }
    let rates = || price.rates_up_to(upper.input);
    let input = rates().map(super::price::Rates::dearest_input).max();
    let output = rates().map(super::price::Rates::dearest_output).max();
    let search = price.web_search.max(price.file_search);
    let lines = [
        (Class::Input, upper.input, input.unwrap_or(0)),
        (Class::Output, upper.output, output.unwrap_or(0)),
        (Class::WebSearch, upper.searches, search),
        (Class::Request, 1, price.per_request),
    ];
    total_ceil(&lines, multiplier_ppm)
}

/// What a call is expected to cost: so many fresh input tokens, and so much output, reasoning where that is dearer.
///
/// # Errors
/// As [`charge_ceil`].
pub fn expected_ceil(
    price: &Price,
    input: u64,
    output: u64,
    multiplier_ppm: i64,
) -> Result<Credits, RatingError> {
    if input > MAX_TOKENS || output > MAX_TOKENS {
        return Err(RatingError::AbsurdTokens);
    }
    let rates = price.rates_for(input);
    let dearer = rates
        .reasoning
        .map_or(rates.output, |rate| rate.max(rates.output));
    let lines = [
        (Class::Input, input, rates.input),
        (Class::Output, output, dearer),
        (Class::Request, 1, price.per_request),
    ];
    total_ceil(&lines, multiplier_ppm)
}

/// How many output tokens `amount` pays for after `input` tokens: the most of which [`expected_ceil`] is not above it.
/// `None` where it does not even pay for the input.
pub fn affordable_output(
    price: &Price,
    input: u64,
    amount: Credits,
    multiplier_ppm: i64,
) -> Option<u64> {
    let pays = |output| {
        expected_ceil(price, input, output, multiplier_ppm).is_ok_and(|cost| cost <= amount)
    };
    if !pays(0) {
        return None;
    }
    let (mut enough, mut too_many) = (0_u64, MAX_TOKENS.saturating_add(1));
    while too_many.saturating_sub(enough) > 1 {
        let middle = enough.midpoint(too_many);
        if pays(middle) {
            enough = middle;
        } else {
            too_many = middle;
        }
    }
    Some(enough)
}

/// In millionths of a nano-credit.
fn exact(class: Class, count: u64, rate: i64) -> Option<i128> {
    let scale = if class.is_by_piece() {
        TOKENS_PER_PRICE
    } else {
        1
    };
    i128::from(count)
        .checked_mul(i128::from(rate))?
        .checked_mul(scale)
}

fn total_ceil(lines: &[(Class, u64, i64)], multiplier_ppm: i64) -> Result<Credits, RatingError> {
    if multiplier_ppm < 0 {
        return Err(RatingError::NegativePrice);
    }
    let sum = || -> Option<i128> {
        lines
            .iter()
            .try_fold(0_i128, |sum, (class, count, rate)| {
                sum.checked_add(exact(*class, *count, *rate)?)
            })?
            .checked_mul(i128::from(multiplier_ppm))
    };
    let scale = TOKENS_PER_PRICE
        .checked_mul(i128::from(PPM_ONE))
        .ok_or(RatingError::OutOfRange)?;
    let nanos = sum()
        .and_then(|sum| sum.checked_add(scale.saturating_sub(1)))
        .and_then(|sum| sum.checked_div(scale))
        .and_then(|nanos| i64::try_from(nanos).ok())
        .ok_or(RatingError::OutOfRange)?;
    let charge = Credits::from_nanos(nanos);
    if charge > Credits::MAX {
        return Err(RatingError::OutOfRange);
    }
    Ok(charge)
}
