//! Parameters of a header value: `; name=value; other="another"` (RFC 9110 section 5.6.6).

use memchr::memchr;

use super::fault::Fault;
use crate::header::is_name;

/// The value of a parameter, as it was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Value<'text> {
    /// Without quotes.
    Plain(&'text [u8]),
    /// What stood between quotes, with its escapes.
    Quoted(&'text [u8]),
}

impl<'text> Value<'text> {
    pub(super) fn raw(self) -> &'text [u8] {
        match self {
            Self::Plain(raw) | Self::Quoted(raw) => raw,
        }
    }
}

/// What stands before the parameters of a header value, and those; `fault` is what is said of one that
/// cannot be read.
pub(super) fn take_apart(text: &[u8], fault: Fault) -> (&[u8], Parameters<'_>) {
    let end = memchr(b';', text).unwrap_or(text.len());
    (text[..end].trim_ascii(), Parameters { rest: &text[end..], fault })
}

/// Each parameter in order: its name, to be compared without regard to case, and its value.
pub(super) struct Parameters<'text> {
    rest: &'text [u8],
    fault: Fault,
}

impl<'text> Iterator for Parameters<'text> {
    type Item = Result<(&'text [u8], Value<'text>), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        // An empty one is skipped: the grammar has them.
        loop {
            self.rest = self.rest.trim_ascii_start();
            match self.rest.split_first()? {
                (b';', behind) => self.rest = behind,
                _ => break,
            }
        }
        let read = read_one(self.rest).ok_or(self.fault);
        self.rest = read.map_or(&[], |(_, rest)| rest);
        Some(read.map(|(parameter, _)| parameter))
    }
}

type Parameter<'text> = (&'text [u8], Value<'text>);

/// The parameter in front, and what is behind it.
fn read_one(text: &[u8]) -> Option<(Parameter<'_>, &[u8])> {
    let equals = memchr(b'=', text)?;
    let (name, value) = (&text[..equals], &text[equals + 1..]);
    if !is_name(name) {
        return None;
    }
    let (value, rest) = match value.split_first() {
        Some((b'"', inner)) => {
            let end = closing_quote(inner)?;
            (Value::Quoted(&inner[..end]), &inner[end + 1..])
        }
        _ => {
            let end = value.iter().position(|byte| b"; \t".contains(byte)).unwrap_or(value.len());
            (Value::Plain(&value[..end]), &value[end..])
        }
    };
    let rest = rest.trim_ascii_start();
    (rest.is_empty() || rest[0] == b';').then_some(((name, value), rest))
}

/// Where the quote is that ends a text.
///
/// A backslash escapes a quote, as old clients have it. Browsers do not escape backslashes: so a quote with
/// nothing behind it ends the text, whatever stands before it.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => match text.get(at + 1)? {
                b'"' if text[at + 2..].trim_ascii().is_empty() => return Some(at + 1),
                b'"' | b'\\' => at += 2,
                _ => at += 1,
            },
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&[(&str, Value<'_>)]>) {
        let (first, parameters) = take_apart(text.as_bytes(), Fault::Disposition);
        assert_eq!(first, b"form-data", "{text:?}");
        let found: Result<Vec<_>, _> = parameters.collect();
        let expected = expected.ok_or(Fault::Disposition).map(|expected| {
            expected.iter().map(|(name, value)| (name.as_bytes(), *value)).collect::<Vec<_>>()
        });
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn parameters_in_order() {
        use Value::{Plain, Quoted};
        check("form-data", Some(&[]));
        check("form-data ; ;", Some(&[]));
        check("form-data; a=b;c=\"d\"", Some(&[("a", Plain(b"b")), ("c", Quoted(b"d"))]));
        check("form-data; a=\"b;c\" ; d=", Some(&[("a", Quoted(b"b;c")), ("d", Plain(b""))]));
        check("form-data; a=\"b\\\"c\"", Some(&[("a", Quoted(b"b\\\"c"))]));
        check(
            "form-data; a=\"C:\\new\"; b=c",
            Some(&[("a", Quoted(b"C:\\new")), ("b", Plain(b"c"))]),
        );
        check("form-data; a=\"b\\\\\"; c=d", Some(&[("a", Quoted(b"b\\\\")), ("c", Plain(b"d"))]));
        // A name that ends with a backslash, which browsers do not escape.
        check("form-data; a=\"b\\\" ", Some(&[("a", Quoted(b"b\\"))]));
        check("form-data; a=\"\u{e9}\"", Some(&[("a", Quoted("\u{e9}".as_bytes()))]));
    }

    #[test]
    fn what_is_no_parameter() {
        for text in
            ["a", "a b=c", "=b", "a=\"b", "a=\"b\"c", "a=b c=d", "a=\"b\\\"; c=\"d\"", "\"a\"=b"]
        {
            check(&format!("form-data; {text}"), None);
        }
    }
}
