//! Names as clients write them:
//!
//! - bytes of UTF-8 as they are, which RFC 7578 section 5.1 and browsers have;
//! - `%22`, `%0D` and `%0A` for a quote, CR and LF, which browsers write (the HTML standard, "Multipart form
//!   data"); no other escape of this kind is read, as they write none;
//! - a backslash before a quote or a backslash, which RFC 9110 section 5.6.4 has and old clients write;
//!   any other backslash stands for itself, as in `C:\file`;
//! - `name*=` and `filename*=` as RFC 8187 has them, in UTF-8 or ISO-8859-1: RFC 7578 section 4.2 forbids
//!   them, and clients send them. They go before the parameter without the star.

use std::borrow::Cow;

use memchr::memmem;

use super::fault::Fault;
use super::parameters::{Value, take_apart};
use crate::form::percent_decoded;
use crate::header::{is_name, is_token_byte, is_value};

/// What the head of a part says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartHead {
    /// The name of the field; it may be empty.
    pub name: String,
    /// The name of the file, if the part is one; it may be empty, as it is where none was chosen.
    pub filename: Option<String>,
    /// Its `Content-Type`, if there is one.
    pub content_type: Option<String>,
}

/// Reads a head, without the empty line that ends it. Names may have so many bytes.
///
/// # Errors
/// Whatever is wrong with it.
pub fn read(head: &[u8], name_bytes_max: usize) -> Result<PartHead, Fault> {
    let head = unfolded(head);
    let (mut disposition, mut content_type) = (None, None);
    let mut rest = &head[..];
    while !rest.is_empty() {
        let end = memmem::find(rest, b"\r\n").unwrap_or(rest.len());
        let (name, value) = field(&rest[..end])?;
        rest = rest.get(end + 2..).unwrap_or_default();
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        if is(b"content-disposition") {
            if disposition.replace(value).is_some() {
                return Err(Fault::NoDisposition);
            }
        } else if is(b"content-type") {
            if content_type.replace(value).is_some() {
                return Err(Fault::Repeated);
            }
        } else if is(b"content-transfer-encoding") && !is_plain(value) {
            return Err(Fault::Encoding);
        }
    }
    let (name, filename) = names(disposition.ok_or(Fault::NoDisposition)?)?;
    let longest = name.len().max(filename.as_ref().map_or(0, String::len));
    if longest > name_bytes_max {
        return Err(Fault::NameBytes);
    }
    if filename.is_none() && content_type.is_some_and(|text| !is_utf8(text)) {
        return Err(Fault::Charset);
    }
    let content_type = content_type.map(|text| String::from_utf8(text.to_vec()));
    let content_type = content_type.transpose().map_err(|_| Fault::PartType)?;
    Ok(PartHead { name, filename, content_type })
}

/// The head with each field on one line: one that begins with white space goes on from the line before (RFC
/// 5322 section 2.2.3).
fn unfolded(head: &[u8]) -> Cow<'_, [u8]> {
    let is_fold = |at: usize| matches!(head.get(at + 2), Some(b' ' | b'\t'));
    if !memmem::find_iter(head, b"\r\n").any(is_fold) {
        return Cow::Borrowed(head);
    }
    let (mut lines, mut from) = (Vec::with_capacity(head.len()), 0);
    for at in memmem::find_iter(head, b"\r\n").filter(|&at| is_fold(at)) {
        lines.extend_from_slice(&head[from..at]);
        from = at + 2;
    }
    lines.extend_from_slice(&head[from..]);
    Cow::Owned(lines)
}

/// Name and value of a line.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let colon = memchr::memchr(b':', line).ok_or(Fault::HeadLine)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if is_name(name) && is_value(value) { Ok((name, value)) } else { Err(Fault::HeadLine) }
}

/// Whether a `Content-Transfer-Encoding` leaves bytes as they are.
fn is_plain(encoding: &[u8]) -> bool {
    [&b"binary"[..], b"8bit", b"7bit"].iter().any(|plain| encoding.eq_ignore_ascii_case(plain))
}

/// Whether the charset of a field is UTF-8, or a part of it.
fn is_utf8(content_type: &[u8]) -> bool {
    let mut parameters = take_apart(content_type, Fault::PartType).1;
    parameters.all(|parameter| match parameter {
        Ok((name, value)) if name.eq_ignore_ascii_case(b"charset") => is_utf8_label(value.raw()),
        _ => true,
    })
}

