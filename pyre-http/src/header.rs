//! Header fields as spans into the read buffer, and the rules for names and values we send.

use crate::span::Span;

/// One field of a request: the name as it was sent, the value without white space around it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct HeaderSpan {
    /// The name; compare it without regard to case.
    pub name: Span,
    /// The value; it may be empty and may have bytes from 0x80 on.
    pub value: Span,
}

/// Where the fields of one request are in a table of fields: `first..end`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct HeaderRange {
    /// Index of the first field.
    pub first: u32,
    /// Index behind the last field.
    pub end: u32,
}

const TOKEN: u8 = 1;
const VALUE: u8 = 2;

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut index = 0;
    while index < 256 {
        let byte = index as u8;
        // RFC 9110 section 5.6.2.
        let is_token = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        // RFC 9110 section 5.5: VCHAR, obs-text, SP and HTAB.
        let is_value = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        classes[index] = if is_token { TOKEN } else { 0 } | if is_value { VALUE } else { 0 };
        index += 1;
    }
    classes
};

/// Whether a token (a method, a header name) may have this byte.
#[inline]
pub fn is_token_byte(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & TOKEN != 0
}

/// Whether a header value may have this byte.
#[inline]
pub fn is_value_byte(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & VALUE != 0
}

/// Whether this can be the name of a header.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&byte| is_token_byte(byte))
}

/// Whether this can be the value of a header: nothing in it ends the line or hides what follows.
pub fn is_value(value: &[u8]) -> bool {
    value.iter().all(|&byte| is_value_byte(byte))
}

/// Whether a header of answers may stand only once, as its value is no list (RFC 9110 section 5.3).
/// A recipient of two takes the first, or the last, or none.
pub fn is_single(name: &[u8]) -> bool {
    const SINGLE: [&[u8]; 21] = [
        b"access-control-allow-credentials",
        b"access-control-allow-origin",
        b"access-control-max-age",
        b"age",
        b"content-disposition",
        b"content-location",
        b"content-range",
        b"content-type",
        b"cross-origin-embedder-policy",
        b"cross-origin-opener-policy",
        b"cross-origin-resource-policy",
        b"etag",
        b"expires",
        b"last-modified",
        b"location",
        b"refresh",
        b"retry-after",
        b"strict-transport-security",
        b"x-content-type-options",
        b"x-frame-options",
        b"x-request-id",
    ];
    SINGLE.iter().any(|single| name.eq_ignore_ascii_case(single))
}

/// Whether a header belongs to the connection or says where the body ends.
///
/// Such headers are written by the serializer alone; a handler that sets one would lie to the peer
/// about what follows.
pub fn is_framing(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 9] = [
        b"connection",
        b"content-length",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    ];
    NAMES.iter().any(|framing| name.eq_ignore_ascii_case(framing))
}

/// The value of the first field of this name, which is given in lower case.
pub fn find(fields: &[HeaderSpan], bytes: &[u8], lower_name: &[u8]) -> Option<Span> {
    fields
        .iter()
        .find(|field| field.name.of(bytes).eq_ignore_ascii_case(lower_name))
        .map(|field| field.value)
}

/// The value of a field that stands once: none if there is no such field, or several.
pub fn find_only(fields: &[HeaderSpan], bytes: &[u8], lower_name: &[u8]) -> Option<Span> {
    let is_wanted = |field: &&HeaderSpan| field.name.of(bytes).eq_ignore_ascii_case(lower_name);
    let mut found = fields.iter().filter(is_wanted);
    let only = found.next()?;
    found.next().is_none().then_some(only.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [
            (&b"Host"[..], true),
            (b"x_underscore", true),
            (b"!#$%&'*+-.^_`|~09azAZ", true),
            (b"", false),
            (b"a b", false),
            (b"a:", false),
            (b"a\n", false),
            (b"\xe9", false),
            (b"a\0", false),
            (b"(a)", false),
        ] {
            assert_eq!(is_name(name), expected, "{name:?}");
        }
    }

    #[test]
    fn values() {
        for (value, expected) in [
            (&b""[..], true),
            (b"a b\tc", true),
            (b"caf\xe9", true),
            (b"a\r\nb: c", false),
            (b"a\n", false),
            (b"a\r", false),
            (b"\0", false),
            (b"\x7f", false),
            (b"\x0b", false),
        ] {
            assert_eq!(is_value(value), expected, "{value:?}");
        }
    }

    #[test]
    fn framing_names_in_any_case() {
        assert!(is_framing(b"Transfer-Encoding"));
        assert!(is_framing(b"CONTENT-LENGTH"));
        assert!(!is_framing(b"Content-Type"));
    }
}
