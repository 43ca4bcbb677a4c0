//! Requests in, as tables. Every case is read whole, byte by byte and cut at every offset, with the
//! buffer left alone and with the buffer moved after each piece, with bodies behind their heads, and with
//! bodies that nobody wants; all must agree.

mod heads;
mod framing;
mod streams;
mod corpus;
mod generated;

use crate::error::RequestError;
use crate::h1::reader::{Next, RequestReader};
use crate::limits::Limits;
use crate::message::{BodyFraming, Request};
use crate::version::Version;

/// A request without spans.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Seen {
    line: String,
    path: String,
    query: String,
    host: String,
    fields: Vec<(String, String)>,
    body: String,
    version: Version,
    keep_alive: bool,
    expects_continue: bool,
    framing: BodyFraming,
}

/// What came of some bytes: the requests, then an error or what is missing.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Outcome {
    requests: Vec<Seen>,
    end: Result<End, RequestError>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Idle,
    Ended,
    InHead,
    InBody,
}

/// Whether the caller takes requests and their bytes away after each piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Buffer {
    Kept,
    Moved,
    /// As `Moved`; and bodies that have not come whole are dropped.
    MovedAndDropped,
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn seen(request: &Request, bytes: &[u8], fields: Vec<(String, String)>) -> Seen {
    let part = |span: crate::span::Span| text(span.of(bytes));
    Seen {
        line: format!("{} {}", part(request.method_span), part(request.target)),
        path: part(request.path),
        query: part(request.query),
        host: part(request.host),
        fields,
        body: part(request.body),
        version: request.version,
        keep_alive: request.keep_alive,
        expects_continue: request.expects_continue,
        framing: request.framing,
    }
}

fn read<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: &Limits,
    buffer: Buffer,
) -> Outcome {
    let mut reader = RequestReader::new();
    let (mut bytes, mut table, mut requests) = (Vec::new(), Vec::new(), Vec::new());
    for piece in pieces {
        bytes.extend_from_slice(piece);
        loop {
            let field_count = table.len();
            match reader.next(&mut bytes, &mut table, limits) {
                Ok(Next::Request(request)) => {
                    assert_eq!(request.headers.first as usize, field_count);
                    assert_eq!(request.headers.end as usize, table.len());
                    assert!(request.body.end as usize <= reader.position());
                    let fields = request.headers_in(&table).iter();
                    let fields = fields
                        .map(|field| (text(field.name.of(&bytes)), text(field.value.of(&bytes))))
                        .collect();
                    requests.push(seen(&request, &bytes, fields));
                }
                Ok(Next::Partial) => {
                    assert_eq!(table.len(), field_count, "fields of a partial request");
                    break;
                }
                Err(error) => {
                    assert_eq!(table.len(), field_count, "fields of a refused request");
                    bytes.extend_from_slice(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
                    let again = reader.next(&mut bytes, &mut table, limits);
                    assert_eq!(again, Err(error), "served behind an error");
                    assert!(reader.pending().is_none() && !reader.is_idle());
                    return Outcome { requests, end: Err(error) };
                }
            }
        }
        if let Some(missing) = reader.body_bytes_missing() {
            assert!(missing > 0);
        }
        if buffer == Buffer::MovedAndDropped {
            reader.drop_body(&mut bytes);
            let head_end = text(&bytes[reader.position()..]).ends_with(r"\r\n\r\n");
            assert!(reader.pending().is_none() || head_end, "{:?}", text(&bytes));
        }
        if buffer != Buffer::Kept {
            bytes.drain(..reader.position());
            table.clear();
            reader.rebase();
            assert_eq!(reader.position(), 0);
        }
        if let Some(pending) = reader.pending() {
            let line = seen(pending, &bytes, Vec::new()).line;
            assert!(text(&bytes[reader.position()..]).starts_with(&line), "{line:?}");
        }
    }
    let end = match reader.pending() {
        Some(_) => End::InBody,
        None if reader.is_ended() => End::Ended,
        None if reader.is_idle() && reader.position() == bytes.len() => End::Idle,
        None => End::InHead,
    };
    Outcome { requests, end: Ok(end) }
}

/// As `read`, for a caller that takes every request with its head, and then its body as it comes.
fn read_in_parts<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Outcome {
    let mut reader = RequestReader::new();
    let (mut bytes, mut requests) = (Vec::new(), Vec::new());
    // The request whose body is coming.
    let mut begun: Option<(Seen, Vec<u8>)> = None;
    let mut read =
        |bytes: &mut Vec<u8>, begun: &mut Option<(Seen, Vec<u8>)>| -> Result<bool, RequestError> {
            if let Some((_, body)) = begun {
                let part = reader.read_body(bytes, limits)?;
                body.extend_from_slice(&bytes[..part.length]);
                bytes.drain(..part.end.unwrap_or(bytes.len()));
                let Some((mut request, body)) = begun.take_if(|_| part.end.is_some()) else {
                    return Ok(false);
                };
                assert_eq!(reader.position(), 0);
                request.body = text(&body);
                requests.push(request);
                return Ok(true);
            }
            let mut table = Vec::new();
            let fields = |request: &Request, table: &[_], bytes: &[u8]| {
                let fields = request.headers_in(table).iter();
                let part = |field: &crate::header::HeaderSpan| {
                    (text(field.name.of(bytes)), text(field.value.of(bytes)))
                };
                fields.map(part).collect()
            };
            if let Next::Request(request) = reader.next(bytes, &mut table, limits)? {
                requests.push(seen(&request, bytes, fields(&request, &table, bytes)));
                bytes.drain(..reader.position());
                reader.rebase();
                return Ok(true);
            }
            let Some((request, first)) = reader.begin_body(bytes, &mut table, limits)? else {
                return Ok(false);
            };
            assert_eq!((reader.position(), request.body.of(bytes).len()), (bytes.len(), 0));
            assert!(reader.pending().is_none() && !reader.is_idle() && !reader.is_ended());
            *begun = Some((seen(&request, bytes, fields(&request, &table, bytes)), first));
            bytes.clear();
            reader.rebase();
            Ok(false)
        };
    for piece in pieces {
        bytes.extend_from_slice(piece);
        loop {
            match read(&mut bytes, &mut begun) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    bytes.extend_from_slice(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
                    let again = read(&mut bytes, &mut begun);
                    assert_eq!(again, Err(error), "served behind an error");
                    return Outcome { requests, end: Err(error) };
                }
            }
        }
    }
    let end = match begun {
        Some(_) => End::InBody,
        None if reader.is_ended() => End::Ended,
        None if reader.is_idle() && reader.position() == bytes.len() => End::Idle,
        None => End::InHead,
    };
    Outcome { requests, end: Ok(end) }
}

