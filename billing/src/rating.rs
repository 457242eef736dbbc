//! What a call costs: tokens times prices times a multiplier, in 128-bit integers, rounded up once.
//!
//! A class of tokens without a price of its own takes a stated one (cache reads and writes that of fresh
//! input, the long cache that of the short one, reasoning that of output), so nothing is ever free by
//! omission; an explicit price of zero is a price.

use entity::{Credits, price_version};
use serde::{Deserialize, Serialize};

/// The tokens of one call in disjoint classes, except that `reasoning` is a part of `output`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Input that no cache knew.
    pub input: u64,
    /// Input read from a cache.
    pub cache_read: u64,
    /// Input written to a cache of minutes.
    pub cache_write_short: u64,
    /// Input written to a cache of hours.
    pub cache_write_long: u64,
    /// All output, reasoning included.
    pub output: u64,
    /// How much of the output was reasoning.
    pub reasoning: u64,
    /// How many requests the per-request price is due for; one for a call that was answered.
    pub requests: u64,
}

/// Nano-credits per million tokens of each class, for one request length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rates {
    input: i64,
    cache_read: i64,
    cache_write_short: i64,
    cache_write_long: i64,
    output: i64,
}

/// A price that can be charged: every class has a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    rates: Rates,
    long_context: Option<(u64, Rates)>,
    per_request: i64,
}

/// The JSON in `price_version.tiers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tiers {
    /// Prices of a request whose whole prompt (cached and written tokens too) is longer than a threshold;
    /// they then hold for all of its tokens.
    pub long_context: Option<LongContext>,
}

/// Prices past a prompt length, in nano-credits per million tokens; a class left out falls back as usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongContext {
    /// Prompts of more tokens than this take these prices.
    pub above: u64,
    /// Fresh input.
    pub input: i64,
    /// Output.
    pub output: i64,
    /// Cache reads.
    #[serde(default)]
    pub cache_read: Option<i64>,
    /// Writes to the short cache.
    #[serde(default)]
    pub cache_write_short: Option<i64>,
    /// Writes to the long cache.
    #[serde(default)]
    pub cache_write_long: Option<i64>,
}

/// Why a call cannot be priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RatingError {
    /// More tokens of one class than any model can move: the upstream's count is not to be trusted.
    #[error("more than {MAX_TOKENS} tokens of one class")]
    AbsurdTokens,
    /// A price or multiplier below zero.
    #[error("a price or multiplier is negative")]
    NegativePrice,
    /// The tiers of the price version do not read as [`Tiers`].
    #[error("price_version.tiers does not parse")]
    MalformedTiers,
    /// The charge passes what a wallet can hold.
    #[error("the charge is out of range")]
    OutOfRange,
}

/// A count of tokens past this is a fault of the upstream, not a bill.
pub const MAX_TOKENS: u64 = 10_000_000_000;

/// The multiplier that changes nothing.
pub const PPM_ONE: i64 = 1_000_000;

const TOKENS_PER_PRICE: i128 = 1_000_000;

impl Tokens {
    /// Every input token, whatever a cache made of it; `None` past the range of a `u64`.
    pub fn prompt(&self) -> Option<u64> {
        self.input
            .checked_add(self.cache_read)?
            .checked_add(self.cache_write_short)?
            .checked_add(self.cache_write_long)
    }

    fn is_plausible(&self) -> bool {
        [
            self.input,
            self.cache_read,
            self.cache_write_short,
            self.cache_write_long,
            self.output,
            self.reasoning,
            self.requests,
        ]
        .into_iter()
        .all(|count| count <= MAX_TOKENS)
    }
}

