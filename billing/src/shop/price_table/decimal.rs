//! Decimal numbers as JSON writes them, with an exponent if need be, brought to credits without a float.

use entity::Credits;

/// The dearest price that a table may name, so that powers of ten stay in range.
const DIGITS_MAX: usize = 30;

/// The number times ten to the power of `shift`, as credits. What is finer than a nano-credit (a table that went through
/// floats has such ends) goes to the nearest one, and never to zero. `None` for what is no number, below zero, or out of
/// range.
pub(super) fn credits(text: &str, shift: i32) -> Option<Credits> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let is_number = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || digits.len() > DIGITS_MAX || !(-60..=60).contains(&exponent) {
        return None;
    }
    let number: u128 = digits.parse().ok()?;
    let places = i32::try_from(fraction.len()).ok()?;
    // Nano-credits: nine places past the point.
    let power = exponent
        .checked_add(shift)?
        .checked_add(9)?
        .checked_sub(places)?;
    let ten = |power: i32| 10_u128.checked_pow(u32::try_from(power).ok()?);
    let nanos = if power >= 0 {
        number.checked_mul(ten(power)?)?
    } else {
        match ten(power.checked_neg()?) {
            Some(unit) => {
                let half = unit.checked_div(2)?;
                number.checked_add(half)?.checked_div(unit)?
            }
            None => 0,
        }
    };
    let nanos = if nanos == 0 && number > 0 { 1 } else { nanos };
    let credits = Credits::from_nanos(i64::try_from(nanos).ok()?);
    (credits <= Credits::MAX).then_some(credits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_for_one_token_becomes_one_for_a_million_to_the_digit() {
        let table = [
            ("3e-06", Some(3_000_000_000)),
            ("0.000003", Some(3_000_000_000)),
            ("1.3e-07", Some(130_000_000)),
            ("3.88126e-7", Some(388_126_000)),
            ("0", Some(0)),
            ("0.0", Some(0)),
            ("1E-15", Some(1)),
            ("1e-25", Some(1)),
            ("1.0000020000000002e-05", Some(10_000_020_000)),
            ("9.499999999999999e-07", Some(950_000_000)),
            ("-1e-06", None),
            ("", None),
            (".5", None),
            ("1e999", None),
            ("1e60", None),
            ("NaN", None),
            ("1.2.3", None),
            ("0x10", None),
            ("100000000000000000000000000000000", None),
        ];
        for (text, nanos) in table {
            assert_eq!(credits(text, 6).map(Credits::nanos), nanos, "{text}");
        }
        assert_eq!(credits("0.035", 0).map(Credits::nanos), Some(35_000_000));
        assert_eq!(credits("2.5", -3).map(Credits::nanos), Some(2_500_000));
    }

    proptest::proptest! {
        #[test]
        fn what_a_nano_credit_can_say_is_exact(nanos in 0..4_000_000_000_000_000_000_i64, exponent in -20..20_i32) {
            // The same number under another exponent.
            let text = format!("{nanos}e{}", exponent - 9);
            let read = credits(&text, -exponent).map(Credits::nanos);
            proptest::prop_assert_eq!(read, Some(nanos));
        }
    }
}
