//! Worked checks of vendors, tables of rules, and properties against schoolbook arithmetic.

use super::price::{Rates, Stated};
use super::*;
use entity::Credits;
use proptest::prelude::*;

const USD: i64 = 1_000_000_000;

fn stated(input: i64, output: i64) -> Stated {
    Stated {
        input,
        output,
        cache_read: None,
        cache_write_short: None,
        cache_write_long: None,
        classes: Classes::default(),
    }
}

fn priced(stated: Stated) -> Price {
    Price::stated(stated, &Tiers::default(), 0).expect("no negative price in a table")
}

/// Prices in thousandths of a dollar per million tokens.
fn price(input: i64, output: i64, cached: [Option<i64>; 3]) -> Price {
    let milli = |price: i64| price * (USD / 1_000);
    let [cache_read, cache_write_short, cache_write_long] = cached.map(|price| price.map(milli));
    priced(Stated {
        cache_read,
        cache_write_short,
        cache_write_long,
        ..stated(milli(input), milli(output))
    })
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
        web_searches: 2,
        file_searches: 1,
        requests: 1,
        ..Tokens::default()
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
    long.tiers = vec![(272_000, price(5_000, 22_500, [None; 3]).rates)];
    let prompt = |input| Tokens {
        input,
        output: 1_000,
        ..Tokens::default()
    };

    assert_eq!(charge(&long, prompt(300_000)), 1_522_500_000);
    assert_eq!(charge(&long, prompt(272_000)), 272_000 * 2_500 + 15_000_000);
}

#[test]
fn sound_pictures_reasoning_and_searches_have_prices_of_their_own() {
    let classes = Classes::parse(Some(
        r#"{"reasoning":8000000000,"input_audio":40000000000,"input_image":5000000000,"output_audio":80000000000,
            "output_image":60000000000,"web_search":25000000,"file_search":0}"#,
    ))
    .expect("classes");
    let price = priced(Stated {
        classes,
        ..stated(2_500_000_000, 10_000_000_000)
    });
    let tokens = Tokens {
        input: 1_000,
        input_audio: 300,
        input_image: 200,
        cache_read: 100,
        output: 1_000,
        reasoning: 400,
        output_audio: 100,
        output_image: 50,
        web_searches: 3,
        file_searches: 7,
        requests: 1,
        ..Tokens::default()
    };

    let input = 500 * 2_500 + 300 * 40_000 + 200 * 5_000 + 100 * 2_500;
    let output = 450 * 10_000 + 400 * 8_000 + 100 * 80_000 + 50 * 60_000;
    assert_eq!(charge(&price, tokens), input + output + 3 * 25_000_000);
}

#[test]
fn the_longest_threshold_that_is_passed_decides() {
    let tiers = Tiers::parse(Some(
        r#"{"long_context":[{"above":200,"input":4000000,"output":0},{"above":100,"input":2000000,"output":0}]}"#,
    ))
    .expect("tiers");
    let price = Price::stated(stated(1_000_000, 0), &tiers, 0).expect("a price");
    let prompt = |input| Tokens {
        input,
        ..Tokens::default()
    };

    for (input, nanos) in [(100, 100), (101, 202), (200, 400), (201, 804)] {
        assert_eq!(charge(&price, prompt(input)), nanos, "{input}");
    }
}