impl Price {
    /// The sale price of a price version.
    ///
    /// # Errors
    /// [`RatingError::NegativePrice`] and [`RatingError::MalformedTiers`]: such a version must not be sold.
    pub fn of(version: &price_version::Model) -> Result<Self, RatingError> {
        let tiers: Tiers = match &version.tiers {
            Some(json) => serde_json::from_str(json).map_err(|_| RatingError::MalformedTiers)?,
            None => Tiers::default(),
        };
        let rates = Rates::with_fallbacks(
            version.input,
            version.output,
            version.cache_read,
            version.cache_write_short,
            version.cache_write_long,
        )?;
        let long_context = tiers
            .long_context
            .map(|tier| {
                Rates::with_fallbacks(
                    tier.input,
                    tier.output,
                    tier.cache_read,
                    tier.cache_write_short,
                    tier.cache_write_long,
                )
                .map(|rates| (tier.above, rates))
            })
            .transpose()?;
        Self::checked(rates, long_context, version.per_request)
    }

    /// What the upstream takes, in nano-dollars, where the price version says so.
    ///
    /// # Errors
    /// As [`Price::of`].
    pub fn upstream(version: &price_version::Model) -> Result<Option<Self>, RatingError> {
        let (Some(input), Some(output)) = (version.cost_input, version.cost_output) else {
            return Ok(None);
        };
        let rates = Rates::with_fallbacks(
            input,
            output,
            version.cost_cache_read,
            version.cost_cache_write_short,
            version.cost_cache_write_long,
        )?;
        Self::checked(rates, None, version.cost_per_request.unwrap_or(0)).map(Some)
    }

    fn checked(
        rates: Rates,
        long_context: Option<(u64, Rates)>,
        per_request: i64,
    ) -> Result<Self, RatingError> {
        if per_request < 0 {
            return Err(RatingError::NegativePrice);
        }
        Ok(Self {
            rates,
            long_context,
            per_request,
        })
    }

    /// The rates a prompt of this many tokens takes: strictly past the threshold, the longer ones.
    fn rates_for(&self, prompt: u64) -> &Rates {
        match &self.long_context {
            Some((above, rates)) if prompt > *above => rates,
            _ => &self.rates,
        }
    }
}

impl Rates {
    fn with_fallbacks(
        input: i64,
        output: i64,
        cache_read: Option<i64>,
        cache_write_short: Option<i64>,
        cache_write_long: Option<i64>,
    ) -> Result<Self, RatingError> {
        let short = cache_write_short.unwrap_or(input);
        let rates = Self {
            input,
            output,
            cache_read: cache_read.unwrap_or(input),
            cache_write_short: short,
            cache_write_long: cache_write_long.unwrap_or(short),
        };
        let lowest = input
            .min(output)
            .min(rates.cache_read)
            .min(short)
            .min(rates.cache_write_long);
        if lowest < 0 {
            return Err(RatingError::NegativePrice);
        }
        Ok(rates)
    }

    fn dearest_input(&self) -> i64 {
        self.input
            .max(self.cache_read)
            .max(self.cache_write_short)
            .max(self.cache_write_long)
    }
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
    if !tokens.is_plausible() {
        return Err(RatingError::AbsurdTokens);
    }
    let prompt = tokens.prompt().ok_or(RatingError::AbsurdTokens)?;
    let rates = price.rates_for(prompt);
    let classes = [
        (tokens.input, rates.input),
        (tokens.cache_read, rates.cache_read),
        (tokens.cache_write_short, rates.cache_write_short),
        (tokens.cache_write_long, rates.cache_write_long),
        (tokens.output, rates.output),
    ];
    total_ceil(
        &classes,
        (tokens.requests, price.per_request),
        multiplier_ppm,
    )
}

/// What a line of a bill is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Fresh input.
    Input,
    /// Input read from a cache.
    CacheRead,
    /// Input written to a cache of minutes.
    CacheWriteShort,
    /// Input written to a cache of hours.
    CacheWriteLong,
    /// Output.
    Output,
    /// The price of the request itself.
    Request,
}

/// One line of a bill, before the multiplier and the rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// For what.
    pub class: Class,
    /// How many tokens, or requests.
    pub count: u64,
    /// Nano-credits per million tokens; of [`Class::Request`], nano-credits per request.
    pub rate: i64,
    /// What it comes to, in millionths of a nano-credit.
    pub exact: i128,
}

