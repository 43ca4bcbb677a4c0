//! Preconditions of a request, in the order of RFC 9110 section 13.2.2, and whether a range holds.

use crate::date;
use crate::header::{HeaderSpan, find_only};

/// By what a client knows a version of a file.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// With its quotes, and `W/` before them if it is a weak one.
    pub etag: &'a [u8],
    /// When it was changed, in seconds since 1970.
    pub modified_s: u64,
}

/// What comes of the preconditions of a request that reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// All hold, or there are none.
    Holds,
    /// The client has this version: 304.
    NotModified,
    /// The client wants another version: 412.
    Fails,
}

/// What is there of a resource, as far as somebody says.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Whether there is anything.
    pub exists: bool,
    /// As in [`Validators`].
    pub etag: Option<&'a [u8]>,
    /// As in [`Validators`].
    pub modified_s: Option<u64>,
}

/// What comes of the preconditions.
#[must_use]
pub fn evaluate(
    fields: &[HeaderSpan],
    bytes: &[u8],
    validators: Validators<'_>,
    now_s: u64,
) -> Verdict {
    let Validators { etag, modified_s } = validators;
    let known = Known { exists: true, etag: Some(etag), modified_s: Some(modified_s) };
    if is_another(fields, bytes, known, now_s) {
        Verdict::Fails
    } else if is_same(fields, bytes, known, now_s) {
        Verdict::NotModified
    } else {
        Verdict::Holds
    }
}

/// Whether the client wants another version than this one: steps 1 and 2 of section 13.2.2.
#[must_use]
pub fn is_another(fields: &[HeaderSpan], bytes: &[u8], known: Known<'_>, now_s: u64) -> bool {
    match matches(fields, bytes, b"if-match", known, true) {
        Some(holds) => !holds,
        None => match (known.modified_s, date_of(fields, bytes, b"if-unmodified-since", now_s)) {
            (Some(modified_s), Some(since)) => modified_s > since,
            // Section 13.1.4: without a date of ours it is not heard.
            _ => false,
        },
    }
}

/// Whether the client has this version: steps 3 and 4 of section 13.2.2, the last of which is for
/// GET and HEAD alone.
#[must_use]
pub fn is_same(fields: &[HeaderSpan], bytes: &[u8], known: Known<'_>, now_s: u64) -> bool {
    if let Some(is_had) = has_tag_of(fields, bytes, known) {
        return is_had;
    }
    match (known.modified_s, date_of(fields, bytes, b"if-modified-since", now_s)) {
        (Some(modified_s), Some(since)) => modified_s <= since,
        _ => false,
    }
}

/// Whether `If-None-Match` has this version (step 3); nothing if there is no such field.
#[must_use]
pub fn has_tag_of(fields: &[HeaderSpan], bytes: &[u8], known: Known<'_>) -> Option<bool> {
    matches(fields, bytes, b"if-none-match", known, false)
}

/// Whether this may be sent as an `ETag` (section 8.8.3), without what only old senders have in it.
#[must_use]
pub fn is_etag(text: &[u8]) -> bool {
    let opaque = text.strip_prefix(b"W/").unwrap_or(text);
    let inner = opaque.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inner.is_some_and(|inner| inner.iter().all(|&byte| byte.is_ascii_graphic() && byte != b'"'))
}

fn date_of(fields: &[HeaderSpan], bytes: &[u8], name: &[u8], now_s: u64) -> Option<u64> {
    find_only(fields, bytes, name).and_then(|value| date::parse(value.of(bytes), now_s))
}

/// Whether the `Range` of a request is for this version (section 13.1.5).
#[must_use]
pub fn range_holds(
    fields: &[HeaderSpan],
    bytes: &[u8],
    validators: Validators<'_>,
    now_s: u64,
) -> bool {
    let mut conditions = fields.iter().filter(|field| is_named(field, bytes, b"if-range"));
    let Some(condition) = conditions.next() else { return true };
    let value = condition.value.of(bytes);
    if conditions.next().is_some() {
        return false;
    }
    match value {
        [b'"', ..] => value == validators.etag,
        // Those that begin with `W/` are no dates and match nothing.
        _ => {
            // Section 8.8.2.2: a date tells versions apart only once its second is over.
            date::parse(value, now_s) == Some(validators.modified_s)
                && validators.modified_s < now_s
        }
    }
}

fn is_named(field: &HeaderSpan, bytes: &[u8], lower_name: &[u8]) -> bool {
    field.name.of(bytes).eq_ignore_ascii_case(lower_name)
}

