//! Host and port: the value of `Host`, and the authority of a target in absolute or authority form.
//! Hot path.

use std::net::Ipv6Addr;

/// Whether a host name cannot have a byte without further thought. It can have unreserved and
/// sub-delims of RFC 3986 section 2.
static SPECIAL: [bool; 256] = {
    let mut special = [true; 256];
    let mut index = 0;
    while index < 256 {
        let byte = index as u8;
        special[index] = !(byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b','
                    | b';'
                    | b'='
            ));
        index += 1;
    }
    special
};

/// Whether this is a host that is not empty, with or without a port.
///
/// User information is refused: RFC 9110 section 4.2.4 calls it an error in what others send.
#[inline]
pub fn is_valid(authority: &[u8]) -> bool {
    let host = match authority.iter().rposition(|byte| !byte.is_ascii_digit()) {
        Some(at) if authority[at] == b':' && is_port(&authority[at + 1..]) => &authority[..at],
        // The last colon may also be one inside of an IPv6 address.
        _ => authority,
    };
    // Without a branch for each byte.
    let is_special = host.iter().fold(false, |any, &byte| any | SPECIAL[usize::from(byte)]);
    !host.is_empty() && (!is_special || is_address_or_encoded(host))
}

/// Whether this is a host and a port, both not empty.
pub fn is_valid_with_port(authority: &[u8]) -> bool {
    authority.last().is_some_and(u8::is_ascii_digit)
        && is_valid(authority)
        && match authority.iter().rposition(|&byte| byte == b':') {
            Some(colon) => authority[colon + 1..].iter().all(u8::is_ascii_digit),
            None => false,
        }
}

/// The port may be empty, as in `localhost:` (RFC 3986 section 3.2.3).
#[inline]
fn is_port(digits: &[u8]) -> bool {
    match digits.len() {
        0..=4 => true,
        5 => digits <= b"65535",
        _ => false,
    }
}

/// IPv6 addresses in brackets, and names with percent-encoded bytes.
#[cold]
fn is_address_or_encoded(host: &[u8]) -> bool {
    if let [b'[', address @ .., b']'] = host {
        return str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let mut rest = host;
    loop {
        rest = match rest {
            [] => return true,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest
            }
            [byte, rest @ ..] if !SPECIAL[usize::from(*byte)] => rest,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (authority, valid, with_port) in [
            ("localhost", true, false),
            ("localhost:", true, false),
            ("localhost:8000", true, true),
            ("127.0.0.1", true, false),
            ("127.0.0.1:8000", true, true),
            ("1234", true, false),
            ("a_b.example:65535", true, true),
            ("a.example:65536", false, false),
            ("a.example:000080", false, false),
            ("a.example:-1", false, false),
            ("a.example:80:80", false, false),
            ("a.example:8o", false, false),
            ("", false, false),
            (":", false, false),
            (":80", false, false),
            ("[::1]", true, false),
            ("[::1]:80", true, true),
            ("[::1]:", true, false),
            ("[::ffff:1.2.3.4]:80", true, true),
            ("[fe80::1%25eth0]", false, false),
            ("[v1.x]", false, false),
            ("[::1", false, false),
            ("::1", false, false),
            ("::1:80", false, false),
            ("[]", false, false),
            ("[1]", false, false),
            ("[::1]x:80", false, false),
            ("%41.example", true, false),
            ("%4.example", false, false),
            ("%zz", false, false),
            ("%41:80", true, true),
            ("%41:x", false, false),
            ("a%41:80:80", false, false),
            ("user@a.example", false, false),
            ("user:pw@a.example:80", false, false),
            ("a b", false, false),
            ("a/b", false, false),
            ("a?b", false, false),
            ("a#b", false, false),
            ("a\\b", false, false),
            ("a\"b", false, false),
            ("\u{e9}", false, false),
        ] {
            assert_eq!(is_valid(authority.as_bytes()), valid, "{authority:?}");
            assert_eq!(is_valid_with_port(authority.as_bytes()), with_port, "{authority:?}");
        }
    }
}