/// The lines that [`charge_ceil`] sums, in the order of its classes.
pub fn itemise(price: &Price, tokens: &Tokens) -> Vec<Item> {
    let rates = price.rates_for(tokens.prompt().unwrap_or(u64::MAX));
    let item = |class, count, rate| {
        let scale = match class {
            Class::Request => TOKENS_PER_PRICE,
            _ => 1,
        };
        Item {
            class,
            count,
            rate,
            exact: i128::from(count)
                .saturating_mul(i128::from(rate))
                .saturating_mul(scale),
        }
    };
    vec![
        item(Class::Input, tokens.input, rates.input),
        item(Class::CacheRead, tokens.cache_read, rates.cache_read),
        item(
            Class::CacheWriteShort,
            tokens.cache_write_short,
            rates.cache_write_short,
        ),
        item(
            Class::CacheWriteLong,
            tokens.cache_write_long,
            rates.cache_write_long,
        ),
        item(Class::Output, tokens.output, rates.output),
        item(Class::Request, tokens.requests, price.per_request),
    ]
}

/// The most that a call can cost with at most `input_upper` input tokens, of whatever class, and
/// `output_upper` output tokens. [`charge_ceil`] of any such call is never more.
///
/// # Errors
/// As [`charge_ceil`].
pub fn bound_ceil(
    price: &Price,
    input_upper: u64,
    output_upper: u64,
    multiplier_ppm: i64,
) -> Result<Credits, RatingError> {
    if input_upper > MAX_TOKENS || output_upper > MAX_TOKENS {
        return Err(RatingError::AbsurdTokens);
    }
    let long = price.rates_for(input_upper);
    let classes = [
        (
            input_upper,
            long.dearest_input().max(price.rates.dearest_input()),
        ),
        (output_upper, long.output.max(price.rates.output)),
    ];
    total_ceil(&classes, (1, price.per_request), multiplier_ppm)
}