/// Whether a list of tags has this one, or stands for any; nothing if there is no such field. Weak tags,
/// ours among them, count only where the comparison is not `strong` (section 8.8.3.2).
fn matches(
    fields: &[HeaderSpan],
    bytes: &[u8],
    lower_name: &[u8],
    known: Known<'_>,
    strong: bool,
) -> Option<bool> {
    let own = known.etag.filter(|_| known.exists).and_then(|etag| {
        let opaque = etag.strip_prefix(b"W/");
        (!strong || opaque.is_none()).then_some(opaque.unwrap_or(etag))
    });
    let mut found = None;
    for field in fields.iter().filter(|field| is_named(field, bytes, lower_name)) {
        let value = field.value.of(bytes);
        let has =
            value == b"*" && known.exists || own.is_some_and(|own| has_tag(value, own, strong));
        found = Some(found.unwrap_or(false) || has);
    }
    found
}

/// Whether a list has this tag, which is without `W/`. What comes behind something that is no tag is not looked at.
fn has_tag(mut list: &[u8], etag: &[u8], strong: bool) -> bool {
    loop {
        while let [b' ' | b'\t' | b',', rest @ ..] = list {
            list = rest;
        }
        let is_weak = list.starts_with(b"W/");
        let tag = if is_weak { &list[2..] } else { list };
        let [b'"', behind @ ..] = tag else { return false };
        let Some(end) = memchr::memchr(b'"', behind) else { return false };
        let (tag, rest) = tag.split_at(end + 2);
        if tag == etag && !(strong && is_weak) {
            return true;
        }
        list = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Span;

    const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const BEHIND: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const AT_S: u64 = 784_111_777;

    /// The fields of a request, with what they point to.
    fn fields(of: &[(&str, &str)]) -> (Vec<HeaderSpan>, Vec<u8>) {
        let mut bytes = Vec::new();
        let mut keep = |text: &str| {
            let start = bytes.len();
            bytes.extend_from_slice(text.as_bytes());
            Span::new(start, bytes.len())
        };
        let spans =
            of.iter().map(|(name, value)| HeaderSpan { name: keep(name), value: keep(value) });
        (spans.collect(), bytes)
    }

    const VALIDATORS: Validators<'_> = Validators { etag: b"\"a\"", modified_s: AT_S };

    #[test]
    fn preconditions() {
        use Verdict::{Fails, Holds, NotModified};
        let (since, unmodified) = ("If-Modified-Since", "If-Unmodified-Since");
        let cases: &[(&[(&str, &str)], Verdict)] = &[
            (&[], Holds),
            (&[("If-Match", "\"a\"")], Holds),
            (&[("If-Match", "\"b\", \"a\"")], Holds),
            (&[("If-Match", "*")], Holds),
            (&[("If-Match", "\"b\"")], Fails),
            (&[("If-Match", "W/\"a\"")], Fails),
            (&[("If-Match", "a")], Fails),
            (&[("If-Match", "")], Fails),
            (&[("If-Match", "\"b\""), ("If-Match", "\"a\"")], Holds),
            (&[(unmodified, AT)], Holds),
            (&[(unmodified, BEHIND)], Holds),
            (&[(unmodified, BEFORE)], Fails),
            (&[(unmodified, "nonsense")], Holds),
            // What comes first decides.
            (&[("If-Match", "\"a\""), (unmodified, BEFORE)], Holds),
            (&[("If-Match", "\"b\""), ("If-None-Match", "\"a\"")], Fails),
            (&[("If-None-Match", "\"a\"")], NotModified),
            (&[("If-None-Match", "W/\"a\"")], NotModified),
            (&[("if-none-match", "\"b\" ,W/\"c\",\"a\"")], NotModified),
            (&[("If-None-Match", "\"b,\"a\"")], Holds),
            (&[("If-None-Match", "\"b,c\",\"a\"")], NotModified),
            (&[("If-None-Match", "*")], NotModified),
            (&[("If-None-Match", "\"b\"")], Holds),
            (&[("If-None-Match", "a")], Holds),
            (&[("If-None-Match", "\"a")], Holds),
            (&[("If-None-Match", "\"\"")], Holds),
            (&[(since, AT)], NotModified),
            (&[(since, BEHIND)], NotModified),
            (&[(since, BEFORE)], Holds),
            (&[(since, "Sunday, 06-Nov-94 08:49:37 GMT")], NotModified),
            (&[(since, "Sun Nov  6 08:49:37 1994")], NotModified),
            (&[(since, "nonsense")], Holds),
            (&[(since, AT), (since, AT)], Holds),
            (&[("If-None-Match", "\"b\""), (since, AT)], Holds),
            (&[("If-None-Match", "\"a\""), (since, BEFORE)], NotModified),
            (&[("If-Match", "\"a\""), (since, AT)], NotModified),
            (&[(unmodified, AT), (since, AT)], NotModified),
        ];
        for (of, expected) in cases {
            let (fields, bytes) = fields(of);
            let verdict = evaluate(&fields, &bytes, VALIDATORS, AT_S + 10);
            assert_eq!(verdict, *expected, "{of:?}");
        }
    }

    #[test]
    fn a_weak_tag_of_ours() {
        use Verdict::{Fails, Holds, NotModified};
        let weak = Validators { etag: b"W/\"a\"", modified_s: AT_S };
        for (name, value, expected) in [
            ("If-None-Match", "W/\"a\"", NotModified),
            ("If-None-Match", "\"a\"", NotModified),
            ("If-None-Match", "W/\"b\"", Holds),
            ("If-Match", "W/\"a\"", Fails),
            ("If-Match", "\"a\"", Fails),
            ("If-Match", "*", Holds),
        ] {
            let (fields, bytes) = fields(&[(name, value)]);
            assert_eq!(evaluate(&fields, &bytes, weak, AT_S + 10), expected, "{name}: {value}");
        }
        for value in ["W/\"a\"", "\"a\""] {
            let (fields, bytes) = fields(&[("If-Range", value)]);
            assert!(!range_holds(&fields, &bytes, weak, AT_S + 10), "{value}");
        }
    }

    #[test]
    fn what_is_known_in_part_or_not_there() {
        let there = Known { exists: true, etag: None, modified_s: None };
        let gone = Known { exists: false, ..there };
        let (tag, date) =
            (Known { etag: Some(b"\"a\""), ..there }, Known { modified_s: Some(AT_S), ..there });
        let (none_match, since) = ("If-None-Match", "If-Modified-Since");
        // Whether the client wants another version, and whether it has this one.
        type Case<'a> = (&'a [(&'a str, &'a str)], Known<'a>, bool, bool);
        let cases: &[Case<'_>] = &[
            (&[], there, false, false),
            (&[("If-Match", "*")], there, false, false),
            (&[("If-Match", "*")], gone, true, false),
            (&[("If-Match", "\"a\"")], there, true, false),
            (&[("If-Match", "\"a\"")], tag, false, false),
            (&[("If-Match", "\"a\"")], date, true, false),
            (&[("If-Unmodified-Since", BEFORE)], tag, false, false),
            (&[("If-Unmodified-Since", BEFORE)], date, true, false),
            (&[(none_match, "*")], there, false, true),
            (&[(none_match, "*")], gone, false, false),
            (&[(none_match, "\"a\"")], gone, false, false),
            (&[(none_match, "\"a\"")], there, false, false),
            (&[(none_match, "\"a\""), (since, AT)], date, false, false),
            (&[(since, AT)], tag, false, false),
            (&[(since, AT)], date, false, true),
            (&[(since, BEFORE)], date, false, false),
        ];
        for (of, known, another, same) in cases {
            let (fields, bytes) = fields(of);
            assert_eq!(is_another(&fields, &bytes, *known, AT_S), *another, "{of:?} {known:?}");
            assert_eq!(is_same(&fields, &bytes, *known, AT_S), *same, "{of:?} {known:?}");
        }
    }

    #[test]
    fn what_is_an_etag() {
        for text in ["\"\"", "\"a\"", "W/\"a!~\""] {
            assert!(is_etag(text.as_bytes()), "{text}");
        }
        for text in ["", "a", "\"", "\"a", "a\"", "w/\"a\"", "W/a", "\"a b\"", "\"a\"b\"", "\"é\""]
        {
            assert!(!is_etag(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn ranges_of_a_version() {
        let holds = |of: &[(&str, &str)], now_s| {
            let (fields, bytes) = fields(of);
            range_holds(&fields, &bytes, VALIDATORS, now_s)
        };
        for (value, expected) in [
            ("\"a\"", true),
            ("\"b\"", false),
            ("W/\"a\"", false),
            ("\"a\", \"a\"", false),
            (AT, true),
            ("Sunday, 06-Nov-94 08:49:37 GMT", true),
            (BEFORE, false),
            (BEHIND, false),
            ("", false),
        ] {
            assert_eq!(holds(&[("If-Range", value)], AT_S + 10), expected, "{value:?}");
        }
        assert!(holds(&[], AT_S));
        assert!(!holds(&[("If-Range", AT)], AT_S), "it may change in this second");
        assert!(!holds(&[("If-Range", "\"a\""), ("If-Range", "\"a\"")], AT_S + 10));
    }
}
