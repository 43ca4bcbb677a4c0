//! Strings, quoted and escaped (RFC 8259 section 7).
//! Hot path.
//!
//! The output is UTF-8; a lone surrogate, which UTF-8 cannot express, becomes U+FFFD.

use pyre_ffi::Text;

use super::scan::plain_ascii;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends a string with its quotes.
#[inline]
pub(super) fn write_text(text: Text<'_>, out: &mut Vec<u8>) {
    match text {
        Text::Ascii(text) => write_ascii(text.as_bytes(), out),
        Text::Latin1(units) => write_latin1(units, out),
        Text::Ucs2(units) => write_units(units.iter().map(|&unit| u32::from(unit)), out),
        Text::Ucs4(units) => write_units(units.iter().copied(), out),
    }
}

#[inline]
fn write_ascii(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let run = plain_ascii(text);
    out.extend_from_slice(&text[..run]);
    if run < text.len() {
        write_latin1_rest(&text[run..], out);
    }
    out.push(b'"');
}

#[inline(never)]
fn write_latin1(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + text.len() / 2 + 2);
    out.push(b'"');
    write_latin1_rest(text, out);
    out.push(b'"');
}

/// Runs of plain text, and one other byte between them.
#[inline(never)]
fn write_latin1_rest(mut text: &[u8], out: &mut Vec<u8>) {
    while let Some(&first) = text.first() {
        write_unit(first.into(), out);
        text = &text[1..];
        let run = plain_ascii(text);
        out.extend_from_slice(&text[..run]);
        text = &text[run..];
    }
}

#[inline(never)]
fn write_units(units: impl Iterator<Item = u32>, out: &mut Vec<u8>) {
    out.reserve(units.size_hint().0 * 2 + 2);
    out.push(b'"');
    units.for_each(|unit| write_unit(unit, out));
    out.push(b'"');
}

/// Appends one code point, escaped if it has to be.
#[inline]
fn write_unit(unit: u32, out: &mut Vec<u8>) {
    match char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER) {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\x08' => out.extend_from_slice(b"\\b"),
        '\x0c' => out.extend_from_slice(b"\\f"),
        control @ '\0'..='\x1f' => {
            let code = control as usize;
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[code >> 4], HEX[code & 15]]);
        }
        ascii if ascii.is_ascii() => out.push(ascii as u8),
        other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: Text<'_>, expected: &str) {
        let mut out = b"[".to_vec();
        write_text(text, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("[\"{expected}\""));
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
