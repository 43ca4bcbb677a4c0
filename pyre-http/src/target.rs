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

/// The offset of the first byte that does not go on a path.
#[inline(always)]
fn path_end(text: &[u8]) -> Option<usize> {
    let stops = |word| target_stops(word) | stops_at(b'?', word);
    run_end(text, stops, |byte| PATH[usize::from(byte)])
}

/// The offset of the first byte that does not `go_on`. Eight at a time are looked at as a word: if
/// `stops` flags none of them in its high bit, all go on. It may flag some that do.
#[inline(always)]
fn run_end(text: &[u8], stops: impl Fn(u64) -> u64, goes_on: impl Fn(u8) -> bool) -> Option<usize> {
    let mut rest = text;
    while let Some((word, behind)) = rest.split_first_chunk()
        && stops(u64::from_le_bytes(*word)) & each(0x80) == 0
    {
        rest = behind;
    }
    let at = rest.iter().position(|&byte| !goes_on(byte))?;
    Some(text.len() - rest.len() + at)
}

/// Flags all but what is visible in ASCII, and `#`.
#[inline(always)]
fn target_stops(word: u64) -> u64 {
    word.wrapping_sub(each(b'!')) | word.wrapping_add(each(1)) | word | stops_at(b'#', word)
}

/// Flags this byte.
#[inline(always)]
fn stops_at(byte: u8, word: u64) -> u64 {
    (word ^ each(byte)).wrapping_sub(each(1))
}

/// A word with this byte in each place.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Reads the target at the front of `text`, which is at `start` in its buffer, up to the space behind
/// it (RFC 9112 section 3). None if there is no space yet.
///
/// # Errors
///
/// If it has a byte that no target has, its form does not go with the method, or its authority is
/// none.
#[inline(always)]
pub fn read(
    text: &[u8],
    start: usize,
    method: Method,
) -> Result<Option<(Span, TargetParts)>, RequestError> {
    if text.first() != Some(&b'/') || method == Method::Connect {
        return read_unusual(text, start, method);
    }
    let Some(path_bytes) = path_end(text) else {
        return Ok(None);
    };
    let mut target = Span::new(start, start + path_bytes);
    let mut parts = TargetParts { path: target, query: Span::EMPTY, authority: Span::EMPTY };
    match text[path_bytes] {
        b' ' => {}
        b'?' => {
            let Some(query) = run(&text[path_bytes + 1..], start + path_bytes + 1)? else {
                return Ok(None);
            };
            parts.query = query;
            target.end = query.end;
        }
        _ => return Err(RequestError::TargetInvalid),
    }
    Ok(Some((target, parts)))
}

/// What is at the front of `text`, up to a space, `text` being at `start` in its buffer; as [`read`].
#[inline(never)]
fn run(text: &[u8], start: usize) -> Result<Option<Span>, RequestError> {
    match run_end(text, target_stops, is_target_byte) {
        None => Ok(None),
        Some(length) if text[length] == b' ' => Ok(Some(Span::new(start, start + length))),
        Some(_) => Err(RequestError::TargetInvalid),
    }
}

#[cold]
fn read_unusual(
    text: &[u8],
    start: usize,
    method: Method,
) -> Result<Option<(Span, TargetParts)>, RequestError> {
    let Some(target) = run(text, start)? else {
        return Ok(None);
    };
    if target.is_empty() {
        return Err(RequestError::TargetInvalid);
    }
    Ok(Some((target, split(&text[..target.len()], target, method)?)))
}

/// The parts of a target that is no path; each byte of it is one that targets may have.
fn split(text: &[u8], target: Span, method: Method) -> Result<TargetParts, RequestError> {
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
    let path_bytes = rest.iter().position(|&byte| byte == b'?').unwrap_or(rest.len());
    let mark = authority.end + path_bytes as u32;
    let path = if path_bytes > 0 {
        Span { start: authority.end, end: mark }
    } else {
        // RFC 9110 section 4.2.3: an empty path means "/". The scheme's own slash lends its span.
        Span { start: authority.start - 1, end: authority.start }
    };
    let query = if path_bytes < rest.len() {
        Span { start: mark + 1, end: target.end }
    } else {
        Span::EMPTY
    };
    Ok(TargetParts { path, query, authority })
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
        let bytes = [b"..", text.as_bytes(), b" HTTP/1.1"].concat();
        let found = read(&bytes[2..], 2, method).map(|found| found.expect("there is a space"));
        let part = |span: Span| str::from_utf8(span.of(&bytes)).unwrap();
        let found = found.map(|(target, parts)| {
            assert_eq!(part(target), text);
            (part(parts.path), part(parts.query), part(parts.authority))
        });
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
        check(Get, "", Err(RequestError::TargetInvalid));
    }

    #[test]
    fn the_space_behind_it_may_be_missing() {
        for text in ["", "/", "/a?", "/a?b", "http://h/a", "*"] {
            assert_eq!(read(text.as_bytes(), 0, Method::Options), Ok(None), "{text:?}");
        }
    }

    #[test]
    fn words_stop_where_bytes_do() {
        // Every pair of neighbours, as one byte may disturb what is seen of the next, at many places
        // and with many numbers of bytes behind.
        for pair in 0..=u16::MAX {
            let at = usize::from(pair) % 19;
            let mut text = *b"/a/b.html;c=~%41/|{}\"<>^`:@!$&()";
            text[at..at + 2].copy_from_slice(&pair.to_le_bytes());
            for length in [at + usize::from(pair >> 8) % 13, text.len()] {
                let text = &text[..length];
                let stop = text.iter().position(|&byte| !is_target_byte(byte) || byte == b'?');
                assert_eq!(path_end(text), stop, "{:?}", text.escape_ascii());
                let is_right = text.iter().all(|&byte| is_target_byte(byte));
                assert_eq!(
                    run_end(text, target_stops, is_target_byte).is_none(),
                    is_right,
                    "{:?}",
                    text.escape_ascii()
                );
            }
        }
    }
}
