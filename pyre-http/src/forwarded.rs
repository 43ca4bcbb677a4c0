//! What a proxy in front says of the connection to the client.

use crate::header::HeaderSpan;

/// Whether a request says that its client has asked by https: by the first value of `X-Forwarded-Proto`, and
/// where there is none, by the first element of `Forwarded` (RFC 7239 section 5.4).
///
/// The first one is what the proxy next to the client has seen. Whoever lies here gets an answer for https
/// over a connection of his own that is none, and deceives nobody else.
#[inline]
pub fn is_https(fields: &[HeaderSpan], bytes: &[u8]) -> bool {
    const PROTO: &[u8] = b"x-forwarded-proto";
    const FORWARDED: &[u8] = b"forwarded";
    let mut forwarded = None;
    // Once through all fields, most of which are passed over by their lengths.
    for HeaderSpan { name, value } in fields {
        let name_bytes = (name.end - name.start) as usize;
        if name_bytes == PROTO.len() && name.of(bytes).eq_ignore_ascii_case(PROTO) {
            let first = value.of(bytes).split(|&byte| byte == b',').next().unwrap_or_default();
            let first = first.trim_ascii();
            // Some proxies have the scheme of WebSockets there.
            return first.eq_ignore_ascii_case(b"https") || first.eq_ignore_ascii_case(b"wss");
        }
        if name_bytes == FORWARDED.len()
            && forwarded.is_none()
            && name.of(bytes).eq_ignore_ascii_case(FORWARDED)
        {
            forwarded = Some(value);
        }
    }
    forwarded.is_some_and(|value| proto_of_first(value.of(bytes)) == Some(b"https"))
}

/// The parameter `proto` of the first element, where it is `https` in any case of its letters.
fn proto_of_first(value: &[u8]) -> Option<&'static [u8]> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    // RFC 9110 section 5.6.4: a separator inside of quotes is none.
    let end = value.iter().position(|&byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' => return !is_quoted,
            _ => {}
        }
        false
    });
    value[..end.unwrap_or(value.len())].split(|&byte| byte == b';').find_map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        let value =
            value.strip_prefix(b"\"").and_then(|it| it.strip_suffix(b"\"")).unwrap_or(value);
        let is_it = name.eq_ignore_ascii_case(b"proto") && value.eq_ignore_ascii_case(b"https");
        is_it.then_some(&b"https"[..])
    })
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
