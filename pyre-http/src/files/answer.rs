//! The answer to a request for a file: preconditions first, then the parts that are asked for.

use crate::files::condition::{self, Validators, Verdict};
use crate::files::range::{self, Ranges};
use crate::h1::refuse::write_error;
use crate::h1::serialize::{Connection, Delimited, Heads};
use crate::header::{HeaderSpan, find_only};
use crate::message::Request;
use crate::method::Method;

/// A version of a file as it is sent.
#[derive(Clone, Copy, Debug)]
pub struct Representation<'a> {
    /// In bytes.
    pub size: u64,
    /// By what clients know it again.
    pub validators: Validators<'a>,
    /// The value of `Content-Type`.
    pub content_type: &'a [u8],
    /// Whole fields, each behind the end of the line before, that 304 has as well (RFC 9110 section 15.4.5):
    /// `ETag`, `Cache-Control`, `Vary`.
    pub kept: &'a [u8],
    /// The other fields of 200 and 206, likewise.
    pub described: &'a [u8],
}

/// A request, and where its fields are.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The request.
    pub request: &'a Request,
    /// Its fields.
    pub fields: &'a [HeaderSpan],
    /// What they point to.
    pub bytes: &'a [u8],
    /// Fields that its answer bears, whatever it is.
    pub extra: &'a [(&'a [u8], &'a [u8])],
    /// The time, in seconds since 1970.
    pub now_s: u64,
}

/// What comes behind the head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// Nothing, or it stands behind the head already.
    None,
    /// The whole file.
    Whole,
    /// Parts of the file, and what frames them.
    Pieces(Vec<Piece>),
}

/// One piece of a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// Bytes between parts of the file.
    Text(Vec<u8>),
    /// Where a part of the file begins, and how long it is.
    Part(u64, u64),
}

/// The strong validator of a file that was changed then, in seconds since 1970 and nanoseconds behind that.
#[must_use]
pub fn etag(modified: (i64, i64), size: u64) -> String {
    format!("\"{:x}.{:x}-{size:x}\"", modified.0, modified.1)
}

/// Whether a request has any field that decides what [`write()`] writes.
#[inline]
#[must_use]
pub fn is_particular(fields: &[HeaderSpan], bytes: &[u8]) -> bool {
    fields.iter().any(|field| {
        let name = field.name.of(bytes);
        match name {
            [b'i' | b'I', b'f' | b'F', b'-', ..] => true,
            _ => name.len() == 5 && name.eq_ignore_ascii_case(b"range"),
        }
    })
}

/// Writes the head; tells the status, and what comes behind. `status` is what the answer has if nothing else
/// is asked for: of one that is no success no precondition and no range is looked at (RFC 9110 section
/// 13.2.1), nor of a request that does not ask for a file with GET or HEAD: whatever it was to do has been
/// done. `boundary` makes a text that the file does not have.
pub fn write(
    heads: Heads<'_>,
    out: &mut Vec<u8>,
    status: u16,
    file: &Representation<'_>,
    asked: Asked<'_>,
    boundary: impl FnOnce() -> String,
) -> (u16, Payload) {
    let Asked { request, fields, bytes, extra, now_s } = asked;
    let connection = Connection::of(request);
    let head_only = request.method == Method::Head;
    let mut ranges = Ranges::Ignored;
    if status == 200 && matches!(request.method, Method::Get | Method::Head) {
        match condition::evaluate(fields, bytes, file.validators, now_s) {
            Verdict::Holds => {}
            Verdict::NotModified => {
                let mut head = heads.begin(out, 304);
                head.prepared(file.kept);
                extra.iter().for_each(|(name, value)| {
                    head.header(name, value);
                });
                head.finish(0, connection);
                return (304, Payload::None);
            }
            Verdict::Fails => {
                write_error(heads, out, 412, connection, extra, head_only);
                return (412, Payload::None);
            }
        }
        // Section 14.2: it is defined for GET alone.
        if !head_only
            && let Some(range) = find_only(fields, bytes, b"range")
            && condition::range_holds(fields, bytes, file.validators, now_s)
        {
            ranges = range::read(range.of(bytes), file.size);
        }
    }
    let (status, content_range, payload, content_type) = match ranges {
        Ranges::Ignored => (status, None, Payload::Whole, None),
        Ranges::Unsatisfiable => {
            let there = format!("bytes */{}", file.size);
            let extra: Vec<_> = extra
                .iter()
                .copied()
                .chain([(&b"Content-Range"[..], there.as_bytes()), (b"Accept-Ranges", b"bytes")])
                .collect();
            write_error(heads, out, 416, connection, &extra, head_only);
            return (416, Payload::None);
        }
        Ranges::These(parts) => match parts[..] {
            [(first, bytes)] => {
                let piece = Payload::Pieces(vec![Piece::Part(first, bytes)]);
                (206, Some(content_range(first, bytes, file.size)), piece, None)
            }
            _ => {
                let boundary = boundary();
                let content_type = format!("multipart/byteranges; boundary={boundary}");
                (206, None, framed(&parts, &boundary, file), Some(content_type))
            }
        },
    };
    let mut head = heads.begin(out, status);
    head.header(
        b"Content-Type",
        content_type.as_ref().map_or(file.content_type, |it| it.as_bytes()),
    );
    head.prepared(file.kept).prepared(file.described);
    if let Some(content_range) = &content_range {
        head.header(b"Content-Range", content_range.as_bytes());
    }
    for (name, value) in extra {
        head.header(name, value);
    }
    head.finish_streamed(Delimited::Length(payload_bytes(&payload, file.size)), connection);
    (status, if head_only { Payload::None } else { payload })
}

