//! Entries as bytes: a line for people, or one JSON object a line. On the writer's thread.
//!
//! No entry can pose as another one. In a text, what follows the first line of an entry is indented,
//! and control characters are escaped; in JSON a line is an object.

use std::borrow::Cow;
use std::fmt::{self, Display, Write};
use std::ops::Range;

use pyre_http::date::rfc3339;
use pyre_interp::job::Client;

use crate::log::entry::{Access, AccessBatch, Record};
use crate::settings::Format;

/// Entries as bytes, one after the other.
#[derive(Default)]
pub(crate) struct Layout {
    pub(crate) text: String,
    /// Date and time of the second that entries were last written for: most come in one of few.
    second: Option<u64>,
    date: String,
}

impl Layout {
    /// Appends a record.
    pub(crate) fn record(&mut self, record: &Record) {
        match record.format {
            Format::Text => {
                self.begin_text(record.time_us, &record.level, &record.logger);
                indented(&mut self.text, &record.message);
                if !record.exception.is_empty() {
                    self.text.push_str("\n  ");
                    indented(&mut self.text, &record.exception);
                }
            }
            Format::Json => {
                self.begin_json(record.time_us, &record.level, &record.logger, &record.message);
                if !record.exception.is_empty() {
                    member(&mut self.text, "exception", &record.exception);
                }
                member(&mut self.text, "thread", &record.thread);
                if let Some((file, line)) = &record.place {
                    member(&mut self.text, "file", file);
                    number(&mut self.text, "line", line);
                }
                if !record.extra.is_empty() {
                    self.text.push(',');
                    self.text.push_str(&record.extra);
                }
                self.text.push('}');
            }
        }
        self.text.push('\n');
    }

    /// Appends the answers of a batch.
    pub(crate) fn access(&mut self, batch: &AccessBatch) {
        for entry in &batch.entries {
            match batch.style.format {
                Format::Text => {
                    self.begin_text(entry.time_us, batch.style.level.name(), "pyre.access");
                    access_words(&mut self.text, batch, entry);
                }
                Format::Json => self.access_json(batch, entry),
            }
            self.text.push('\n');
        }
    }

    fn access_json(&mut self, batch: &AccessBatch, entry: &Access) {
        let mut message = String::new();
        request_line(&mut message, batch, entry, unquoted);
        put(&mut message, format_args!(" {}", entry.status));
        self.begin_json(entry.time_us, batch.style.level.name(), "pyre.access", &message);
        let out = &mut self.text;
        member(out, "client", &client(entry.client));
        member(out, "method", &unquoted(&batch.text[entry.method.clone()]));
        member(out, "path", &unquoted(&batch.text[entry.path.clone()]));
        member(out, "route", batch.vitals.route(entry.label));
        number(out, "status", entry.status);
        number(out, "bytes", entry.bytes);
        number(out, "duration_ms", Milliseconds(entry.took_us));
        if let Some(code) = entry.close_code {
            number(out, "close_code", code);
        }
        for (name, value) in correlation(batch, entry) {
            member(out, name, value);
        }
        out.push('}');
    }

    /// Begins a line for people: time, level and logger.
    fn begin_text(&mut self, time_us: u64, level: &str, logger: &str) {
        self.time(time_us);
        self.text.push(' ');
        escaped(&mut self.text, level);
        self.text.push(' ');
        escaped(&mut self.text, logger);
        self.text.push_str(": ");
    }

    fn begin_json(&mut self, time_us: u64, level: &str, logger: &str, message: &str) {
        self.text.push_str("{\"time\":\"");
        self.time(time_us);
        self.text.push('"');
        member(&mut self.text, "level", level);
        member(&mut self.text, "logger", logger);
        member(&mut self.text, "message", message);
    }

    fn time(&mut self, time_us: u64) {
        const FRACTION: usize = ".000000Z".len();
        let second = time_us / 1_000_000;
        if self.second != Some(second) {
            self.second = Some(second);
            self.date = rfc3339(time_us);
            self.date.truncate(self.date.len() - FRACTION);
        }
        self.text.push_str(&self.date);
        put(&mut self.text, format_args!(".{:06}Z", time_us % 1_000_000));
    }
}

/// Microseconds, shown as milliseconds.
struct Milliseconds(u64);

impl Display for Milliseconds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// What a line of the access log says after time, level and logger.
pub(crate) fn access_words(out: &mut String, batch: &AccessBatch, entry: &Access) {
    out.push_str(&client(entry.client));
    out.push_str(" \"");
    request_line(out, batch, entry, piece);
    let (status, bytes, took) = (entry.status, entry.bytes, Milliseconds(entry.took_us));
    put(out, format_args!("\" {status} {bytes} {took}ms"));
    if let Some(code) = entry.close_code {
        put(out, format_args!(" close_code={code}"));
    }
    let route = batch.vitals.route(entry.label);
    if !route.is_empty() {
        out.push_str(" route=");
        escaped(out, route);
    }
    for (name, value) in correlation(batch, entry) {
        put(out, format_args!(" {name}={value}"));
    }
}

/// What ties an answer to other records: the id of its request, and of trace and span.
pub(crate) fn correlation<'a>(
    batch: &'a AccessBatch,
    entry: &Access,
) -> impl Iterator<Item = (&'static str, &'a str)> {
    // Both were checked to be ASCII before they were taken over.
    let text = |range: &Range<usize>| {
        str::from_utf8(&batch.text[range.clone()]).ok().filter(|text| !text.is_empty())
    };
    let trace = text(&entry.trace);
    let id = text(&entry.id).map(|id| ("request_id", id));
    let trace_id = trace.and_then(|trace| trace.get(3..35)).map(|id| ("trace_id", id));
    let span_id = trace.and_then(|trace| trace.get(36..52)).map(|id| ("span_id", id));
    [id, trace_id, span_id].into_iter().flatten()
}

