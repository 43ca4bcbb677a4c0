//! Event streams: `text/event-stream` of the HTML standard, section 9.2.
//!
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use std::fmt;

/// What keeps a stream that is silent from being cut: a comment, which no reader shows.
pub const KEEP_ALIVE: &[u8] = b":\n\n";

/// What stands for the end of a stream that has sent nothing.
pub const BEGIN: [u8; 3] = *b"\n\n\n";

/// Whether a stream that ends with these bytes is between two events, so that a comment harms none: its
/// last line is blank.
#[must_use]
pub fn is_between_events(tail: [u8; 3]) -> bool {
    matches!(tail, [_, b'\n', b'\n'] | [_, b'\n' | b'\r', b'\r'] | [b'\n' | b'\r', b'\r', b'\n'])
}

/// An event as it is written.
#[derive(Clone, Copy, Default, Debug)]
pub struct Event<'a> {
    /// Its text; line ends of any kind become those of the format.
    pub data: &'a str,
    /// Its type, `message` for the reader if there is none.
    pub kind: Option<&'a str>,
    /// What a reader sends as `Last-Event-ID` when it connects again.
    pub id: Option<&'a str>,
    /// After how many milliseconds it connects again.
    pub retry_ms: Option<u64>,
}

/// A field that has a line end, which would begin another one; or an id with NUL, which readers ignore.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FieldInvalid(
    /// The field.
    pub &'static str,
);

impl fmt::Display for FieldInvalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_nul = if self.0 == "id" { ", or NUL" } else { "" };
        write!(f, "{} of an event has a line end{or_nul}", self.0)
    }
}

impl Event<'_> {
    /// Appends the event.
    ///
    /// # Errors
    /// Its type or id cannot be written; nothing is appended then.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), FieldInvalid> {
        for (name, value, forbidden) in
            [("event", self.kind, &['\n', '\r'][..]), ("id", self.id, &['\n', '\r', '\0'])]
        {
            if value.is_some_and(|value| value.contains(forbidden)) {
                return Err(FieldInvalid(name));
            }
        }
        if let Some(kind) = self.kind {
            field(out, b"event", kind);
        }
        if let Some(id) = self.id {
            field(out, b"id", id);
        }
        if let Some(retry_ms) = self.retry_ms {
            field(out, b"retry", itoa::Buffer::new().format(retry_ms));
        }
        let mut rest = self.data;
        while let Some((line, behind)) = split_line(rest) {
            field(out, b"data", line);
            rest = behind;
        }
        field(out, b"data", rest);
        out.push(b'\n');
        Ok(())
    }
}

fn field(out: &mut Vec<u8>, name: &[u8], value: &str) {
    out.extend_from_slice(name);
    // A reader takes away one space.
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

/// The first line and what is behind its end, which is CR LF, LF or CR; `None` if it has no end.
fn split_line(text: &str) -> Option<(&str, &str)> {
    let end = memchr::memchr2(b'\n', b'\r', text.as_bytes())?;
    let (line, rest) = text.split_at(end);
    Some((line, rest.strip_prefix("\r\n").unwrap_or(&rest[1..])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a reader makes of a stream: type, data and last id of each event (section 9.2.6).
    fn read(stream: &str) -> Vec<(String, String, String)> {
        let lines = stream.replace("\r\n", "\n").replace('\r', "\n");
        let (mut events, mut id) = (Vec::new(), String::new());
        let (mut kind, mut data) = (String::new(), String::new());
        for line in lines.split('\n') {
            if line.is_empty() {
                if !data.is_empty() {
                    data.pop();
                    events.push((std::mem::take(&mut kind), std::mem::take(&mut data), id.clone()));
                }
                kind.clear();
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "event" => kind = value.to_owned(),
                "data" => data.push_str(&format!("{value}\n")),
                "id" => id = value.to_owned(),
                _ => {}
            }
        }
        events
    }

    #[test]
    fn an_event_with_all_that_it_can_have() {
        let mut out = Vec::new();
        let event = Event {
            data: " two\r\nlines\n",
            kind: Some("tick"),
            id: Some("7"),
            retry_ms: Some(50),
        };
        event.write(&mut out).unwrap();
        out.extend_from_slice(KEEP_ALIVE);
        Event::default().write(&mut out).unwrap();
        let expected =
            "event: tick\nid: 7\nretry: 50\ndata:  two\ndata: lines\ndata: \n\n:\n\ndata: \n\n";
        assert_eq!(std::str::from_utf8(&out), Ok(expected));
    }

    #[test]
    fn an_event_ends_with_a_blank_line() {
        for (text, is_between) in [
            ("a\n\n", true),
            ("a\r\r", true),
            ("a\r\n\r\n", true),
            ("a\r\n\n", true),
            ("a\n\r\n", true),
            ("a\n\r", true),
            ("a\r\n", false),
            ("aa\n", false),
            ("\n\na", false),
        ] {
            let tail = text.as_bytes().last_chunk().copied().unwrap();
            assert_eq!(is_between_events(tail), is_between, "{text:?}");
        }
        assert!(is_between_events(BEGIN));
    }

    #[test]
    fn what_would_be_another_field_is_refused() {
        for (kind, id, field) in [
            (Some("a\ndata: b"), None, "event"),
            (Some("a\r"), Some("\n"), "event"),
            (None, Some("a\r"), "id"),
            (None, Some("a\0"), "id"),
        ] {
            let mut out = Vec::new();
            let event = Event { data: "x", kind, id, retry_ms: None };
            assert_eq!(event.write(&mut out), Err(FieldInvalid(field)));
            assert!(out.is_empty());
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            data in "[a-z: \r\n\u{e9}\u{2028}]{0,30}",
            kind in prop::option::of("[a-z: \u{e9}]{1,5}"),
            id in prop::option::of("[a-z: ]{0,5}"),
        ) {
            let mut out = Vec::new();
            let event = Event { data: &data, kind: kind.as_deref(), id: id.as_deref(), retry_ms: None };
            event.write(&mut out).unwrap();
            let seen = data.replace("\r\n", "\n").replace('\r', "\n");
            let expected = (kind.unwrap_or_default(), seen, id.unwrap_or_default());
            prop_assert_eq!(read(std::str::from_utf8(&out).unwrap()), vec![expected]);
        }
    }
}
