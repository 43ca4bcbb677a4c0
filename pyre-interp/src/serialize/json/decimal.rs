//! Floats as text: the shortest that reads back to the same bits.
//! Hot path.

use super::sink::Sink;

/// Digits behind the point up to which a float is tried as a short decimal.
const SHORT_FRACTION: usize = 4;

/// Short decimals stay below this many units of their last digit: 15 digits, which an `f64` tells
/// apart from each other.
const UNITS_MAX: f64 = 1e15;

/// Appends a finite number.
#[inline]
pub(super) fn write(number: f64, out: &mut Sink<'_>) {
    if !write_short(number, out) {
        out.append(ryu::Buffer::new().format_finite(number).as_bytes());
    }
}

/// Appends numbers such as 98.6, which most are, at a tenth of the cost, and says whether it could.
///
/// A decimal with up to 15 digits is the only one of that length that reads back to its float, so
/// if one with the fewest digits behind the point does, it is the shortest text there is.
fn write_short(number: f64, out: &mut Sink<'_>) -> bool {
    let magnitude = number.abs();
    let mut scale = 1_i32;
    for digits in 1..=SHORT_FRACTION {
        scale *= 10;
        let units = magnitude * f64::from(scale) + 0.5;
        if units >= UNITS_MAX {
            return false;
        }
        let units = units as i64;
        // Both are exact, so the quotient is the float nearest to the decimal.
        if units as f64 / f64::from(scale) == magnitude {
            if number.is_sign_negative() {
                out.push(b'-');
            }
            let (whole, fraction) = (units / i64::from(scale), units % i64::from(scale));
            out.append(itoa::Buffer::new().format(whole).as_bytes());
            write_fraction(fraction, digits, out);
            return true;
        }
    }
    false
}

/// Appends a point and `digits` digits of `fraction`.
fn write_fraction(mut fraction: i64, digits: usize, out: &mut Sink<'_>) {
    let text = &mut out.room(1 + digits)[..1 + digits];
    text[0] = b'.';
    for digit in text[1..].iter_mut().rev() {
        *digit = b'0' + (fraction % 10) as u8;
        fraction /= 10;
    }
    out.advance(1 + digits);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(number: f64) -> String {
        let mut out = Vec::new();
        write(number, &mut Sink::new(&mut out));
        String::from_utf8(out).unwrap()
    }

    #[track_caller]
    fn check(number: f64) {
        assert_eq!(written(number), ryu::Buffer::new().format_finite(number));
        assert_eq!(written(-number), ryu::Buffer::new().format_finite(-number));
    }

    #[test]
    fn short_decimals_read_as_ryu_writes_them() {
        for number in [0.0, 1.0, 98.6, 0.1, 0.25, 19.99, 1.005, 0.0001, 0.00011, 1e-5, 0.5, 5e-324]
        {
            check(number);
        }
        for number in
            [1e14, 1e15, 99_999_999_999_999.9, 123_456_789_012.345_67, 1e16, 1e22, 1.7e308]
        {
            check(number);
            check(f64::from_bits(number.to_bits() - 1));
            check(f64::from_bits(number.to_bits() + 1));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 5000, failure_persistence: None, ..ProptestConfig::default()
        })]
        #[test]
        fn any_number_reads_as_ryu_writes_it(units in 0..u64::MAX, digits in 0..20, bits: u64) {
            for shift in [0, 20, 40, 50] {
                let number = (units >> shift) as f64 / 10_f64.powi(digits);
                check(number);
                check(f64::from_bits(number.to_bits() + 1));
            }
            let number = f64::from_bits(bits);
            if number.is_finite() {
                check(number);
            }
        }
    }
}
