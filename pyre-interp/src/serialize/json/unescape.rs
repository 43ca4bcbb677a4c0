//! Strings with escapes, decoded into a buffer.
//!
//! The result is UTF-8, but for a lone `\ud800`: as the standard library does, it becomes a lone
//! surrogate in the string, which is written here as the three bytes that its number would have.

use super::error::Reason;
use super::scan::plain;

/// What a decoded string is made of, the most limited first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Alphabet {
    /// ASCII only.
    Ascii,
    /// Whole characters: UTF-8.
    Unicode,
    /// With lone surrogates: not quite UTF-8.
    Surrogates,
}

/// Decodes a string whose text begins at `start`, behind the quote, and appends it to `out`.
///
/// Returns what it is made of and where it ends, behind the closing quote. Bytes that are not ASCII
/// must be UTF-8.
///
/// # Errors
/// The reason and the byte it concerns.
pub(super) fn unescape(
    text: &[u8],
    start: usize,
    out: &mut Vec<u8>,
) -> Result<(Alphabet, usize), (Reason, usize)> {
    let quote = start - 1;
    let mut alphabet = Alphabet::Ascii;
    let mut at = start;
    loop {
        let run = plain(&text[at..]);
        let piece = &text[at..at + run];
        if alphabet == Alphabet::Ascii && !piece.is_ascii() {
            alphabet = Alphabet::Unicode;
        }
        out.extend_from_slice(piece);
        at += run;
        match text.get(at) {
            None => return Err((Reason::Unterminated, quote)),
            Some(b'"') => return Ok((alphabet, at + 1)),
            Some(b'\\') => {}
            Some(_) => return Err((Reason::Control, at)),
        }
        let code = match text.get(at + 1) {
            None => return Err((Reason::Unterminated, quote)),
            Some(b'u') => {
                let (code, end) = unicode_escape(text, at)?;
                at = end;
                alphabet = alphabet.max(push_code(code, out));
                continue;
            }
            Some(short @ (b'"' | b'\\' | b'/')) => *short,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(_) => return Err((Reason::Escape, at)),
        };
        out.push(code);
        at += 2;
    }
}

/// The code point of the `\uXXXX` at `at`, or of a pair of them, and where it ends.
fn unicode_escape(text: &[u8], at: usize) -> Result<(u32, usize), (Reason, usize)> {
    let high = four_digits(text, at)?;
    let end = at + 6;
    // RFC 8259 section 7: a character beyond the first plane is a pair.
    if (0xd800..0xdc00).contains(&high) && text[end..].starts_with(b"\\u") {
        let low = four_digits(text, end)?;
        if (0xdc00..0xe000).contains(&low) {
            return Ok((0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00)), end + 6));
        }
    }
    Ok((high, end))
}

/// The number behind the `\u` at `at`.
fn four_digits(text: &[u8], at: usize) -> Result<u32, (Reason, usize)> {
    text.get(at + 2..at + 6)
        .and_then(|digits| {
            digits
                .iter()
                .try_fold(0, |number, &digit| Some(number << 4 | char::from(digit).to_digit(16)?))
        })
        .ok_or((Reason::UnicodeEscape, at + 1))
}

/// Appends a code point, a surrogate too, and says what it is.
fn push_code(code: u32, out: &mut Vec<u8>) -> Alphabet {
    match char::from_u32(code) {
        Some(ascii) if ascii.is_ascii() => {
            out.push(ascii as u8);
            Alphabet::Ascii
        }
        Some(character) => {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            Alphabet::Unicode
        }
        None => {
            let continuation = |shift: u32| 0x80 | (code >> shift & 0x3f) as u8;
            out.extend_from_slice(&[0xe0 | (code >> 12) as u8, continuation(6), continuation(0)]);
            Alphabet::Surrogates
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(Alphabet, &[u8]), (Reason, usize)>) {
        let mut out = Vec::new();
        let answer = unescape(text.as_bytes(), 1, &mut out);
        if let Ok((_, end)) = answer {
            assert_eq!(end, text.len(), "{text}");
        }
        assert_eq!(answer.map(|(alphabet, _)| (alphabet, &out[..])), expected, "{text}");
    }

    #[test]
    fn every_escape() {
        check(r#""\"\\\/\b\f\n\r\t""#, Ok((Alphabet::Ascii, b"\"\\/\x08\x0c\n\r\t")));
        check(r#""a\u0041\u007f\u0000z""#, Ok((Alphabet::Ascii, b"aA\x7f\0z")));
        check(r#""\u00e9é\u20AC\ufffF""#, Ok((Alphabet::Unicode, "éé€\u{ffff}".as_bytes())));
        check(r#""\ud83d\ude00""#, Ok((Alphabet::Unicode, "😀".as_bytes())));
        check(r#""é\u0041""#, Ok((Alphabet::Unicode, "éA".as_bytes())));
    }

    #[test]
    fn lone_surrogates_stay() {
        check(r#""\ud800""#, Ok((Alphabet::Surrogates, b"\xed\xa0\x80")));
        check(r#""\ud800x""#, Ok((Alphabet::Surrogates, b"\xed\xa0\x80x")));
        check(r#""\udfff\ud83d""#, Ok((Alphabet::Surrogates, b"\xed\xbf\xbf\xed\xa0\xbd")));
        check(
            r#""\ud800\ud83d\ude00""#,
            Ok((Alphabet::Surrogates, b"\xed\xa0\x80\xf0\x9f\x98\x80")),
        );
        check(r#""\ud800\u0041""#, Ok((Alphabet::Surrogates, b"\xed\xa0\x80A")));
    }

    #[test]
    fn errors_point_where_the_standard_library_points() {
        check(r#""a"#, Err((Reason::Unterminated, 0)));
        check(r#""a\"#, Err((Reason::Unterminated, 0)));
        check(r#""a\x""#, Err((Reason::Escape, 2)));
        check("\"a\n\"", Err((Reason::Control, 2)));
        check(r#""\u12""#, Err((Reason::UnicodeEscape, 2)));
        check(r#""\u123g""#, Err((Reason::UnicodeEscape, 2)));
        check(r#""\u+123""#, Err((Reason::UnicodeEscape, 2)));
        check(r#""\u123"#, Err((Reason::UnicodeEscape, 2)));
        check(r#""\u1234"#, Err((Reason::Unterminated, 0)));
        check(r#""\ud800\u12""#, Err((Reason::UnicodeEscape, 8)));
    }
}
