//! Percent-encoding, query strings and URL-encoded forms.
//!
//! Decoding never fails: an escape that is none stays as it is, as browsers and Python's
//! `urllib.parse` have it. What comes out need not be UTF-8.

/// `raw` with `%41` for `A` decoded; in `scratch` if there was anything to decode.
pub fn percent_decoded<'text>(raw: &'text [u8], scratch: &'text mut Vec<u8>) -> &'text [u8] {
    if memchr::memchr(b'%', raw).is_none() {
        return raw;
    }
    decode(raw, scratch, false);
    scratch
}

/// Like [`percent_decoded`], and `+` is a space, as in queries and forms.
pub fn form_decoded<'text>(raw: &'text [u8], scratch: &'text mut Vec<u8>) -> &'text [u8] {
    if memchr::memchr2(b'%', b'+', raw).is_none() {
        return raw;
    }
    decode(raw, scratch, true);
    scratch
}

fn decode(raw: &[u8], decoded: &mut Vec<u8>, plus_is_space: bool) {
    decoded.clear();
    decoded.reserve(raw.len());
    let mut rest = raw;
    while let [byte, after @ ..] = rest {
        rest = after;
        decoded.push(match byte {
            b'%' => match escape(rest) {
                Some(escaped) => {
                    rest = &rest[2..];
                    escaped
                }
                None => b'%',
            },
            b'+' if plus_is_space => b' ',
            _ => *byte,
        });
    }
}

/// The byte that the two digits in front stand for.
pub(crate) fn escape(digits: &[u8]) -> Option<u8> {
    let nibble = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    Some((nibble(0)? << 4 | nibble(1)?) as u8)
}

/// The pairs of a query string or a URL-encoded form, still encoded, in their order.
///
/// `&` separates pairs; empty ones are skipped; one without `=` has an empty value.
pub fn pairs(raw: &[u8]) -> Pairs<'_> {
    Pairs { rest: raw }
}

/// The iterator that [`pairs`] gives.
#[derive(Clone, Debug)]
pub struct Pairs<'raw> {
    rest: &'raw [u8],
}

impl<'raw> Iterator for Pairs<'raw> {
    type Item = (&'raw [u8], &'raw [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let (pair, rest) = cut(self.rest, b'&');
            self.rest = rest;
            if !pair.is_empty() {
                return Some(cut(pair, b'='));
            }
        }
    }
}

/// What is before and behind the first `separator`; nothing is behind if there is none.
fn cut(text: &[u8], separator: u8) -> (&[u8], &[u8]) {
    match memchr::memchr(separator, text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, as_path: &str, as_form: &str) {
        let mut scratch = b"left over".to_vec();
        assert_eq!(percent_decoded(raw.as_bytes(), &mut scratch), as_path.as_bytes(), "{raw:?}");
        assert_eq!(form_decoded(raw.as_bytes(), &mut scratch), as_form.as_bytes(), "{raw:?}");
    }

    #[test]
    fn decoding() {
        check("", "", "");
        check("plain", "plain", "plain");
        check("a+b", "a+b", "a b");
        check("a%2Bb+c", "a+b+c", "a+b c");
        check("%41%62%2f", "Ab/", "Ab/");
        check("%C3%A9", "\u{e9}", "\u{e9}");
        check("%", "%", "%");
        check("%4", "%4", "%4");
        check("%zz%41", "%zzA", "%zzA");
        check("%%41", "%A", "%A");
        check("%2541", "%41", "%41");
        check("%+1", "%+1", "% 1");
        check("%00", "\0", "\0");
    }

    #[test]
    fn bytes_that_are_no_text() {
        assert_eq!(percent_decoded(b"%ff\xfe", &mut Vec::new()), b"\xff\xfe");
    }

    fn check_pairs(raw: &str, expected: &[(&str, &str)]) {
        let found: Vec<_> = pairs(raw.as_bytes()).collect();
        let expected: Vec<_> =
            expected.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())).collect();
        assert_eq!(found, expected, "{raw:?}");
    }

    #[test]
    fn pairs_in_order() {
        check_pairs("", &[]);
        check_pairs("&&", &[]);
        check_pairs("a=1&b=2&a=3", &[("a", "1"), ("b", "2"), ("a", "3")]);
        check_pairs("a&=b&=&c=", &[("a", ""), ("", "b"), ("", ""), ("c", "")]);
        check_pairs("a=b=c", &[("a", "b=c")]);
        check_pairs("a;b=c", &[("a;b", "c")]);
        check_pairs("a+b=%26&", &[("a+b", "%26")]);
    }
}