/// Method, path and version, as far as they are known; `sent` makes texts of what came.
fn request_line(
    out: &mut String,
    batch: &AccessBatch,
    entry: &Access,
    sent: fn(&[u8]) -> Cow<'_, str>,
) {
    let Some(version) = entry.version else { return out.push('-') };
    out.push_str(&sent(&batch.text[entry.method.clone()]));
    out.push(' ');
    out.push_str(&sent(&batch.text[entry.path.clone()]));
    out.push_str(" HTTP/");
    out.push_str(version.as_str());
}

/// The peer, for people.
pub(crate) fn client(client: Client) -> String {
    match client {
        Client::Tcp(address) => address.ip().to_canonical().to_string(),
        Client::Local => "local".to_owned(),
    }
}

/// Bytes a client sent, as text: what is not printable ASCII is escaped, and so are quotes.
pub(crate) fn piece(bytes: &[u8]) -> Cow<'_, str> {
    let is_plain = |&byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    match str::from_utf8(bytes) {
        Ok(text) if bytes.iter().all(is_plain) => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.escape_ascii().to_string()),
    }
}

/// The same for what JSON quotes by itself: quotes stay.
fn unquoted(bytes: &[u8]) -> Cow<'_, str> {
    let text = piece(bytes);
    if matches!(text, Cow::Borrowed(_)) {
        return text;
    }
    let mut out = String::new();
    for &byte in bytes {
        match byte {
            b'"' | b'\'' => out.push(char::from(byte)),
            other => put(&mut out, other.escape_ascii()),
        }
    }
    Cow::Owned(out)
}

/// Text of an entry: its lines after the first are indented.
fn indented(out: &mut String, text: &str) {
    for (index, line) in text.trim_end_matches('\n').split('\n').enumerate() {
        if index > 0 {
            out.push_str("\n  ");
        }
        escaped(out, line);
    }
}

/// One line: control characters, which a terminal might obey, are escaped.
fn escaped(out: &mut String, line: &str) {
    for character in line.chars() {
        if character.is_control() && character != '\t' {
            put(out, character.escape_unicode());
        } else {
            out.push(character);
        }
    }
}

fn put(out: &mut String, value: impl Display) {
    write!(out, "{value}").expect("a String takes everything");
}

/// A member of a JSON object, after others.
fn member(out: &mut String, name: &str, text: &str) {
    key(out, name);
    out.push('"');
    if text.bytes().all(|byte| byte >= b' ' && !matches!(byte, b'"' | b'\\' | 0x7f)) {
        out.push_str(text);
    } else {
        text.chars().for_each(|character| escape_json(out, character));
    }
    out.push('"');
}

fn escape_json(out: &mut String, character: char) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        other if other.is_control() => put(out, format_args!("\\u{:04x}", u32::from(other))),
        other => out.push(other),
    }
}

fn number(out: &mut String, name: &str, value: impl Display) {
    key(out, name);
    put(out, value);
}

fn key(out: &mut String, name: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &Record, expected: &str) {
        let mut layout = Layout::default();
        layout.record(given);
        assert_eq!(layout.text, expected);
    }

    fn sample(format: Format) -> Record {
        Record {
            format,
            time_us: 784_111_777_000_042,
            level: "ERROR".to_owned(),
            logger: "pyre.app".to_owned(),
            message: "first\nsecond \u{1b}[1m \"é\"".to_owned(),
            exception: "Traceback\n  in f\nKeyError: 1\n".to_owned(),
            thread: "pyre-worker-0.1".to_owned(),
            place: Some(("a.py".to_owned(), 7)),
            extra: "\"user\":5".to_owned(),
        }
    }

    #[test]
    fn a_text_has_one_line_that_is_not_indented() {
        check(
            &sample(Format::Text),
            "1994-11-06T08:49:37.000042Z ERROR pyre.app: first\n  second \\u{1b}[1m \"é\"\n  \
             Traceback\n    in f\n  KeyError: 1\n",
        );
    }

    #[test]
    fn json_is_one_line() {
        check(
            &sample(Format::Json),
            "{\"time\":\"1994-11-06T08:49:37.000042Z\",\"level\":\"ERROR\",\"logger\":\"pyre.app\",\
             \"message\":\"first\\nsecond \\u001b[1m \\\"é\\\"\",\
             \"exception\":\"Traceback\\n  in f\\nKeyError: 1\\n\",\
             \"thread\":\"pyre-worker-0.1\",\"file\":\"a.py\",\"line\":7,\"user\":5}\n",
        );
    }

    #[test]
    fn each_entry_has_its_own_time() {
        let mut layout = Layout::default();
        for time_us in [1_000_001, 1_999_999, 2_000_000] {
            layout.record(&Record { time_us, ..Record::default() });
        }
        let times: Vec<_> = layout.text.lines().map(|line| &line[17..27]).collect();
        assert_eq!(times, ["01.000001Z", "01.999999Z", "02.000000Z"]);
    }

    #[test]
    fn microseconds_are_shown_as_milliseconds() {
        for (us, expected) in [(0, "0.000"), (42, "0.042"), (1_234_567, "1234.567")] {
            assert_eq!(Milliseconds(us).to_string(), expected);
        }
    }

    #[test]
    fn what_clients_send_is_escaped() {
        assert_eq!(piece(b"/a b"), "/a b");
        assert_eq!(piece(b"/a\"b\xff\n"), "/a\\\"b\\xff\\n");
        assert_eq!(unquoted(b"/a'\"b\xff\n\\"), "/a'\"b\\xff\\n\\\\");
    }
}
