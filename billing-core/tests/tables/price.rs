//! Where prices and charges end: at the last token, the last nano-credit, the last request.

use billing_core::rating::{
    MAX_TOKENS, PPM_ONE, Price, RatingError, Tokens, Upper, bound_ceil, charge_ceil, expected_ceil,
};
use entity::{Credits, ModelId, PriceVersionId, Timestamp, price_version};

fn version(input: i64, output: i64, per_request: i64) -> price_version::Model {
    price_version::Model {
        id: PriceVersionId::fresh(),
        model_id: ModelId::fresh(),
        effective_at: Timestamp::from_micros(0),
        input,
        output,
        cache_read: None,
        cache_write_short: None,
        cache_write_long: None,
        per_request,
        tiers: None,
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
    }
}

fn price(input: i64, output: i64, per_request: i64) -> Price {
    Price::of(&version(input, output, per_request)).expect("a price")
}

#[test]
fn a_request_may_cost_nothing_or_something_but_not_less_than_nothing() {
    assert!(Price::of(&version(1, 1, 0)).is_ok());
    assert!(Price::of(&version(1, 1, 1)).is_ok());
    assert_eq!(
        Price::of(&version(1, 1, -1)),
        Err(RatingError::NegativePrice)
    );
}

#[test]
fn what_the_upstream_takes_is_known_where_both_prices_are() {
    let silent = version(5, 5, 5);
    let half = price_version::Model {
        cost_input: Some(2_000_000),
        ..silent.clone()
    };
    let told = price_version::Model {
        cost_output: Some(3_000_000),
        cost_per_request: Some(7),
        ..half.clone()
    };

    assert_eq!(Price::upstream(&silent), Ok(None));
    assert_eq!(Price::upstream(&half), Ok(None));
    let cost = Price::upstream(&told)
        .expect("it reads")
        .expect("it is told");
    let tokens = Tokens {
        input: 10,
        output: 10,
        requests: 1,
        ..Tokens::default()
    };
    assert_eq!(
        charge_ceil(&cost, &tokens, PPM_ONE),
        Ok(Credits::from_nanos(20 + 30 + 7))
    );
}

#[test]
fn the_most_tokens_are_bounded_and_one_more_of_either_kind_is_absurd() {
    let cheap = price(1, 1, 0);

    let bound = |input, output, searches| {
        let upper = Upper {
            input,
            output,
            searches,
        };
        bound_ceil(&cheap, &upper, PPM_ONE)
    };

    assert!(bound(MAX_TOKENS, MAX_TOKENS, 0).is_ok());
    assert_eq!(bound(0, 0, MAX_TOKENS + 1), Err(RatingError::AbsurdTokens));
    let input = bound(MAX_TOKENS + 1, 0, 0);
    let output = bound(0, MAX_TOKENS + 1, 0);
    assert_eq!(
        (input, output),
        (
            Err(RatingError::AbsurdTokens),
            Err(RatingError::AbsurdTokens)
        )
    );
}

#[test]
fn an_expected_call_is_one_request() {
    let cost = expected_ceil(&price(1_000_000, 2_000_000, 500), 3, 4, PPM_ONE);
    assert_eq!(cost, Ok(Credits::from_nanos(3 + 8 + 500)));
}

#[test]
fn as_many_tokens_may_be_expected_as_a_model_moves_and_no_more() {
    let cheap = price(1, 1, 0);
    let cost = |input, output| expected_ceil(&cheap, input, output, PPM_ONE);

    assert!(cost(MAX_TOKENS, MAX_TOKENS).is_ok());
    for (input, output) in [(1, 0), (2, 0), (0, 1), (0, 2)] {
        let absurd = cost(
            MAX_TOKENS * input.min(1) + input,
            MAX_TOKENS * output.min(1) + output,
        );
        assert_eq!(absurd, Err(RatingError::AbsurdTokens), "{input} {output}");
    }
}

#[test]
fn the_largest_charge_is_the_largest_balance_and_not_a_nano_more() {
    let request = |each| {
        let once = Tokens {
            requests: 1,
            ..Tokens::default()
        };
        charge_ceil(&price(0, 0, each), &once, PPM_ONE)
    };

    assert_eq!(request(Credits::MAX.nanos()), Ok(Credits::MAX));
    assert_eq!(
        request(Credits::MAX.nanos() + 1),
        Err(RatingError::OutOfRange)
    );
}