/// Whether this is a name of UTF-8, or of ASCII.
#[must_use]
pub fn is_utf8_label(charset: &[u8]) -> bool {
    let labels = [&b"utf-8"[..], b"utf8", b"us-ascii", b"ascii"];
    labels.iter().any(|label| charset.eq_ignore_ascii_case(label))
}

/// The name of a part, and of its file.
fn names(disposition: &[u8]) -> Result<(String, Option<String>), Fault> {
    let (kind, parameters) = take_apart(disposition, Fault::Disposition);
    if !kind.eq_ignore_ascii_case(b"form-data") {
        return Err(Fault::Disposition);
    }
    const KNOWN: [&[u8]; 4] = [b"name", b"name*", b"filename", b"filename*"];
    let mut found = [const { None }; 4];
    for parameter in parameters {
        let (name, value) = parameter?;
        let Some(index) = KNOWN.iter().position(|known| name.eq_ignore_ascii_case(known)) else {
            continue;
        };
        let text = if index % 2 == 0 { plain_name(value)? } else { extended_name(value)? };
        if found[index].replace(text).is_some() {
            return Err(Fault::Repeated);
        }
    }
    let [name, extended, filename, extended_filename] = found;
    // Whoever reads only one of the two would see another form. Of a file senders mean the plain one for those
    // who cannot read the other (RFC 6266 section 4.3).
    if name.is_some() && extended.is_some() {
        return Err(Fault::Repeated);
    }
    Ok((extended.or(name).ok_or(Fault::NoName)?, extended_filename.or(filename)))
}

fn plain_name(value: Value<'_>) -> Result<String, Fault> {
    let bytes = match value {
        Value::Quoted(raw) => unescaped(raw),
        Value::Plain(raw) if raw.iter().all(|&byte| is_token_byte(byte) || byte >= 0x80) => {
            Cow::Borrowed(raw)
        }
        Value::Plain(_) => return Err(Fault::Disposition),
    };
    String::from_utf8(bytes.into_owned()).map_err(|_| Fault::NameText)
}

/// What stood between quotes, without the escapes.
fn unescaped(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'%', b'\\', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let (mut text, mut rest) = (Vec::with_capacity(raw.len()), raw);
    loop {
        let (byte, length) = match rest {
            [] => return Cow::Owned(text),
            [b'\\', byte @ (b'"' | b'\\'), ..] => (*byte, 2),
            [b'%', b'2', b'2', ..] => (b'"', 3),
            [b'%', b'0', b'D' | b'd', ..] => (b'\r', 3),
            [b'%', b'0', b'A' | b'a', ..] => (b'\n', 3),
            [byte, ..] => (*byte, 1),
        };
        text.push(byte);
        rest = &rest[length..];
    }
}

/// A value with its charset and language (RFC 8187 section 3.2.1); no language is looked at.
fn extended_name(value: Value<'_>) -> Result<String, Fault> {
    let Value::Plain(raw) = value else { return Err(Fault::ExtendedName) };
    let mut parts = raw.splitn(3, |&byte| byte == b'\'');
    let (Some(charset), Some(_), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Fault::ExtendedName);
    };
    if !is_encoded(encoded) {
        return Err(Fault::ExtendedName);
    }
    let mut scratch = Vec::new();
    let bytes = percent_decoded(encoded, &mut scratch);
    let text = if charset.eq_ignore_ascii_case(b"utf-8") {
        String::from_utf8(bytes.to_vec()).map_err(|_| Fault::NameText)?
    } else if charset.eq_ignore_ascii_case(b"iso-8859-1") {
        bytes.iter().copied().map(char::from).collect()
    } else {
        return Err(Fault::ExtendedName);
    };
    // What cannot be in a name of the plain form is in none of this.
    if text.contains('\0') { Err(Fault::ExtendedName) } else { Ok(text) }
}

/// Whether each byte is one that stands for itself, or a part of an escape.
fn is_encoded(text: &[u8]) -> bool {
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return true,
            [b'%', first, second, behind @ ..]
                if first.is_ascii_hexdigit() && second.is_ascii_hexdigit() =>
            {
                behind
            }
            [b'%' | b'*' | b'\'', ..] => return false,
            [byte, behind @ ..] if is_token_byte(*byte) => behind,
            _ => return false,
        };
    }
}
