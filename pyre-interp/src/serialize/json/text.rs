//! Strings, quoted and escaped (RFC 8259 section 7).
//! Hot path.
//!
//! The output is UTF-8; a lone surrogate, which UTF-8 cannot express, becomes U+FFFD.

use pyre_ffi::{Object, Str, Text};

use super::scan::{SHORT_BYTES_MAX, copy_plain_ascii, plain_ascii};
use super::sink::Sink;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends a string with its quotes.
#[inline(always)]
pub(super) fn write_text(text: &Object<Str>, out: &mut Sink<'_>) {
    if !write_short(*b"\"", text, *b"\"", out) {
        write_view(text.view(), out);
    }
}

/// Appends a name of an object with its quotes, between the byte before it and a colon.
#[inline(always)]
pub(super) fn write_name(before: u8, name: &Object<Str>, out: &mut Sink<'_>) {
    if !write_short([before, b'"'], name, *b"\":", out) {
        out.push(before);
        write_view(name.view(), out);
        out.push(b':');
    }
}

/// Appends `text` between `before` and `after` if it is short and plain, and says whether it was.
#[inline(always)]
fn write_short<const B: usize, const A: usize>(
    before: [u8; B],
    text: &Object<Str>,
    after: [u8; A],
    out: &mut Sink<'_>,
) -> bool {
    let Some(text) = text.as_ascii().map(str::as_bytes) else { return false };
    if text.len() > SHORT_BYTES_MAX {
        return false;
    }
    // Copying by words may write eight bytes too much.
    let room = out.room(B + text.len() + 8 + A);
    let Some((start, room)) = room.split_first_chunk_mut::<B>() else { return false };
    *start = before;
    if !copy_plain_ascii(text, room) {
        return false;
    }
    let Some(end) = room[text.len()..].first_chunk_mut::<A>() else { return false };
    *end = after;
    out.advance(B + text.len() + A);
    true
}

#[inline(never)]
fn write_view(text: Text<'_>, out: &mut Sink<'_>) {
    match text {
        Text::Ascii(text) => write_narrow(text.as_bytes(), out),
        Text::Latin1(units) => write_narrow(units, out),
        Text::Ucs2(units) => write_wide(units.iter().map(|&unit| u32::from(unit)), out),
        Text::Ucs4(units) => write_wide(units.iter().copied(), out),
    }
}

/// ASCII or Latin-1: runs of plain text, and one other character between them.
#[inline(never)]
fn write_narrow(mut text: &[u8], out: &mut Sink<'_>) {
    out.push(b'"');
    loop {
        let (run, rest) = text.split_at(plain_ascii(text));
        out.append(run);
        let Some((&first, rest)) = rest.split_first() else { break };
        write_unit(first.into(), out);
        text = rest;
    }
    out.push(b'"');
}

#[inline(never)]
fn write_wide(units: impl Iterator<Item = u32>, out: &mut Sink<'_>) {
    out.push(b'"');
    units.for_each(|unit| write_unit(unit, out));
    out.push(b'"');
}

/// Appends one code point, escaped if it has to be.
#[inline]
fn write_unit(unit: u32, out: &mut Sink<'_>) {
    match char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER) {
        '"' => out.append_array(b"\\\""),
        '\\' => out.append_array(b"\\\\"),
        '\n' => out.append_array(b"\\n"),
        '\r' => out.append_array(b"\\r"),
        '\t' => out.append_array(b"\\t"),
        '\x08' => out.append_array(b"\\b"),
        '\x0c' => out.append_array(b"\\f"),
        control @ '\0'..='\x1f' => {
            let code = control as usize;
            out.append_array(&[b'\\', b'u', b'0', b'0', HEX[code >> 4], HEX[code & 15]]);
        }
        ascii if ascii.is_ascii() => out.push(ascii as u8),
        other => {
            let mut utf8 = [0; 4];
            let length = other.encode_utf8(&mut utf8).len();
            out.room(4)[..4].copy_from_slice(&utf8);
            out.advance(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: Text<'_>, expected: &str) {
        let mut out = b"[".to_vec();
        write_view(text, &mut Sink::new(&mut out));
        assert_eq!(str::from_utf8(&out).unwrap(), format!("[\"{expected}\""));
    }

    #[test]
    fn escapes_what_must_be_and_nothing_else() {
        check(Text::Ascii(""), "");
        check(Text::Ascii("Hello, World!"), "Hello, World!");
        check(Text::Ascii("\"\\/\u{8}\u{c}\n\r\t"), r#"\"\\/\b\f\n\r\t"#);
        check(Text::Ascii("\0\u{1}\u{1f}\u{7f}"), "\\u0000\\u0001\\u001f\u{7f}");
        check(Text::Ascii(&"plain ".repeat(50)), &"plain ".repeat(50));
        check(Text::Ascii(&"a\"".repeat(50)), &"a\\\"".repeat(50));
        check(Text::Latin1(b"\xe9t\xe9 \"\xff\""), "été \\\"ÿ\\\"");
        check(Text::Ucs2(&[0x20ac, 0x22, 0x41, 0xd800, 0xe000, 9]), "€\\\"A\u{fffd}\u{e000}\\t");
        check(Text::Ucs4(&[0x1f600, 0xdfff, 0x41, 0x1]), "😀\u{fffd}A\\u0001");
    }
}
