//! The number grammar of RFC 8259 section 6.
//! Hot path.

/// Digits that always fit an `i64`.
const SHORT_DIGITS_MAX: usize = 18;

/// Digits of the longest integer: CPython's default for `sys.set_int_max_str_digits`. Converting
/// takes time in the square of them.
pub(super) const INT_DIGITS_MAX: usize = 4300;

/// The powers that `short_float` divides by, all of them exact.
const POWERS_OF_TEN: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// What a number is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Number<'a> {
    /// An integer that fits.
    Small(i64),
    /// The text of an integer that may not fit.
    Big(&'a str),
    /// A number with a fraction or an exponent; finite.
    Float(f64),
}

/// Why a number is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NumberError {
    /// There are no digits.
    NoDigits,
    /// An integer of more than `INT_DIGITS_MAX` digits.
    TooLong,
    /// A float too large for 64 bits.
    Infinite,
}

/// Reads the number at the front of `text`, and says how many bytes it took.
///
/// It takes as much as can be a number: what follows, as the `1` of `01`, is the caller's to refuse.
#[inline]
pub(super) fn read(text: &[u8]) -> Result<(Number<'_>, usize), NumberError> {
    let is_negative = text.first() == Some(&b'-');
    let start = usize::from(is_negative);
    let (value, digit_count) = whole_part(&text[start..]);
    if digit_count == 0 {
        return Err(NumberError::NoDigits);
    }
    let end = start + digit_count;
    if let Some(b'.' | b'e' | b'E') = text.get(end) {
        if let Some(short) = short_float(text, is_negative, value, digit_count) {
            return Ok(short);
        }
        let float_end = float_end(text, end);
        if float_end > end {
            return float(&text[..float_end]);
        }
    }
    if digit_count <= SHORT_DIGITS_MAX {
        return Ok((Number::Small(if is_negative { -value } else { value }), end));
    }
    if digit_count > INT_DIGITS_MAX {
        return Err(NumberError::TooLong);
    }
    Ok((Number::Big(ascii(&text[..end])), end))
}

/// Value and length of `0` or of the digits up to another byte. The value of more than
/// `SHORT_DIGITS_MAX` digits means nothing.
#[inline]
fn whole_part(text: &[u8]) -> (i64, usize) {
    if text.first() == Some(&b'0') {
        return (0, 1);
    }
    let mut value = 0_i64;
    let mut count = 0;
    while let Some(digit) = text.get(count).map(|byte| byte.wrapping_sub(b'0'))
        && digit < 10
    {
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
        count += 1;
    }
    (value, count)
}

/// A number of few digits with a point and no exponent, as most floats are.
///
/// Both the digits without the point and the power of ten are exact floats, so that their quotient
/// is the float nearest to the number.
#[inline]
fn short_float(
    text: &[u8],
    is_negative: bool,
    whole: i64,
    whole_digits: usize,
) -> Option<(Number<'_>, usize)> {
    const DIGITS_MAX: usize = 15;
    let start = usize::from(is_negative) + whole_digits;
    let fraction = text[start..].strip_prefix(b".")?;
    let mut digits = whole;
    let mut count = 0;
    while let Some(digit) = fraction.get(count).map(|byte| byte.wrapping_sub(b'0'))
        && digit < 10
    {
        digits = digits.wrapping_mul(10).wrapping_add(i64::from(digit));
        count += 1;
    }
    let has_exponent = matches!(fraction.get(count), Some(b'e' | b'E'));
    if count == 0 || whole_digits + count > DIGITS_MAX || has_exponent {
        return None;
    }
    let magnitude = digits as f64 / POWERS_OF_TEN[count];
    let value = if is_negative { -magnitude } else { magnitude };
    Some((Number::Float(value), start + 1 + count))
}