#[test]
fn stored_tiers_read_as_they_were_written_and_nonsense_is_no_price() {
    let one = r#"{"long_context":{"above":5,"input":1,"output":2,"cache_read":null}}"#;
    assert_eq!(Tiers::parse(Some(one)).expect("one").long_context.len(), 1);
    let none = Tiers::parse(Some(r#"{"long_context":null}"#)).expect("none");
    assert_eq!(none, Tiers::default());
    let twice =
        r#"{"long_context":[{"above":5,"input":1,"output":2},{"above":5,"input":3,"output":2}]}"#;
    let twice = Tiers::parse(Some(twice)).expect("a list");
    assert_eq!(
        Price::stated(stated(1, 1), &twice, 0),
        Err(RatingError::MalformedTiers)
    );
    assert_eq!(
        Classes::parse(Some(r#"{"video":1}"#)),
        Err(RatingError::MalformedClasses)
    );
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
    let odd = priced(stated(1, 1));
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
        Rates::with_fallbacks(&stated(1, -1), None),
        Err(RatingError::NegativePrice)
    );
    for classes in [r#"{"web_search":-1}"#, r#"{"output_audio":-1}"#] {
        let classes = Classes::parse(Some(classes)).expect("classes");
        let negative = Price::stated(
            Stated {
                classes,
                ..stated(1, 1)
            },
            &Tiers::default(),
            0,
        );
        assert_eq!(negative, Err(RatingError::NegativePrice));
    }
    let dear = priced(stated(i64::MAX, i64::MAX));
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

fn any_rate() -> impl Strategy<Value = i64> {
    0..100_000_000_000_i64
}

fn any_classes() -> impl Strategy<Value = Classes> {
    let own = || proptest::option::of(any_rate());
    let search = || proptest::option::of(0..1_000_000_000_i64);
    (own(), [own(), own(), own(), own()], search(), search()).prop_map(
        |(reasoning, [input_audio, input_image, output_audio, output_image], web, file)| Classes {
            reasoning,
            input_audio,
            input_image,
            output_audio,
            output_image,
            web_search: web,
            file_search: file,
        },
    )
}

fn any_stated() -> impl Strategy<Value = Stated> {
    let own = || proptest::option::of(any_rate());
    (any_rate(), any_rate(), [own(), own(), own()], any_classes()).prop_map(
        |(input, output, [cache_read, cache_write_short, cache_write_long], classes)| Stated {
            input,
            output,
            cache_read,
            cache_write_short,
            cache_write_long,
            classes,
        },
    )
}

fn any_price() -> impl Strategy<Value = Price> {
    (any_stated(), 0..1_000_000_000_i64).prop_map(|(stated, per_request)| {
        Price::stated(stated, &Tiers::default(), per_request).expect("no negative price")
    })
}

fn any_tokens() -> impl Strategy<Value = Tokens> {
    let count = || 0..10_000_000_u64;
    (
        [count(), count(), count(), count(), count()],
        [count(), count(), count(), count(), count()],
        [0..50_u64, 0..50_u64, 0..2_u64],
    )
        .prop_map(|(whole, part, piece)| {
            let [
                input,
                cache_read,
                cache_write_short,
                cache_write_long,
                output,
            ] = whole;
            let [
                input_audio,
                input_image,
                reasoning,
                output_audio,
                output_image,
            ] = part;
            let [web_searches, file_searches, requests] = piece;
            Tokens {
                input,
                input_audio,
                input_image,
                cache_read,
                cache_write_short,
                cache_write_long,
                output,
                reasoning,
                output_audio,
                output_image,
                web_searches,
                file_searches,
                requests,
            }
        })
}

/// What the charge comes to by schoolbook arithmetic, in millionths of a millionth of a nano-credit: every token of
/// input and output once, at its own rate where it has one.
fn exact(price: &Price, tokens: &Tokens, ppm: i64) -> Big {
    let big = |value: i64| Big::from(value.unsigned_abs());
    let rates = &price.rates;
    let mut lines = vec![
        (tokens.cache_read, rates.cache_read),
        (tokens.cache_write_short, rates.cache_write_short),
        (tokens.cache_write_long, rates.cache_write_long),
        (tokens.web_searches * 1_000_000, price.web_search),
        (tokens.file_searches * 1_000_000, price.file_search),
        (tokens.requests * 1_000_000, price.per_request),
    ];
    let wholes = [
        (
            (tokens.input, rates.input),
            vec![
                (tokens.input_audio, rates.input_audio),
                (tokens.input_image, rates.input_image),
            ],
        ),
        (
            (tokens.output, rates.output),
            vec![
                (tokens.reasoning, rates.reasoning),
                (tokens.output_audio, rates.output_audio),
                (tokens.output_image, rates.output_image),
            ],
        ),
    ];
    for ((mut whole, rate), parts) in wholes {
        for (count, own) in parts {
            if let Some(own) = own {
                let count = count.min(whole);
                whole -= count;
                lines.push((count, own));
            }
        }
        lines.push((whole, rate));
    }
    lines
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
        price in any_price(), longer in [any_price(), any_price()], above in 0..20_000_000_u64, tokens in any_tokens(), ppm in 0..5_000_000_i64,
    ) {
        let [long, longest] = longer;
        let tiers = vec![(above, long.rates), (above * 2 + 1, longest.rates)];
        let price = Price { tiers, ..price };
        let upper = Upper {
            input: tokens.prompt().expect("small"),
            output: tokens.output,
            searches: tokens.web_searches + tokens.file_searches,
        };
        let bound = bound_ceil(&price, &upper, ppm).expect("within range");
        let single = Tokens { requests: tokens.requests.min(1), ..tokens };
        prop_assert!(charge_ceil(&price, &single, ppm).expect("within range") <= bound);
    }

    #[test]
    fn no_class_is_ever_free_by_omission(
        input in 1..100_000_000_000_i64, output in 1..100_000_000_000_i64, tokens in any_tokens(), tier in proptest::option::of(0..20_000_000_u64),
    ) {
        // Nothing but the two prices that every model has is stated, at whatever length.
        let long_context = tier.map(|above| LongContext {
            above, input: input * 2, output: output * 2, cache_read: None, cache_write_short: None, cache_write_long: None,
            classes: Classes::default(),
        });
        let tiers = Tiers { long_context: long_context.into_iter().collect() };
        let price = Price::stated(stated(input, output), &tiers, 0).expect("no negative price");
        let least = i128::from(input) * i128::from(tokens.prompt().expect("small")) + i128::from(output) * i128::from(tokens.output)
            + 1_000_000 * (i128::from(tokens.web_searches) * i128::from(WEB_SEARCH_FALLBACK)
                + i128::from(tokens.file_searches) * i128::from(FILE_SEARCH_FALLBACK));

        let charge = charge_ceil(&price, &tokens, PPM_ONE).expect("within range").nanos();

        prop_assert!(i128::from(charge) * 1_000_000 >= least, "{charge}");
    }

    #[test]
    fn a_longer_price_leaves_no_class_cheaper_than_its_own_words_say(
        base in any_stated(), tier in any_stated(), tokens in any_tokens(),
    ) {
        // A tier that states less than the base charges a class it leaves out at the base's price or more.
        let bare = LongContext {
            above: 0, input: tier.input.max(base.input), output: tier.output.max(base.output),
            cache_read: None, cache_write_short: None, cache_write_long: None, classes: Classes::default(),
        };
        let plain = Price::stated(base, &Tiers::default(), 0).expect("no negative price");
        let long = Price::stated(base, &Tiers { long_context: vec![bare] }, 0).expect("no negative price");
        let charge = |price| charge_ceil(price, &tokens, PPM_ONE).expect("within range");

        prop_assert!(charge(&plain) <= charge(&long));
    }

    #[test]
    fn what_is_counted_apart_is_charged_apart_and_never_twice(
        base in any_stated(), tokens in any_tokens(),
    ) {
        let price = priced(base);
        let counts: u64 = itemise(&price, &tokens).iter().filter(|item| !item.class.is_by_piece()).map(|item| item.count).sum();
        prop_assert_eq!(counts, tokens.prompt().expect("small") + tokens.output);
    }
}
