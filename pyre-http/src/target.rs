//! Request targets (RFC 9112 section 3.2): which of the four forms, and where path, query and
//! authority are. Hot path.

use crate::authority;
use crate::error::RequestError;
use crate::method::Method;
use crate::span::Span;

/// The parts of a request target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TargetParts {
    /// The path, see [`Request::path`](crate::message::Request::path).
    pub path: Span,
    /// The query without its question mark.
    pub query: Span,
    /// Host and port of the absolute and authority forms, else empty.
    pub authority: Span,
}

/// Whether a target may have this byte: what is visible in ASCII, but no fragment, which a client
/// never sends (RFC 9112 section 3.2 with RFC 3986 section 4.3).
///
/// RFC 3986 would forbid ten more, such as `|` and `"`; browsers send them in queries, and no two
/// parsers disagree about where they end.
#[inline]
pub const fn is_target_byte(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && byte != b'#'
}

/// Bytes that a path goes on with, and nothing else.
static PATH: [bool; 256] = {
    let mut path = [false; 256];
    let mut index = 0;
    while index < 256 {
        path[index] = is_target_byte(index as u8) && index as u8 != b'?';
        index += 1;
    }
    path
};

/// Finds the parts of `text`, the target at `target` in its buffer.
///
/// # Errors
///
/// If it has a byte that no target has, its form does not go with the method, or its authority is
/// none.
#[inline(always)]
pub fn split(text: &[u8], target: Span, method: Method) -> Result<TargetParts, RequestError> {
    if text.first() == Some(&b'/') && method != Method::Connect {
        return split_path(text, target);
    }
    split_unusual(text, target, method)
}

/// `path[?query]`.
#[inline(always)]
fn split_path(text: &[u8], target: Span) -> Result<TargetParts, RequestError> {
    let whole = TargetParts { path: target, query: Span::EMPTY, authority: Span::EMPTY };
    let Some(at) = text.iter().position(|&byte| !PATH[usize::from(byte)]) else {
        return Ok(whole);
    };
    let query = &text[at + 1..];
    if text[at] != b'?' || !query.iter().copied().all(is_target_byte) {
        return Err(RequestError::TargetInvalid);
    }
    let mark = target.start + at as u32;
    Ok(TargetParts {
        path: Span { start: target.start, end: mark },
        query: Span { start: mark + 1, end: target.end },
        ..whole
    })
}

#[cold]
fn split_unusual(text: &[u8], target: Span, method: Method) -> Result<TargetParts, RequestError> {
    // RFC 9112 section 3.2.3: CONNECT has the authority form and nothing else has.
    if method == Method::Connect {
        if !authority::is_valid_with_port(text) {
            return Err(RequestError::TargetFormInvalid);
        }
        return Ok(TargetParts { path: Span::EMPTY, query: Span::EMPTY, authority: target });
    }
    // RFC 9112 section 3.2.4: the asterisk form is for OPTIONS.
    if text == b"*" && method == Method::Options {
        return Ok(TargetParts { path: target, query: Span::EMPTY, authority: Span::EMPTY });
    }
    let Some(scheme_bytes) = scheme_bytes(text) else {
        return Err(RequestError::TargetFormInvalid);
    };
    let behind_scheme = &text[scheme_bytes..];
    let authority_bytes = behind_scheme.iter().position(|byte| matches!(byte, b'/' | b'?'));
    let (host, rest) = behind_scheme.split_at(authority_bytes.unwrap_or(behind_scheme.len()));
    if !authority::is_valid(host) {
        return Err(RequestError::HostInvalid);
    }
    let start = target.start + scheme_bytes as u32;
    let authority = Span { start, end: start + host.len() as u32 };
    let mut parts = split_path(rest, Span { start: authority.end, end: target.end })?;
    if parts.path.is_empty() {
        // RFC 9110 section 4.2.3: an empty path means "/". The scheme's own slash lends its span.
        parts.path = Span { start: authority.start - 1, end: authority.start };
    }
    parts.authority = authority;
    Ok(parts)
}

/// How long `http://` or `https://` is at the front of this.
fn scheme_bytes(target: &[u8]) -> Option<usize> {
    [&b"http://"[..], b"https://"].into_iter().map(<[u8]>::len).find(|&length| {
        target.get(..length).is_some_and(|scheme| {
            scheme.eq_ignore_ascii_case(if length == 7 { b"http://" } else { b"https://" })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, text: &str, expected: Result<(&str, &str, &str), RequestError>) {
        // Two bytes in front, so that a span that forgets where the target begins shows.
        let bytes = [b"..", text.as_bytes()].concat();
        let found = split(text.as_bytes(), Span::new(2, bytes.len()), method);
        let part = |span: Span| str::from_utf8(span.of(&bytes)).unwrap();
        let found = found.map(|parts| (part(parts.path), part(parts.query), part(parts.authority)));
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn forms() {
        use Method::{Connect, Get, Options};
        let form = Err(RequestError::TargetFormInvalid);
        let host = Err(RequestError::HostInvalid);
        check(Get, "/", Ok(("/", "", "")));
        check(Get, "/a/b?c=d?e", Ok(("/a/b", "c=d?e", "")));
        check(Get, "/?", Ok(("/", "", "")));
        check(Get, "//a//", Ok(("//a//", "", "")));
        check(Get, "/a:b@c", Ok(("/a:b@c", "", "")));
        check(Get, "http://h/a?b", Ok(("/a", "b", "h")));
        check(Get, "HTTPS://h:1/a", Ok(("/a", "", "h:1")));
        check(Get, "http://h", Ok(("/", "", "h")));
        check(Get, "http://h?b", Ok(("/", "b", "h")));
        check(Get, "http://[::1]:80/", Ok(("/", "", "[::1]:80")));
        check(Get, "http://", host);
        check(Get, "http:///a", host);
        check(Get, "http://u@h/a", host);
        check(Get, "http://h:x/a", host);
        check(Get, "http:/h/a", form);
        check(Get, "/a#b", Err(RequestError::TargetInvalid));
        check(Get, "/a?b#c", Err(RequestError::TargetInvalid));
        check(Get, "http://h/a#b", Err(RequestError::TargetInvalid));
        check(Get, "ftp://h/a", form);
        check(Get, "a", form);
        check(Get, "?a", form);
        check(Get, "*", form);
        check(Get, "h:80", form);
        check(Options, "*", Ok(("*", "", "")));
        check(Options, "*?a", form);
        check(Options, "/a", Ok(("/a", "", "")));
        check(Connect, "h:80", Ok(("", "", "h:80")));
        check(Connect, "[::1]:80", Ok(("", "", "[::1]:80")));
        check(Connect, "h", form);
        check(Connect, "h:", form);
        check(Connect, "/", form);
        check(Connect, "http://h:80", form);
    }
}
