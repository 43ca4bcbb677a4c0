//! From the path of a request to one below a folder. What cannot be such a path is refused and never
//! repaired, so that no two readers of it disagree.

use crate::form::escape;

/// A name below a folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Relative<'text> {
    /// Segments with one slash between them: none is empty, hidden, `.` or `..`. Empty for the folder.
    pub path: &'text [u8],
    /// The request names a folder: it ends with a slash, or is empty.
    pub is_folder: bool,
}

/// The one hidden name that is there to be asked for (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// What `raw` names, which is the path of a request behind its prefix and the slash there; decoded in
/// `scratch` if there is anything to decode. Nothing, if it could be read in more than one way, or
/// names what nobody is to see:
///
/// - escapes that are none, and what still has some once it is decoded,
/// - an encoded slash, a backslash, control characters,
/// - bytes that are not UTF-8, overlong forms among them,
/// - empty segments, and those that begin with a dot; but for `.well-known` as the first one.
#[inline]
pub fn relative<'text>(raw: &'text [u8], scratch: &'text mut Vec<u8>) -> Option<Relative<'text>> {
    let decoded = match memchr::memchr(b'%', raw) {
        None => raw,
        Some(_) => decoded(raw, scratch)?,
    };
    let is_odd = |&byte: &u8| byte < b' ' || byte == 0x7f || byte == b'\\';
    if decoded.iter().any(is_odd) {
        return None;
    }
    let (path, is_folder) = match decoded {
        [] => (decoded, true),
        [path @ .., b'/'] => (path, true),
        path => (path, false),
    };
    let mut segments = path.split(|&byte| byte == b'/').enumerate();
    let may_be = |(index, segment): (usize, &[u8])| match segment {
        [] | [b'.', ..] => index == 0 && segment == WELL_KNOWN,
        _ => true,
    };
    let is_plain = decoded.is_empty() || segments.all(may_be);
    is_plain.then_some(Relative { path, is_folder })
}

/// What a path has behind a prefix, which has nothing to decode; the path may have it encoded. A slash may
/// not be: encoded, it is none.
#[inline]
#[must_use]
pub fn behind_prefix<'text>(path: &'text [u8], prefix: &[u8]) -> Option<&'text [u8]> {
    path.strip_prefix(prefix).or_else(|| behind_encoded_prefix(path, prefix))
}

#[cold]
fn behind_encoded_prefix<'text>(mut path: &'text [u8], prefix: &[u8]) -> Option<&'text [u8]> {
    for &expected in prefix {
        path = match path {
            [b'%', digits @ ..] if expected != b'/' => {
                escape(digits).filter(|&byte| byte == expected)?;
                &digits[2..]
            }
            [byte, rest @ ..] if *byte == expected => rest,
            _ => return None,
        };
    }
    Some(path)
}

#[cold]
fn decoded<'text>(raw: &[u8], scratch: &'text mut Vec<u8>) -> Option<&'text [u8]> {
    scratch.clear();
    let mut rest = raw;
    while let [byte, after @ ..] = rest {
        rest = after;
        let byte = match byte {
            b'%' => {
                let escaped = escape(rest)?;
                rest = &rest[2..];
                // A slash that is no separator has no place in a name.
                Some(escaped).filter(|&escaped| escaped != b'/')?
            }
            _ => *byte,
        };
        scratch.push(byte);
    }
    let still_encoded = |at| escape(&scratch[at + 1..]).is_some();
    if memchr::memchr_iter(b'%', scratch).any(still_encoded) {
        return None;
    }
    str::from_utf8(scratch).ok().map(str::as_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(raw: &str, expected: Option<(&str, bool)>) {
        let mut scratch = Vec::new();
        let found = relative(raw.as_bytes(), &mut scratch);
        let found = found.map(|found| (str::from_utf8(found.path).unwrap(), found.is_folder));
        assert_eq!(found, expected, "{raw:?}");
    }

    #[test]
    fn names() {
        for (raw, path, is_folder) in [
            ("", "", true),
            ("a", "a", false),
            ("a/", "a", true),
            ("a/b.txt", "a/b.txt", false),
            ("a%20b", "a b", false),
            ("%C3%A9t%c3%a9.txt", "été.txt", false),
            ("100%25", "100%", false),
            ("100%25/x", "100%/x", false),
            ("a..b", "a..b", false),
            ("a.", "a.", false),
            (".well-known/acme-challenge/x", ".well-known/acme-challenge/x", false),
            ("a:b@c~$&'()*+,;=", "a:b@c~$&'()*+,;=", false),
        ] {
            check(raw, Some((path, is_folder)));
        }
    }

    #[test]
    fn what_is_none() {
        for raw in [
            "/",
            "//a",
            "/a",
            "a//b",
            "a//",
            ".",
            "..",
            "./a",
            "../a",
            "a/..",
            "a/../b",
            "a/./b",
            "...",
            ".git/config",
            "a/.env",
            "a/.well-known",
            ".well-known2",
            "%2e%2e/a",
            "%2E./a",
            ".%2e/a",
            "a%2fb",
            "..%2fa",
            "..%5ca",
            "a\\b",
            "..\\a",
            "a%00",
            "a%00.txt",
            "a%0a",
            "a%7f",
            "a%",
            "a%2",
            "a%zz",
            "a%u002e",
            "%252e%252e/a",
            "%25%32%65",
            "%c0%ae%c0%ae/a",
            "%c0%af",
            "%e0%80%ae",
            "%f0%80%80%ae",
            "%ff",
            "%ed%a0%80",
        ] {
            check(raw, None);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_found_lies_below(raw in r"[a./%0-9ef2c\\]{0,24}") {
            let mut scratch = Vec::new();
            if let Some(found) = relative(raw.as_bytes(), &mut scratch) {
                for segment in found.path.split(|&byte| byte == b'/') {
                    prop_assert!(found.path.is_empty() || !segment.is_empty());
                    prop_assert!(!segment.starts_with(b"."));
                    prop_assert!(!segment.contains(&b'\\') && !segment.contains(&0));
                }
            }
        }

        #[test]
        fn names_come_back_however_they_are_encoded(name in "[a-zé ]{1,12}", all in any::<bool>()) {
            let encode = |byte: u8| match byte {
                b'a'..=b'z' if !all => char::from(byte).to_string(),
                _ => format!("%{byte:02x}"),
            };
            let raw: String = name.bytes().map(encode).collect();
            let mut scratch = Vec::new();
            let found = relative(raw.as_bytes(), &mut scratch).map(|found| found.path.to_vec());
            prop_assert_eq!(found, Some(name.into_bytes()));
        }
    }
}
