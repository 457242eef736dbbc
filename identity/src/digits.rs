//! Random bytes and their fixed-width base62 form.

use zeroize::Zeroizing;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Base62 digits that hold any 256-bit number.
pub(crate) const SECRET_DIGITS: usize = 43;
/// Base62 digits that hold any 32-bit number.
pub(crate) const CHECKSUM_DIGITS: usize = 6;

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).expect("the operating system has random bytes");
    bytes
}

/// Appends a big-endian number as exactly `width` digits, leading zeros included.
pub(crate) fn push_base62(text: &mut String, number: &[u8], width: usize) {
    let mut rest = Zeroizing::new(number.to_vec());
    let mut digits = Zeroizing::new(vec![b'0'; width]);
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0_u32;
        for byte in rest.iter_mut() {
            let value = remainder * 256 + u32::from(*byte);
            *byte = u8::try_from(value / 62)
                .expect("a remainder below 62 leaves a quotient of one byte");
            remainder = value % 62;
        }
        *digit = ALPHABET[remainder as usize];
    }
    text.extend(digits.iter().map(|digit| char::from(*digit)));
}

/// Whether a text has base62 digits only.
pub(crate) fn is_base62(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base62(number: &[u8], width: usize) -> String {
        let mut text = String::new();
        push_base62(&mut text, number, width);
        text
    }

    #[test]
    fn numbers_have_the_expected_digits() {
        for (number, width, digits) in [
            (vec![0], 2, "00"),
            (vec![61], 2, "0z"),
            (vec![62], 2, "10"),
            (vec![0x0f, 0x03], 2, "zz"),
            (vec![0xff; 4], CHECKSUM_DIGITS, "4gfFC3"),
        ] {
            assert_eq!(base62(&number, width), digits);
        }
    }

    #[test]
    fn the_largest_secret_fits_its_width() {
        let digits = base62(&[0xff; 32], SECRET_DIGITS);

        assert_eq!(digits.len(), SECRET_DIGITS);
        assert!(!digits.starts_with('0'));
    }
}