/// Reads `input` in every way, and gives the outcome that all of them must have.
fn read_every_way(input: &[u8], limits: &Limits) -> Outcome {
    let whole = read([input], limits, Buffer::Kept);
    let in_parts = read_in_parts([input], limits);
    assert_eq!(in_parts, whole, "with its head: {:?}", text(input));
    let in_parts = read_in_parts(input.chunks(1), limits);
    assert_eq!(in_parts, whole, "with its head, byte by byte: {:?}", text(input));
    for buffer in [Buffer::Kept, Buffer::Moved] {
        let bytewise = read(input.chunks(1), limits, buffer);
        assert_eq!(bytewise, whole, "byte by byte, {buffer:?}: {:?}", text(input));
        // Inputs of more than 1,000 bytes are cut at some offsets only, for time.
        for at in (1..input.len()).step_by(1 + input.len().pow(2) / 1_000_000) {
            let (before, after) = input.split_at(at);
            let cut = read([before, after], limits, buffer);
            assert_eq!(cut, whole, "cut at {at}, {buffer:?}: {:?}", text(input));
            if let Buffer::Moved = buffer {
                let cut = read_in_parts([before, after], limits);
                assert_eq!(cut, whole, "with its head, cut at {at}: {:?}", text(input));
            }
        }
    }
    for size in [1, 2, 7, 64] {
        let dropped = read(input.chunks(size), limits, Buffer::MovedAndDropped);
        assert_eq!(dropped.end, whole.end, "dropped, by {size}: {:?}", text(input));
        assert_eq!(dropped.requests.len(), whole.requests.len(), "by {size}: {:?}", text(input));
        for (dropped, request) in dropped.requests.iter().zip(&whole.requests) {
            // One that has come at once is not dropped.
            let is_whole = dropped.body == request.body;
            assert!(is_whole || dropped.body.is_empty(), "by {size}: {:?}", text(input));
            let expected = Seen { body: dropped.body.clone(), ..request.clone() };
            assert_eq!(*dropped, expected, "dropped, by {size}: {:?}", text(input));
        }
    }
    whole
}

fn check_with(limits: &Limits, input: &[u8], expected: Result<usize, RequestError>) -> Vec<Seen> {
    let outcome = read_every_way(input, limits);
    match expected {
        Ok(count) => {
            assert_eq!(outcome.requests.len(), count, "{:?}", text(input));
            let last = outcome.requests.last().expect("at least one request");
            let end = if last.keep_alive { End::Idle } else { End::Ended };
            assert_eq!(outcome.end, Ok(end), "{:?}", text(input));
        }
        Err(error) => assert_eq!(outcome.end, Err(error), "{:?}", text(input)),
    }
    outcome.requests
}

/// Whether these bytes are one request, or which error.
fn check(input: impl AsRef<[u8]>, expected: Result<(), RequestError>) {
    check_with(&Limits::default(), input.as_ref(), expected.map(|()| 1));
}

/// The only request in these bytes.
fn only(input: impl AsRef<[u8]>) -> Seen {
    check_with(&Limits::default(), input.as_ref(), Ok(1)).remove(0)
}

/// The head of a request with a body in chunks.
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
