//! The `Cookie` header (RFC 6265 section 5.4), read as leniently as browsers write it.

use std::borrow::Cow;

/// The cookies in the value of a `Cookie` header, in their order; double quotes around a value are
/// taken off, and pieces without `=` are skipped.
pub fn pairs(header_value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    header_value.split(|&byte| byte == b';').filter_map(|piece| {
        let equals = memchr::memchr(b'=', piece)?;
        let name = piece[..equals].trim_ascii();
        let value = piece[equals + 1..].trim_ascii();
        let value = match value {
            [b'"', quoted @ .., b'"'] => quoted,
            _ => value,
        };
        (!name.is_empty()).then_some((name, value))
    })
}

/// The text of a name or value: UTF-8, which is what we send ourselves and browsers send for scripts;
/// what is not UTF-8 is read as Latin-1, as other header fields are. So nothing is lost.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{pairs, text};

    #[test]
    fn texts() {
        for (bytes, expected) in [
            (&b"J\xc3\xbcrgen"[..], "J\u{fc}rgen"),
            (b"J\xfcrgen", "J\u{fc}rgen"),
            (b"\xc3\xbc \xfc", "\u{c3}\u{bc} \u{fc}"),
            (b"\xe2\x82\xac", "\u{20ac}"),
            (b"\x80\xff", "\u{80}\u{ff}"),
            (b"plain", "plain"),
            (b"", ""),
        ] {
            assert_eq!(text(bytes), expected);
        }
    }

    fn check(header_value: &str, expected: &[(&str, &str)]) {
        let found: Vec<_> = pairs(header_value.as_bytes()).collect();
        let expected: Vec<_> =
            expected.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        assert_eq!(found, expected, "{header_value:?}");
    }

    #[test]
    fn cookies_in_order() {
        check("", &[]);
        check("a=1", &[("a", "1")]);
        check("a=1; b=2;c=3 ; a=4", &[("a", "1"), ("b", "2"), ("c", "3"), ("a", "4")]);
        check("a=b=c==", &[("a", "b=c==")]);
        check("a=; b", &[("a", "")]);
        check("=x; ;; a=1;", &[("a", "1")]);
        check("a=\"q r\"; b=\"; c=\"\"", &[("a", "q r"), ("b", "\""), ("c", "")]);
        check("a=caf\u{e9}", &[("a", "caf\u{e9}")]);
    }
}