/// Where a number with this whole part ends; `whole_end` itself if nothing belongs to it any more.
fn float_end(text: &[u8], whole_end: usize) -> usize {
    let digits_from = |start: usize| {
        let rest = text.get(start..).unwrap_or_default();
        start + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut end = whole_end;
    if text.get(end) == Some(&b'.') {
        let fraction_end = digits_from(end + 1);
        if fraction_end == end + 1 {
            return whole_end;
        }
        end = fraction_end;
    }
    if let Some(b'e' | b'E') = text.get(end) {
        let signed = matches!(text.get(end + 1), Some(b'+' | b'-'));
        let start = end + 1 + usize::from(signed);
        let exponent_end = digits_from(start);
        if exponent_end > start {
            end = exponent_end;
        }
    }
    end
}

fn float(text: &[u8]) -> Result<(Number<'_>, usize), NumberError> {
    let value: f64 = ascii(text).parse().expect("the grammar of JSON is part of Rust's");
    if value.is_infinite() {
        return Err(NumberError::Infinite);
    }
    Ok((Number::Float(value), text.len()))
}

fn ascii(text: &[u8]) -> &str {
    str::from_utf8(text).expect("digits and signs are ASCII")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<(Number<'_>, usize), NumberError>) {
        assert_eq!(read(text.as_bytes()), expected, "{text}");
    }

    #[test]
    fn integers() {
        check("0", Ok((Number::Small(0), 1)));
        check("-0", Ok((Number::Small(0), 2)));
        check("7]", Ok((Number::Small(7), 1)));
        check("-1234567890 ", Ok((Number::Small(-1_234_567_890), 11)));
        check("999999999999999999", Ok((Number::Small(999_999_999_999_999_999), 18)));
        check("1000000000000000000,", Ok((Number::Big("1000000000000000000"), 19)));
        check("-9223372036854775809", Ok((Number::Big("-9223372036854775809"), 20)));
        let longest = "9".repeat(INT_DIGITS_MAX);
        check(&longest, Ok((Number::Big(&longest), INT_DIGITS_MAX)));
        check(&(longest.clone() + "9"), Err(NumberError::TooLong));
    }

    #[test]
    fn floats_to_the_bit() {
        for text in [
            "0.0",
            "-0.0",
            "1.5",
            "1e5",
            "1E+5",
            "1.25e-7",
            "2.2250738585072011e-308",
            "5e-324",
            "1.7976931348623157e308",
            "123456789012345678901234567890.0",
            "1e-999",
            "98.6",
            "-98.60",
            "0.1",
            "0.000000000000001",
            "-0.00",
            "99999999999999.9",
            "999999999999999.9",
            "1.000000000000001",
            "123456.789e3",
            "0.30000000000000004",
        ] {
            let Ok((Number::Float(value), length)) = read(text.as_bytes()) else {
                panic!("{text}")
            };
            assert_eq!(value.to_bits(), text.parse::<f64>().unwrap().to_bits());
            assert_eq!(length, text.len());
        }
        check("1e309", Err(NumberError::Infinite));
        check("-1e999", Err(NumberError::Infinite));
    }

    #[test]
    fn stops_where_the_grammar_stops() {
        check("", Err(NumberError::NoDigits));
        check("-", Err(NumberError::NoDigits));
        check("-x", Err(NumberError::NoDigits));
        check("+1", Err(NumberError::NoDigits));
        check(".5", Err(NumberError::NoDigits));
        check("01", Ok((Number::Small(0), 1)));
        check("-01", Ok((Number::Small(0), 2)));
        check("1.", Ok((Number::Small(1), 1)));
        check("1.e5", Ok((Number::Small(1), 1)));
        check("1e", Ok((Number::Small(1), 1)));
        check("1e+", Ok((Number::Small(1), 1)));
        check("1.5e", Ok((Number::Float(1.5), 3)));
        check("1.5e-", Ok((Number::Float(1.5), 3)));
        check("1.5.5", Ok((Number::Float(1.5), 3)));
        check("0x10", Ok((Number::Small(0), 1)));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 2000, failure_persistence: None, ..ProptestConfig::default()
        })]
        #[test]
        fn every_float_reads_as_rust_reads_it(
            text in "-?(0|[1-9][0-9]{0,17})\\.[0-9]{1,18}([eE][+-]?[0-9]{1,2})?"
        ) {
            let Ok((Number::Float(value), length)) = read(text.as_bytes()) else {
                panic!("{text}")
            };
            prop_assert_eq!(value.to_bits(), text.parse::<f64>().unwrap().to_bits());
            prop_assert_eq!(length, text.len());
        }
    }
}
