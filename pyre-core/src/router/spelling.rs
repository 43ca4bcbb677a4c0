//! The one spelling of a path in which patterns and requests are compared.
//! Hot path.
//!
//! RFC 3986 section 6.2.2.2: `/caf%C3%A9` and `/%63af%c3%a9` name the same resource. Static text of
//! a pattern is kept decoded, and the path of a request is decoded byte by byte while it is
//! compared, so that nothing is copied and parameters stay spans of what was sent. An encoded slash
//! is data, not a separator: it becomes a byte that no pattern contains.

/// Stands for `%2F`. No UTF-8 text has this byte, so no static text of a pattern does.
pub(super) const ENCODED_SLASH: u8 = 0xff;

/// Whether `path` has to be decoded at all.
#[inline]
pub(super) fn is_encoded(path: &[u8]) -> bool {
    // Most paths are so short that the call of a vectorised search costs more than the search.
    if path.len() > 32 {
        return memchr::memchr(b'%', path).is_some();
    }
    let (words, rest) = path.as_chunks();
    words.iter().any(|word| has_percent(u64::from_le_bytes(*word))) || rest.contains(&b'%')
}

/// Whether a byte of the word is a `%`: less 1, only that one has its high bit set anew.
#[inline]
fn has_percent(word: u64) -> bool {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let differences = word ^ (EACH * b'%' as u64);
    differences.wrapping_sub(EACH) & !differences & (EACH * 0x80) != 0
}

/// The decoded bytes of a path or of a piece of one. A `%` without two hex digits stands for itself.
#[derive(Clone)]
pub(super) struct Decoded<'a> {
    rest: &'a [u8],
}

impl<'a> Decoded<'a> {
    pub(super) fn of(raw: &'a [u8]) -> Self {
        Decoded { rest: raw }
    }

    /// The bytes not decoded yet, as they were sent.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        if first == b'%'
            && let [high, low, rest @ ..] = rest
            && let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low))
        {
            self.rest = rest;
            return Some(match high << 4 | low {
                b'/' => ENCODED_SLASH,
                byte => byte,
            });
        }
        self.rest = rest;
        Some(first)
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, expected: &[u8]) {
        assert_eq!(Decoded::of(raw.as_bytes()).collect::<Vec<_>>(), expected, "{raw}");
    }

    #[test]
    fn decodes_what_is_encoded_and_nothing_twice() {
        check("/plain", b"/plain");
        check("/%63af%c3%A9", "/café".as_bytes());
        check("/a%20b", b"/a b");
        check("/%2520", b"/%20");
        check("/a%2Fb%2f", b"/a\xffb\xff");
        check("/%", b"/%");
        check("/%4", b"/%4");
        check("/%zz%+1", b"/%zz%+1");
        check("/%%41", b"/%A");
    }
}