/// What a call is expected to cost: so many fresh input tokens, and so much output.
///
/// # Errors
/// As [`charge_ceil`].
pub fn expected_ceil(
    price: &Price,
    input: u64,
    output: u64,
    multiplier_ppm: i64,
) -> Result<Credits, RatingError> {
    let tokens = Tokens {
        input,
        output,
        requests: 1,
        ..Tokens::default()
    };
    charge_ceil(price, &tokens, multiplier_ppm)
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

fn total_ceil(
    classes: &[(u64, i64)],
    requests: (u64, i64),
    multiplier_ppm: i64,
) -> Result<Credits, RatingError> {
    if multiplier_ppm < 0 {
        return Err(RatingError::NegativePrice);
    }
    let exact = || -> Option<i128> {
        let (count, each) = requests;
        let per_request = i128::from(count)
            .checked_mul(i128::from(each))?
            .checked_mul(TOKENS_PER_PRICE)?;
        let per_million = classes.iter().try_fold(per_request, |sum, (count, rate)| {
            sum.checked_add(i128::from(*count).checked_mul(i128::from(*rate))?)
        })?;
        per_million.checked_mul(i128::from(multiplier_ppm))
    };
    let scale = TOKENS_PER_PRICE
        .checked_mul(i128::from(PPM_ONE))
        .ok_or(RatingError::OutOfRange)?;
    let exact = exact().ok_or(RatingError::OutOfRange)?;
    let nanos = exact
        .checked_add(scale.saturating_sub(1))
        .and_then(|sum| sum.checked_div(scale))
        .and_then(|nanos| i64::try_from(nanos).ok())
        .ok_or(RatingError::OutOfRange)?;
    let charge = Credits::from_nanos(nanos);
    if charge > Credits::MAX {
        return Err(RatingError::OutOfRange);
    }
    Ok(charge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const USD: i64 = 1_000_000_000;

    /// Prices in thousandths of a dollar per million tokens.
    fn price(input: i64, output: i64, cached: [Option<i64>; 3]) -> Price {
        let milli = |price: i64| price * (USD / 1_000);
        let [read, short, long] = cached.map(|price| price.map(milli));
        let rates = Rates::with_fallbacks(milli(input), milli(output), read, short, long)
            .expect("no negative price in a table");
        Price {
            rates,
            long_context: None,
            per_request: 0,
        }
    }

    fn charge(price: &Price, tokens: Tokens) -> i64 {
        charge_ceil(price, &tokens, PPM_ONE)
            .expect("a plain charge")
            .nanos()
    }

    #[test]
    fn an_amount_pays_for_the_most_output_that_it_covers() {
        let price = price(3_000, 15_000, [None, None, None]);
        let amount = |nanos| Credits::from_nanos(nanos);

        let most = |nanos| affordable_output(&price, 1_000, amount(nanos), PPM_ONE);
        assert_eq!(most(2_999_999), None, "not even the input");
        assert_eq!(most(3_000_000), Some(0));
        assert_eq!(most(3_000_000 + 15_000 * 256), Some(256));
        assert_eq!(most(3_000_000 + 15_000 * 257 - 1), Some(256));
        assert_eq!(
            affordable_output(&price, 1_000, amount(i64::MAX), 0),
            Some(MAX_TOKENS)
        );
    }

    #[test]
    fn the_lines_of_a_bill_add_up_to_its_charge() {
        let price = Price {
            per_request: 700,
            ..price(3_000, 15_000, [Some(300), Some(3_750), None])
        };
        let tokens = Tokens {
            input: 1_234,
            cache_read: 56_789,
            cache_write_short: 77,
            cache_write_long: 3,
            output: 421,
            reasoning: 100,
            requests: 1,
        };

        let sum: i128 = itemise(&price, &tokens).iter().map(|item| item.exact).sum();

        let nanos = (sum + 999_999) / 1_000_000;
        assert_eq!(i128::from(charge(&price, tokens)), nanos);
    }

    #[test]
    fn the_worked_checks_of_the_providers_come_out_to_the_nano() {
        let chat = Tokens {
            input: 2_000,
            cache_read: 8_000,
            output: 500,
            reasoning: 300,
            ..Tokens::default()
        };
        assert_eq!(
            charge(&price(2_500, 15_000, [Some(250), None, None]), chat),
            14_500_000
        );

        let responses = Tokens {
            input: 2_000,
            cache_read: 4_000,
            cache_write_short: 6_000,
            output: 1_000,
            ..Tokens::default()
        };
        assert_eq!(
            charge(
                &price(4_000, 20_000, [Some(400), Some(5_000), None]),
                responses
            ),
            59_600_000
        );

        let messages = Tokens {
            input: 3,
            cache_write_short: 10_000,
            cache_write_long: 2_304,
            cache_read: 50_000,
            output: 550,
            ..Tokens::default()
        };
        assert_eq!(
            charge(
                &price(3_000, 15_000, [Some(300), Some(3_750), Some(6_000)]),
                messages
            ),
            74_583_000
        );
    }

    #[test]
    fn a_long_prompt_takes_the_longer_prices_for_all_its_tokens_and_the_boundary_does_not() {
        let mut long = price(2_500, 15_000, [None; 3]);
        long.long_context = Some((272_000, price(5_000, 22_500, [None; 3]).rates));
        let prompt = |input| Tokens {
            input,
            output: 1_000,
            ..Tokens::default()
        };

        assert_eq!(charge(&long, prompt(300_000)), 1_522_500_000);
        assert_eq!(charge(&long, prompt(272_000)), 272_000 * 2_500 + 15_000_000);
    }

    #[test]
    fn a_class_without_a_price_is_never_free() {
        let plain = price(3_000, 15_000, [None; 3]);
        for tokens in [
            Tokens {
                cache_read: 1_000_000,
                ..Tokens::default()
            },
            Tokens {
                cache_write_short: 1_000_000,
                ..Tokens::default()
            },
            Tokens {
                cache_write_long: 1_000_000,
                ..Tokens::default()
            },
        ] {
            assert_eq!(charge(&plain, tokens), 3 * USD);
        }
        let short_only = price(3_000, 15_000, [Some(0), Some(3_750), None]);
        assert_eq!(
            charge(
                &short_only,
                Tokens {
                    cache_read: 9,
                    ..Tokens::default()
                }
            ),
            0
        );
        assert_eq!(
            charge(
                &short_only,
                Tokens {
                    cache_write_long: 1_000_000,
                    ..Tokens::default()
                }
            ),
            3_750_000_000
        );
    }

    #[test]
    fn a_fraction_of_a_nano_credit_rounds_up_once_after_the_sum() {
        let odd = Price {
            rates: Rates::with_fallbacks(1, 1, None, None, None).expect("positive"),
            long_context: None,
            per_request: 0,
        };
        let one_each = Tokens {
            input: 1,
            cache_read: 1,
            output: 1,
            ..Tokens::default()
        };

        assert_eq!(charge(&odd, one_each), 1);
        assert_eq!(charge(&odd, Tokens::default()), 0);
    }

    #[test]
    fn the_price_per_request_and_the_multiplier_count() {
        let mut per_request = price(0, 0, [None; 3]);
        per_request.per_request = 10_000_000;
        let once = Tokens {
            requests: 1,
            ..Tokens::default()
        };

        assert_eq!(charge(&per_request, once), 10_000_000);
        assert_eq!(
            charge_ceil(&per_request, &once, 1_500_000),
            Ok(Credits::from_nanos(15_000_000))
        );
    }

    #[test]
    fn absurd_counts_and_negative_prices_are_refused() {
        let plain = price(3_000, 15_000, [None; 3]);
        let absurd = Tokens {
            output: MAX_TOKENS + 1,
            ..Tokens::default()
        };

        assert_eq!(
            charge_ceil(&plain, &absurd, PPM_ONE),
            Err(RatingError::AbsurdTokens)
        );
        assert_eq!(
            charge_ceil(&plain, &Tokens::default(), -1),
            Err(RatingError::NegativePrice)
        );
        assert_eq!(
            Rates::with_fallbacks(1, -1, None, None, None),
            Err(RatingError::NegativePrice)
        );
        let dear = Price {
            rates: Rates::with_fallbacks(i64::MAX, i64::MAX, None, None, None).expect("positive"),
            long_context: None,
            per_request: 0,
        };
        let much = Tokens {
            input: MAX_TOKENS,
            output: MAX_TOKENS,
            ..Tokens::default()
        };
        assert_eq!(
            charge_ceil(&dear, &much, i64::MAX),
            Err(RatingError::OutOfRange)
        );
    }

    /// Schoolbook unsigned integers of any length, base 2^32, little end first: the oracle.
    #[derive(Clone, PartialEq, Eq, Debug)]
    struct Big(Vec<u32>);

    impl Big {
        fn from(value: u64) -> Self {
            Self(vec![(value & 0xffff_ffff) as u32, (value >> 32) as u32]).trimmed()
        }

        fn trimmed(mut self) -> Self {
            while self.0.last() == Some(&0) {
                self.0.pop();
            }
            self
        }

        fn plus(&self, other: &Self) -> Self {
            let mut digits = Vec::new();
            let mut carry = 0_u64;
            for index in 0..=self.0.len().max(other.0.len()) {
                let digit = |big: &Self| u64::from(big.0.get(index).copied().unwrap_or(0));
                carry += digit(self) + digit(other);
                digits.push((carry & 0xffff_ffff) as u32);
                carry >>= 32;
            }
            Self(digits).trimmed()
        }

        fn times(&self, other: &Self) -> Self {
            let mut sum = Self(Vec::new());
            for (shift, digit) in self.0.iter().enumerate() {
                let mut digits = vec![0; shift];
                let mut carry = 0_u64;
                for factor in &other.0 {
                    carry += u64::from(*digit) * u64::from(*factor);
                    digits.push((carry & 0xffff_ffff) as u32);
                    carry >>= 32;
                }
                digits.push((carry & 0xffff_ffff) as u32);
                sum = sum.plus(&Self(digits).trimmed());
            }
            sum
        }

        fn at_most(&self, other: &Self) -> bool {
            self.0.len() < other.0.len()
                || self.0.len() == other.0.len() && self.0.iter().rev().le(other.0.iter().rev())
        }
    }

    fn any_price() -> impl Strategy<Value = Price> {
        let rate = 0..100_000_000_000_i64;
        (
            rate.clone(),
            rate.clone(),
            [rate.clone(), rate.clone(), rate],
            0..1_000_000_000_i64,
        )
            .prop_map(|(input, output, [read, short, long], per_request)| Price {
                rates: Rates {
                    input,
                    output,
                    cache_read: read,
                    cache_write_short: short,
                    cache_write_long: long,
                },
                long_context: None,
                per_request,
            })
    }

    fn any_tokens() -> impl Strategy<Value = Tokens> {
        let count = 0..10_000_000_u64;
        (
            [
                count.clone(),
                count.clone(),
                count.clone(),
                count.clone(),
                count,
            ],
            0..2_u64,
        )
            .prop_map(
                |(
                    [
                        input,
                        cache_read,
                        cache_write_short,
                        cache_write_long,
                        output,
                    ],
                    requests,
                )| Tokens {
                    input,
                    cache_read,
                    cache_write_short,
                    cache_write_long,
                    output,
                    reasoning: output / 2,
                    requests,
                },
            )
    }

    fn exact(price: &Price, tokens: &Tokens, ppm: i64) -> Big {
        let big = |value: i64| Big::from(value.unsigned_abs());
        let rates = &price.rates;
        [
            (tokens.input, rates.input),
            (tokens.cache_read, rates.cache_read),
            (tokens.cache_write_short, rates.cache_write_short),
            (tokens.cache_write_long, rates.cache_write_long),
            (tokens.output, rates.output),
            (tokens.requests * 1_000_000, price.per_request),
        ]
        .iter()
        .fold(Big(Vec::new()), |sum, (count, rate)| {
            sum.plus(&Big::from(*count).times(&big(*rate)))
        })
        .times(&big(ppm))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_charge_is_the_exact_product_rounded_up(price in any_price(), tokens in any_tokens(), ppm in 0..5_000_000_i64) {
            let nanos = charge_ceil(&price, &tokens, ppm).expect("within range").nanos();
            let scale = Big::from(1_000_000_000_000);
            let exact = exact(&price, &tokens, ppm);
            let charged = Big::from(nanos.unsigned_abs()).times(&scale);

            prop_assert!(exact.at_most(&charged), "never less than the exact price");
            if nanos > 0 {
                let one_less = Big::from(nanos.unsigned_abs() - 1).times(&scale);
                prop_assert!(!exact.at_most(&one_less), "never a whole nano-credit more");
            }
        }

        #[test]
        fn more_tokens_never_cost_less(price in any_price(), tokens in any_tokens(), more in 0..1_000_u64) {
            let longer = Tokens { output: tokens.output + more, ..tokens };
            let cost = |tokens| charge_ceil(&price, tokens, PPM_ONE).expect("within range");
            prop_assert!(cost(&tokens) <= cost(&longer));
        }

        #[test]
        fn no_call_within_its_bounds_costs_more_than_the_bound(
            price in any_price(), long in any_price(), above in 0..20_000_000_u64, tokens in any_tokens(), ppm in 0..5_000_000_i64,
        ) {
            let price = Price { long_context: Some((above, long.rates)), ..price };
            let prompt = tokens.prompt().expect("small");
            let bound = bound_ceil(&price, prompt, tokens.output, ppm).expect("within range");
            let single = Tokens { requests: tokens.requests.min(1), ..tokens };
            prop_assert!(charge_ceil(&price, &single, ppm).expect("within range") <= bound);
        }
    }
}
