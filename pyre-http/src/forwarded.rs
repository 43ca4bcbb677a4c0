//! What a proxy in front says of the connection to the client.

use std::borrow::Cow;

use crate::header::HeaderSpan;

const PROTO: &[u8] = b"x-forwarded-proto";
const FORWARDED: &[u8] = b"forwarded";

/// Whether a request says that its client has asked by https: see [`scheme`].
///
/// Whoever lies here gets an answer for https over a connection of his own that is none, and deceives nobody
/// else.
#[inline]
pub fn is_https(fields: &[HeaderSpan], bytes: &[u8]) -> bool {
    scheme(fields, bytes).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https"))
}

/// By which scheme the client of a request has asked: by the first value of `X-Forwarded-Proto`, and where there
/// is none, by the first element of `Forwarded` (RFC 7239 section 5.4). Its letters are as they were sent.
///
/// The first one is what the proxy next to the client has seen.
#[inline]
pub fn scheme<'a>(fields: &[HeaderSpan], bytes: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let mut forwarded = None;
    // Once through all fields, most of which are passed over by their lengths.
    for HeaderSpan { name, value } in fields {
        let name_bytes = (name.end - name.start) as usize;
        if name_bytes == PROTO.len() && name.of(bytes).eq_ignore_ascii_case(PROTO) {
            let first = value.of(bytes).split(|&byte| byte == b',').next().unwrap_or_default();
            return Some(Cow::Borrowed(of_page(first.trim_ascii())));
        }
        if name_bytes == FORWARDED.len()
            && forwarded.is_none()
            && name.of(bytes).eq_ignore_ascii_case(FORWARDED)
        {
            forwarded = Some(value);
        }
    }
    forwarded.and_then(|value| proto_of_first(value.of(bytes)))
}

/// What [`scheme`] has looked at, as a value of `Vary` (RFC 9110 section 12.5.5).
pub fn looked_at(fields: &[HeaderSpan], bytes: &[u8]) -> &'static [u8] {
    if fields.iter().any(|field| field.name.of(bytes).eq_ignore_ascii_case(PROTO)) {
        b"X-Forwarded-Proto"
    } else {
        b"X-Forwarded-Proto, Forwarded"
    }
}

/// Some proxies have the scheme of WebSockets there.
fn of_page(scheme: &[u8]) -> &[u8] {
    if scheme.eq_ignore_ascii_case(b"wss") {
        b"https"
    } else if scheme.eq_ignore_ascii_case(b"ws") {
        b"http"
    } else {
        scheme
    }
}

/// The parameter `proto` of the first element.
fn proto_of_first(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let element = parted(value, b',').next()?;
    parted(element, b';').find_map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        name.eq_ignore_ascii_case(b"proto").then(|| plain(value))
    })
}

/// The parts between separators. One inside of quotes is none (RFC 9110 section 5.6.4).
fn parted(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    value.split(move |&byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ => return byte == separator && !is_quoted,
        }
        false
    })
}

/// The text of a token or of a quoted string, which may have a backslash in front of any byte.
fn plain(value: &[u8]) -> Cow<'_, [u8]> {
    let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let Some(inner) = inner else { return Cow::Borrowed(value) };
    if !inner.contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    let mut is_escaped = false;
    let kept = inner.iter().copied().filter(|&byte| {
        is_escaped = byte == b'\\' && !is_escaped;
        !is_escaped
    });
    Cow::Owned(kept.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Span;

    #[test]
    fn who_has_come_by_https() {
        for (lines, expected) in [
            (&[][..], false),
            (&["X-Forwarded-Proto: https"], true),
            (&["x-forwarded-proto: HTTPS"], true),
            (&["X-Forwarded-Proto: http"], false),
            (&["X-Forwarded-Proto: "], false),
            (&["X-Forwarded-Proto: httpss"], false),
            (&["X-Forwarded-Proto: https, http"], true),
            (&["X-Forwarded-Proto: http, https"], false),
            (&["X-Forwarded-Proto: http", "X-Forwarded-Proto: https"], false),
            (&["X-Forwarded-Proto: http", "Forwarded: proto=https"], false),
            (&["Forwarded: proto=https"], true),
            (&["Forwarded: for=192.0.2.1; Proto=\"HTTPS\";by=a"], true),
            (&["Forwarded: for=\"a,b;proto=https\";proto=https, proto=http"], true),
            (&["Forwarded: for=\"a\\\",proto=https\", proto=https"], false),
            (&["Forwarded: proto=http, proto=https"], false),
            (&["Forwarded: by=\"a;proto=https\""], false),
            (&["Forwarded: by=\"a\\\";proto=https;\"; proto=http"], false),
            (&["Forwarded: by=\";\";proto=https"], true),
            (&["Forwarded: proto=\"ht\\tps\""], true),
            (&["Forwarded: proto=\"https"], false),
            (&["Forwarded: proto=http;proto=https"], false),
            (&["Forwarded: =;;proto=https"], true),
            (&["Forwarded: for=192.0.2.1"], false),
            (&["Forwarded: proto"], false),
        ] {
            let mut bytes = Vec::new();
            let mut fields = Vec::new();
            for line in lines {
                let (name, value) = line.split_once(": ").unwrap();
                let mut add = |text: &str| {
                    let start = bytes.len();
                    bytes.extend_from_slice(text.as_bytes());
                    Span::new(start, bytes.len())
                };
                fields.push(HeaderSpan { name: add(name), value: add(value) });
            }
            assert_eq!(is_https(&fields, &bytes), expected, "{lines:?}");
        }
    }
}
