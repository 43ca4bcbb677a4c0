//! `{id:int}` and the like: which text a parameter accepts.
//!
//! A path whose text the converter refuses does not match the route, so the value that reaches the
//! handler always converts: the bounds on digits are those that Python's `int` and `float` accept.

use super::spelling::{Decoded, is_encoded};

/// Digits of an `{x:int}`: `sys.int_info.str_digits_check_threshold`, below which `int(text)` may
/// not be refused whatever limit is set.
const INT_DIGITS_MAX: usize = 640;

/// Digits before the point of an `{x:float}`: 308 nines are still finite.
const FLOAT_DIGITS_MAX: usize = 308;

/// Digits behind the point of an `{x:float}`.
const FRACTION_DIGITS_MAX: usize = 640;

/// What a parameter accepts, the most particular first: the order in which they are tried.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Converter {
    /// 32 hexadecimal digits, with or without the usual four hyphens.
    Uuid,
    /// Decimal digits, with an optional `-` in front.
    Int,
    /// An int, optionally followed by a point and more digits.
    Float,
    /// Any text of at least one byte, within one segment.
    Str,
    /// The rest of the path with its slashes, at least one byte.
    Path,
    /// The rest of the path, which may be empty: `{*rest}`.
    Rest,
}

impl Converter {
    /// The converter written as `name` behind the colon.
    pub(super) fn named(name: &str) -> Option<Converter> {
        Some(match name {
            "uuid" => Converter::Uuid,
            "int" => Converter::Int,
            "float" => Converter::Float,
            "str" => Converter::Str,
            "path" => Converter::Path,
            _ => return None,
        })
    }

    /// Whether the parameter takes all that is left of the path.
    pub fn takes_rest(self) -> bool {
        matches!(self, Converter::Path | Converter::Rest)
    }

    /// Whether `raw`, as it was sent, is a value of this kind.
    #[inline]
    pub(super) fn accepts(self, raw: &[u8]) -> bool {
        match self {
            Converter::Rest => true,
            Converter::Str | Converter::Path => !raw.is_empty(),
            _ => self.accepts_spelled(raw),
        }
    }

    fn accepts_spelled(self, raw: &[u8]) -> bool {
        if is_encoded(raw) {
            return self.accepts_text(Decoded::of(raw));
        }
        self.accepts_text(raw.iter().copied())
    }

    fn accepts_text(self, text: impl Iterator<Item = u8> + Clone) -> bool {
        match self {
            Converter::Uuid => is_uuid(text),
            Converter::Int => is_number(text, INT_DIGITS_MAX, 0),
            Converter::Float => is_number(text, FLOAT_DIGITS_MAX, FRACTION_DIGITS_MAX),
            Converter::Str | Converter::Path | Converter::Rest => true,
        }
    }
}

fn is_uuid(text: impl Iterator<Item = u8> + Clone) -> bool {
    let hyphenated = text.clone().count() == 36;
    let mut length = 0;
    for (index, byte) in text.enumerate() {
        length = index + 1;
        let fits = match index {
            8 | 13 | 18 | 23 if hyphenated => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        };
        if !fits {
            return false;
        }
    }
    length == if hyphenated { 36 } else { 32 }
}

/// `-? digits ( . digits )?`, the second part only if it may have digits.
fn is_number(text: impl Iterator<Item = u8>, whole_max: usize, fraction_max: usize) -> bool {
    let mut text = text.peekable();
    text.next_if_eq(&b'-');
    let mut digits = |max: usize| {
        let mut count = 0;
        while text.next_if(u8::is_ascii_digit).is_some() {
            count += 1;
        }
        ((1..=max).contains(&count), text.next())
    };
    match digits(whole_max) {
        (true, None) => true,
        (true, Some(b'.')) if fraction_max > 0 => digits(fraction_max) == (true, None),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(converter: Converter, text: &str, expected: bool) {
        assert_eq!(converter.accepts(text.as_bytes()), expected, "{converter:?} of {text:?}");
    }

    #[test]
    fn int_takes_what_python_int_takes_and_no_more() {
        for text in ["0", "42", "-7", "007", "%34%32", "%2D1", &"9".repeat(640)] {
            check(Converter::Int, text, true);
        }
        for text in ["", "-", "+1", "1.0", "1e3", " 1", "1 ", "1_0", "٣", "%", &"9".repeat(641)] {
            check(Converter::Int, text, false);
        }
    }

    #[test]
    fn float_is_finite() {
        for text in ["0", "-1", "1.5", "-0.25", "1%2E5", &"9".repeat(308)] {
            check(Converter::Float, text, true);
        }
        for text in ["", ".", "1.", ".5", "1.5.", "1..5", "nan", "inf", "1e9", &"9".repeat(309)] {
            check(Converter::Float, text, false);
        }
    }

    #[test]
    fn uuid_with_or_without_hyphens() {
        check(Converter::Uuid, "123e4567-e89b-12d3-a456-426614174000", true);
        check(Converter::Uuid, "123E4567E89B12D3A456426614174000", true);
        check(Converter::Uuid, "123e4567-e89b-12d3-a456%2D426614174000", true);
        check(Converter::Uuid, "123e4567-e89b-12d3-a456-42661417400", false);
        check(Converter::Uuid, "123e4567e-89b-12d3-a456-426614174000", false);
        check(Converter::Uuid, "123e4567e89b12d3a4564266141740001234", false);
        check(Converter::Uuid, "123e4567e89b12d3a45642661417400g", false);
        check(Converter::Uuid, "", false);
    }

    #[test]
    fn only_the_catch_all_may_be_empty() {
        check(Converter::Str, "", false);
        check(Converter::Path, "", false);
        check(Converter::Rest, "", true);
    }
}
