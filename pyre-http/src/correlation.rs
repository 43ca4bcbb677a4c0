//! What ties a request to others: the id that a client or proxy gave it, and W3C trace context.

/// Longest id that is taken over from a client.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// Whether an id that came with a request may go into answers and logs: letters, digits and a few
/// signs that need no quoting anywhere.
pub fn is_request_id(value: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=@~".contains(byte);
    (1..=REQUEST_ID_BYTES_MAX).contains(&value.len()) && value.iter().all(is_plain)
}

/// Longest `traceparent`: later versions may be longer than that of version 00.
const TRACEPARENT_BYTES_MAX: usize = 512;

/// Whether this is a `traceparent` (W3C Trace Context, section 3.2): version, trace id, parent id
/// and flags in lower-case hexadecimal, neither id all zeros.
pub fn is_traceparent(value: &[u8]) -> bool {
    let is_hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_id = |part: &[u8]| is_hex(part) && part.iter().any(|&byte| byte != b'0');
    let Some((known, rest)) = value.split_at_checked(55) else { return false };
    let dashes = [known[2], known[35], known[52]] == *b"---";
    let (version, flags) = (&known[..2], &known[53..]);
    // Section 3.2.4: what a later version adds begins with a dash; 00 adds nothing.
    let is_ended = rest.is_empty() || (version != b"00" && rest[0] == b'-');
    dashes
        && is_hex(version)
        && version != b"ff"
        && is_id(&known[3..35])
        && is_id(&known[36..52])
        && is_hex(flags)
        && is_ended
        && value.len() <= TRACEPARENT_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        for (id, expected) in [
            (&b"a"[..], true),
            (b"7f3c-1.2:3+4/5=@~_Z", true),
            (&[b'x'; REQUEST_ID_BYTES_MAX], true),
            (&[b'x'; REQUEST_ID_BYTES_MAX + 1], false),
            (b"", false),
            (b"a b", false),
            (b"a\"b", false),
            (b"a,b", false),
            (b"\xe9", false),
        ] {
            assert_eq!(is_request_id(id), expected, "{}", id.escape_ascii());
        }
    }

    #[test]
    fn trace_contexts() {
        const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (text, expected) in [
            (GOOD.to_owned(), true),
            (GOOD.replace("00-", "cc-"), true),
            (GOOD.replace("00-", "cc-") + "-what-the-future-brings", true),
            (GOOD.replace("00-", "cc-") + "x", false),
            (GOOD.to_owned() + "-more", false),
            (GOOD.replace("00-", "ff-"), false),
            (GOOD.to_uppercase(), false),
            (GOOD.replace("b7ad6b7169203331", "0000000000000000"), false),
            (GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)), false),
            (GOOD.replace('-', "_"), false),
            (GOOD[..54].to_owned(), false),
            (String::new(), false),
            (GOOD.replace("00-", "cc-") + "-" + &"x".repeat(1000), false),
        ] {
            assert_eq!(is_traceparent(text.as_bytes()), expected, "{text}");
        }
    }
}