/// How long a body is.
fn payload_bytes(payload: &Payload, size: u64) -> u64 {
    match payload {
        Payload::None => 0,
        Payload::Whole => size,
        Payload::Pieces(pieces) => pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.len() as u64,
                Piece::Part(_, bytes) => *bytes,
            })
            .sum(),
    }
}

fn content_range(first: u64, bytes: u64, size: u64) -> String {
    format!("bytes {first}-{}/{size}", first + bytes - 1)
}

/// Several parts, each with a head of its own (RFC 9110 section 14.6).
fn framed(parts: &[(u64, u64)], boundary: &str, file: &Representation<'_>) -> Payload {
    let mut pieces = Vec::with_capacity(parts.len() * 2 + 1);
    for (index, &(first, bytes)) in parts.iter().enumerate() {
        let mut text = Vec::new();
        text.extend_from_slice(if index == 0 { b"--" } else { b"\r\n--" });
        text.extend_from_slice(boundary.as_bytes());
        text.extend_from_slice(b"\r\nContent-Type: ");
        text.extend_from_slice(file.content_type);
        text.extend_from_slice(b"\r\nContent-Range: ");
        text.extend_from_slice(content_range(first, bytes, file.size).as_bytes());
        text.extend_from_slice(b"\r\n\r\n");
        pieces.push(Piece::Text(text));
        pieces.push(Piece::Part(first, bytes));
    }
    pieces.push(Piece::Text(format!("\r\n--{boundary}--\r\n").into_bytes()));
    Payload::Pieces(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h1::reader::{Next, RequestReader};
    use crate::h1::serialize::ResponseHeads;
    use crate::limits::Limits;

    const FILE: Representation<'_> = Representation {
        size: 1000,
        validators: Validators { etag: b"\"a\"", modified_s: 1_000 },
        content_type: b"text/plain; charset=utf-8",
        kept: b"\r\nETag: \"a\"",
        described: b"\r\nAccept-Ranges: bytes",
    };
    const DATE: &str = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

    fn answer(method: &str, fields: &str, status: u16) -> (String, u16, Payload) {
        let mut bytes = format!("{method} /a HTTP/1.1\r\nHost: h\r\n{fields}\r\n").into_bytes();
        let mut table = Vec::new();
        let read = RequestReader::new().next(&mut bytes, &mut table, &Limits::default());
        let Ok(Next::Request(request)) = read else { panic!("it is whole") };
        let mut out = Vec::new();
        let heads = ResponseHeads::new(false, None, None);
        let extra: &[(&[u8], &[u8])] = &[(b"X-A", b"b")];
        let (fields, bytes, now_s) = (&table[..], &bytes[..], 5_000);
        let asked = Asked { request: &request, fields, bytes, extra, now_s };
        let made = || "bound".to_owned();
        let (status, payload) = write(heads.plain(), &mut out, status, &FILE, asked, made);
        (String::from_utf8(out).unwrap().replace(DATE, ""), status, payload)
    }

    fn ok(status: &str, length: u64) -> String {
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nETag: \"a\"\r\n\
             Accept-Ranges: bytes\r\nX-A: b\r\nContent-Length: {length}\r\n\r\n"
        )
    }

    #[test]
    fn whole_files() {
        assert_eq!(answer("GET", "", 200), (ok("200 OK", 1000), 200, Payload::Whole));
        assert_eq!(answer("HEAD", "", 200), (ok("200 OK", 1000), 200, Payload::None));
        let range = "Range: bytes=0-1\r\n";
        assert_eq!(answer("HEAD", range, 200), (ok("200 OK", 1000), 200, Payload::None));
        let other = "Range: bytes=0-1\r\nIf-Range: \"b\"\r\n";
        assert_eq!(answer("GET", other, 200), (ok("200 OK", 1000), 200, Payload::Whole));
        let twice = "Range: bytes=0-1\r\nRange: bytes=0-1\r\n";
        assert_eq!(answer("GET", twice, 200).1, 200);
        let all = "Range: bytes=0-1\r\nIf-None-Match: \"a\"\r\n";
        assert_eq!(answer("GET", all, 404), (ok("404 Not Found", 1000), 404, Payload::Whole));
    }

    #[test]
    fn what_the_client_has_or_does_not_want() {
        let (head, status, payload) = answer("GET", "If-None-Match: \"a\"\r\n", 200);
        assert_eq!(head, "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nX-A: b\r\n\r\n");
        assert_eq!((status, payload), (304, Payload::None));
        let (head, status, payload) = answer("GET", "If-Match: \"b\"\r\n", 200);
        assert!(head.starts_with("HTTP/1.1 412 ") && head.ends_with("\"}"), "{head}");
        assert_eq!((status, payload), (412, Payload::None));
        let both = "If-None-Match: \"a\"\r\nRange: bytes=9999-\r\n";
        assert_eq!(answer("GET", both, 200).1, 304);
    }

    #[test]
    fn what_was_done_is_not_refused_behind_that() {
        for fields in ["If-None-Match: \"a\"", "If-Match: \"b\"", "Range: bytes=0-1"] {
            let answer = answer("POST", &format!("{fields}\r\n"), 200);
            assert_eq!(answer, (ok("200 OK", 1000), 200, Payload::Whole), "{fields}");
        }
    }

    #[test]
    fn one_part() {
        let (head, status, payload) = answer("GET", "Range: bytes=10-19\r\n", 200);
        let expected =
            ok("206 Partial Content", 10).replace("X-A", "Content-Range: bytes 10-19/1000\r\nX-A");
        assert_eq!(head, expected);
        assert_eq!((status, payload), (206, Payload::Pieces(vec![Piece::Part(10, 10)])));
        let (head, status, payload) = answer("GET", "Range: bytes=1000-\r\n", 200);
        assert!(head.contains("\r\nContent-Range: bytes */1000\r\n"), "{head}");
        assert!(head.ends_with(r#"{"error":"range not satisfiable"}"#), "{head}");
        assert_eq!((status, payload), (416, Payload::None));
    }

    #[test]
    fn several_parts() {
        let (head, status, payload) = answer("GET", "Range: bytes=0-1,-2\r\n", 200);
        let Payload::Pieces(pieces) = payload else { panic!("it has pieces") };
        let mut body = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => body.extend_from_slice(&text),
                Piece::Part(first, bytes) => {
                    body.extend_from_slice(format!("[{first}+{bytes}]").as_bytes());
                }
            }
        }
        let length = body.len() - "[0+2][998+2]".len() + 4;
        let part = "Content-Type: text/plain; charset=utf-8\r\nContent-Range: bytes";
        assert_eq!(
            String::from_utf8(body).unwrap(),
            format!(
                "--bound\r\n{part} 0-1/1000\r\n\r\n[0+2]\r\n--bound\r\n{part} 998-999/1000\r\n\r\n\
                 [998+2]\r\n--bound--\r\n"
            )
        );
        assert!(head.contains(&format!("\r\nContent-Length: {length}\r\n")), "{head} {length}");
        assert!(head.contains("\r\nContent-Type: multipart/byteranges; boundary=bound\r\n"));
        assert_eq!(status, 206);
    }

    #[test]
    fn what_is_particular() {
        for (fields, expected) in [
            ("", false),
            ("Accept: */*\r\nX-If-A: 1\r\n", false),
            ("range: bytes=0-\r\n", true),
            ("If-None-Match: *\r\n", true),
            ("if-modified-since: x\r\n", true),
        ] {
            let mut bytes = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n").into_bytes();
            let mut table = Vec::new();
            RequestReader::new().next(&mut bytes, &mut table, &Limits::default()).unwrap();
            assert_eq!(is_particular(&table, &bytes), expected, "{fields:?}");
        }
    }
}
