//! Whether an answer may be compressed, and what its head says then.

use std::borrow::Cow;

use super::Compression;
use crate::files::coding::Coding;
use crate::h1::serialize::BodyKind;
use crate::header::HeaderSpan;
use crate::status::has_body;

/// What is known of an answer, and of the client that it is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// It could be encoded, for some client: its head says that it depends on `Accept-Encoding`.
    pub varies: bool,
    /// It is encoded so for this one.
    pub coding: Option<Coding>,
    /// The client takes nothing else.
    pub must: bool,
    /// What the client has is encoded, as its tag says.
    pub has_encoded: bool,
}

impl Plan {
    /// Looks at an answer with these fields, whose body has so many bytes if that is known, for a client that
    /// has sent those.
    pub fn of<'a>(
        terms: &Compression,
        status: u16,
        kind: Option<BodyKind>,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        bytes: Option<usize>,
        asked: (&[HeaderSpan], &[u8]),
    ) -> Self {
        if status == 304 {
            // RFC 9110 section 15.4.5: it says what the 200 would have said of caches.
            return Self { varies: true, has_encoded: names_weak(asked), ..Self::default() };
        }
        // A part of something is one of the bytes that it has (RFC 9110 section 15.3.7).
        if !has_body(status) || matches!(status, 205 | 206) || bytes == Some(0) {
            return Self::default();
        }
        let mut takes_type = kind.is_some_and(|kind| terms.takes_kind(kind));
        for (name, value) in fields {
            match name.len() {
                12 if name.eq_ignore_ascii_case(b"content-type") => {
                    takes_type = terms.takes_type(value);
                }
                // RFC 9110 section 7.7, RFC 9111 section 5.2.2.6.
                13 if name.eq_ignore_ascii_case(b"cache-control") && forbids_transforms(value) => {
                    return Self::default();
                }
                _ if speaks_of_bytes(name) => return Self::default(),
                _ => {}
            }
        }
        if !takes_type {
            return Self::default();
        }
        let (coding, must) = terms.choose(asked.0, asked.1);
        let must = must && coding.is_some();
        // Too little to be worth it is sent as it is to all but those who do not take it.
        if !must && bytes.is_some_and(|bytes| bytes < terms.minimum) {
            return Self::default();
        }
        Self { varies: true, coding, must, has_encoded: false }
    }
}

/// Whether a field says something of the very bytes of a body, which would be wrong of others: that they are
/// encoded already, or a part, or what their digest is (RFC 9530, RFC 3230; it is that of the encoded bytes).
fn speaks_of_bytes(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 6] = [
        b"content-encoding",
        b"content-range",
        b"content-md5",
        b"content-digest",
        b"repr-digest",
        b"digest",
    ];
    NAMES.iter().any(|one| name.eq_ignore_ascii_case(one))
}

/// Whether the client has something with a weak tag, such as what was encoded.
fn names_weak((fields, bytes): (&[HeaderSpan], &[u8])) -> bool {
    fields.iter().any(|field| {
        field.name.of(bytes).eq_ignore_ascii_case(b"if-none-match")
            && field.value.of(bytes).windows(3).any(|part| part == b"W/\"")
    })
}

fn forbids_transforms(cache_control: &[u8]) -> bool {
    cache_control
        .split(|&byte| byte == b',')
        .any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}

/// Whether a value of `Vary` has this already.
fn varies_by_encoding(vary: &[u8]) -> bool {
    vary.split(|&byte| byte == b',').any(|name| {
        let name = name.trim_ascii();
        name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding")
    })
}

/// The tag of an encoded version of what has this one: a weak one, as it is the same but not byte for byte
/// (RFC 9110 section 8.8.1).
fn weakened(etag: &[u8]) -> Cow<'_, [u8]> {
    match etag {
        [b'"', ..] => Cow::Owned([b"W/", etag].concat()),
        _ => Cow::Borrowed(etag),
    }
}

impl Plan {
    /// What the head says of a field that the handler has set; `is_encoded` if the body is. Fields that are
    /// missing follow by [`Self::missing`].
    #[must_use]
    pub fn field<'a>(&self, name: &[u8], value: &'a [u8], is_encoded: bool) -> Cow<'a, [u8]> {
        // RFC 9111 section 4.3.4: a cache brings up to date what it has under the same tag.
        if (is_encoded || self.has_encoded) && name.eq_ignore_ascii_case(b"etag") {
            return weakened(value);
        }
        Cow::Borrowed(value)
    }

    /// Whole fields that the head has beside those of the handler, each behind the end of the line before.
    #[must_use]
    pub fn missing<'a>(
        &self,
        mut fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        is_encoded: bool,
    ) -> String {
        let mut missing = String::new();
        if let Some(coding) = self.coding.filter(|_| is_encoded) {
            missing = missing + "\r\nContent-Encoding: " + coding.token();
        }
        // RFC 9110 section 12.5.5. Of several lines each counts (section 5.3).
        let says_so = |(name, value): (&[u8], &[u8])| {
            name.eq_ignore_ascii_case(b"vary") && varies_by_encoding(value)
        };
        if self.varies && !fields.any(says_so) {
            missing += "\r\nVary: Accept-Encoding";
        }
        missing
    }
}
