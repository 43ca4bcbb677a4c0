//! Requests in, as tables. Every case is read whole, byte by byte and cut at every offset, with the
//! buffer left alone and with the buffer moved after each piece; all must agree.

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
#[derive(Clone, Copy, Debug)]
enum Buffer {
    Kept,
    Moved,
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
        if let Buffer::Moved = buffer {
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

/// Reads `input` in every way, and gives the outcome that all of them must have.
fn read_every_way(input: &[u8], limits: &Limits) -> Outcome {
    let whole = read([input], limits, Buffer::Kept);
    for buffer in [Buffer::Kept, Buffer::Moved] {
        let bytewise = read(input.chunks(1), limits, buffer);
        assert_eq!(bytewise, whole, "byte by byte, {buffer:?}: {:?}", text(input));
        // Inputs of more than 1,000 bytes are cut at some offsets only, for time.
        for at in (1..input.len()).step_by(1 + input.len().pow(2) / 1_000_000) {
            let (before, after) = input.split_at(at);
            let cut = read([before, after], limits, buffer);
            assert_eq!(cut, whole, "cut at {at}, {buffer:?}: {:?}", text(input));
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

#[test]
fn a_plain_request() {
    assert_eq!(
        only("GET /a/b?c=d HTTP/1.1\r\nHost: h:80\r\nX-Empty:\r\nX-Space: \t a b \t \r\n\r\n"),
        Seen {
            line: "GET /a/b?c=d".into(),
            path: "/a/b".into(),
            query: "c=d".into(),
            host: "h:80".into(),
            fields: [("Host", "h:80"), ("X-Empty", ""), ("X-Space", "a b")]
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            body: "".into(),
            version: Version::Http11,
            keep_alive: true,
            expects_continue: false,
            framing: BodyFraming::None,
        }
    );
}

#[test]
fn request_lines() {
    use RequestError::*;
    for (line, expected) in [
        ("GET / HTTP/1.1", Ok(())),
        ("get / HTTP/1.1", Ok(())),
        ("M!#$%&'*+-.^_`|~9 / HTTP/1.1", Ok(())),
        ("GET /%zz\"<>[]\\^`{|} HTTP/1.1", Ok(())),
        ("OPTIONS * HTTP/1.1", Ok(())),
        ("CONNECT h:80 HTTP/1.1", Ok(())),
        ("GET http://other/a HTTP/1.1", Ok(())),
        (" GET / HTTP/1.1", Err(MethodInvalid)),
        ("\tGET / HTTP/1.1", Err(MethodInvalid)),
        ("G(T / HTTP/1.1", Err(MethodInvalid)),
        ("GET\t/ HTTP/1.1", Err(MethodInvalid)),
        ("GET\0 / HTTP/1.1", Err(MethodInvalid)),
        ("GET", Err(MethodInvalid)),
        ("\u{16}\u{3}\u{1}\u{2}", Err(MethodInvalid)),
        ("GET  / HTTP/1.1", Err(TargetInvalid)),
        ("GET /", Err(TargetInvalid)),
        ("GET /\t HTTP/1.1", Err(TargetInvalid)),
        ("GET /a#b HTTP/1.1", Err(TargetInvalid)),
        ("GET /# HTTP/1.1", Err(TargetInvalid)),
        ("GET /\u{e9} HTTP/1.1", Err(TargetInvalid)),
        ("GET /\0 HTTP/1.1", Err(TargetInvalid)),
        ("GET /\u{7f} HTTP/1.1", Err(TargetInvalid)),
        ("GET /a\rb HTTP/1.1", Err(TargetInvalid)),
        ("GET a HTTP/1.1", Err(TargetFormInvalid)),
        ("GET * HTTP/1.1", Err(TargetFormInvalid)),
        ("CONNECT / HTTP/1.1", Err(TargetFormInvalid)),
        ("GET ftp://h/ HTTP/1.1", Err(TargetFormInvalid)),
        ("GET http://u@h/ HTTP/1.1", Err(HostInvalid)),
        ("GET /  HTTP/1.1", Err(VersionInvalid)),
        ("GET / HTTP/1.1 ", Err(VersionInvalid)),
        ("GET / HTTP/1.1\t", Err(VersionInvalid)),
        ("GET / HTTP/1.10", Err(VersionInvalid)),
        ("GET / HTTP/11", Err(VersionInvalid)),
        ("GET / HTTP/1", Err(VersionInvalid)),
        ("GET / HTTP/1,1", Err(VersionInvalid)),
        ("GET / HTTP/+1.1", Err(VersionInvalid)),
        ("GET / http/1.1", Err(VersionInvalid)),
        ("GET / HTTPS/1.1", Err(VersionInvalid)),
        ("GET / ICY/1.1", Err(VersionInvalid)),
        ("GET / x HTTP/1.1", Err(VersionInvalid)),
        ("GET / HTTP/0.9", Err(VersionUnsupported)),
        ("GET / HTTP/1.2", Err(VersionUnsupported)),
        ("PRI * HTTP/2.0", Err(VersionUnsupported)),
        ("GET / HTTP/9.9", Err(VersionUnsupported)),
    ] {
        check(format!("{line}\r\nHost: h\r\n\r\n"), expected);
    }
    check(b"GET /\xff\xfe HTTP/1.1\r\nHost: h\r\n\r\n", Err(TargetInvalid));
}

#[test]
fn lines_end_with_crlf_alone() {
    use RequestError::*;
    for (input, error) in [
        ("GET / HTTP/1.1\nHost: h\r\n\r\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: h\n\r\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: h\r\n\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: h\n\n", BareLf),
        ("GET / HTTP/1.1\n\n", BareLf),
        ("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", BareLf),
        ("\r\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\nTransfer-Encoding: chunked\r\n\r\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: h\r\nA:\nb: c\r\n\r\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: h\r\nA\nb: c\r\n\r\n", BareLf),
        ("\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", BareCr),
        ("GET / HTTP/1.1\rHost: h\r\n\r\n", BareCr),
        ("GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", BareCr),
        ("GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", BareCr),
        ("GET / HTTP/1.1\r\nHost: h\rA: b\r\n\r\n", BareCr),
        ("GET / HTTP/1.1\r\nHost: h\r\n\rA: b\r\n\r\n", BareCr),
        ("GET / HTTP/1.1\r\nHost: h\r\nA:\r b\r\n\r\n", BareCr),
        ("GET / HTTP/1.1\r\nHost: h\r\nA\r\n: b\r\n\r\n", HeaderNameInvalid),
    ] {
        check(input, Err(error));
    }
}

#[test]
fn empty_lines_before_a_request() {
    let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    check(format!("\r\n{request}"), Ok(()));
    check(format!("\r\n\r\n{request}"), Ok(()));
    check(format!("\r\n\r\n\r\n{request}"), Err(RequestError::TooManyEmptyLines));
    let two = format!("{request}\r\n{request}");
    assert_eq!(check_with(&Limits::default(), two.as_bytes(), Ok(2)).len(), 2);
}

#[test]
fn header_lines() {
    use RequestError::*;
    for (lines, expected) in [
        ("Host: h\r\na_b: c", Ok(())),
        ("Host: h\r\n!#$%&'*+-.^_`|~9:c", Ok(())),
        ("Host: h\r\nA: caf\u{e9} \"quoted\" (x)", Ok(())),
        ("Host: h\r\nA: b:c", Ok(())),
        (" Host: h", Err(SpaceBeforeHeaders)),
        ("\tHost: h", Err(SpaceBeforeHeaders)),
        ("Host: h\r\n more", Err(ObsFold)),
        ("Host: h\r\n\tmore", Err(ObsFold)),
        ("Host: h\r\n ", Err(ObsFold)),
        ("Host: h\r\nA: b\r\n Transfer-Encoding: chunked", Err(ObsFold)),
        ("Host : h", Err(SpaceBeforeColon)),
        ("Host\t: h", Err(SpaceBeforeColon)),
        ("Host: h\r\nTransfer-Encoding : chunked", Err(SpaceBeforeColon)),
        ("Host: h\r\nContent-Length\t: 5", Err(SpaceBeforeColon)),
        ("Host: h\r\n: b", Err(HeaderNameInvalid)),
        ("Host: h\r\nA", Err(HeaderNameInvalid)),
        ("Host: h\r\nA\0: b", Err(HeaderNameInvalid)),
        ("Host: h\r\nA\u{b}: b", Err(HeaderNameInvalid)),
        ("Host: h\r\n(A): b", Err(HeaderNameInvalid)),
        ("Host: h\r\n\"A\": b", Err(HeaderNameInvalid)),
        ("Host: h\r\n\u{e9}: b", Err(HeaderNameInvalid)),
        ("Host: h\r\n\u{feff}A: b", Err(HeaderNameInvalid)),
        ("Host: h\r\nA: \0", Err(HeaderValueInvalid)),
        ("Host: h\r\nA: b\0c", Err(HeaderValueInvalid)),
        ("Host: h\r\nA: \u{b}b", Err(HeaderValueInvalid)),
        ("Host: h\r\nA: b\u{7f}", Err(HeaderValueInvalid)),
        ("Host: h\r\nA: b\u{8}", Err(HeaderValueInvalid)),
        ("Host: h\r\nTransfer-Encoding: \u{b}chunked", Err(HeaderValueInvalid)),
    ] {
        check(format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n"), expected);
    }
}

#[test]
fn every_byte_in_every_place() {
    let is_control = |byte: u8| byte < b' ' && byte != b'\t' || byte == 0x7f;
    for byte in 0..=255 {
        for (place, is_right) in [
            ("G?T / HTTP/1.1\r\nHost: h\r\n\r\n", crate::header::is_token_byte(byte)),
            ("GET /?b HTTP/1.1\r\nHost: h\r\n\r\n", byte > b' ' && byte < 0x7f && byte != b'#'),
            ("GET / HTTP/1.1\r\nHost: h\r\nA?: b\r\n\r\n", {
                crate::header::is_token_byte(byte) || byte == b':'
            }),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: b?c\r\n\r\n", !is_control(byte)),
            // Long enough for the wide loops of httparse.
            (
                "GET / HTTP/1.1\r\nHost: h\r\n\
                 A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb?bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n\r\n",
                !is_control(byte),
            ),
            (
                "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \
                 HTTP/1.1\r\nHost: h\r\n\r\n",
                byte > b' ' && byte < 0x7f && byte != b'#',
            ),
        ] {
            let mut input = place.as_bytes().to_vec();
            let at = place.find('?').unwrap();
            input[at] = byte;
            let outcome = read([&input[..]], &Limits::default(), Buffer::Kept);
            assert_eq!(outcome.end.is_ok(), is_right, "{:?}", text(&input));
            assert_eq!(read(input.chunks(1), &Limits::default(), Buffer::Kept), outcome);
        }
    }
}

#[test]
fn hosts() {
    use RequestError::*;
    for (version, lines, expected) in [
        ("1.1", "Host: a.example:8000\r\n", Ok("a.example:8000")),
        ("1.1", "hOST:[::1]\r\n", Ok("[::1]")),
        ("1.1", "Host:\r\n", Ok("")),
        ("1.0", "", Ok("")),
        ("1.0", "Host: a\r\n", Ok("a")),
        ("1.1", "", Err(HostMissing)),
        ("1.1", "X-Host: a\r\n", Err(HostMissing)),
        ("1.1", "Host: a\r\nHost: a\r\n", Err(HostRepeated)),
        ("1.1", "Host: a\r\nHOST: b\r\n", Err(HostRepeated)),
        ("1.1", "Host:\r\nHost: b\r\n", Err(HostRepeated)),
        ("1.0", "Host: a\r\nHost: a\r\n", Err(HostRepeated)),
        ("1.1", "Host: a b\r\n", Err(HostInvalid)),
        ("1.1", "Host: a/b\r\n", Err(HostInvalid)),
        ("1.1", "Host: u@a\r\n", Err(HostInvalid)),
        ("1.1", "Host: http://a\r\n", Err(HostInvalid)),
        ("1.1", "Host: a:port\r\n", Err(HostInvalid)),
        ("1.0", "Host: a:port\r\n", Err(HostInvalid)),
    ] {
        let input = format!("GET / HTTP/{version}\r\n{lines}\r\n");
        match expected {
            Ok(host) => assert_eq!(only(input).host, host),
            Err(error) => check(input, Err(error)),
        }
    }
    // The authority in the target wins, but Host is needed and checked all the same.
    assert_eq!(only("GET http://a:1/b HTTP/1.1\r\nHost: c\r\n\r\n").host, "a:1");
    assert_eq!(only("CONNECT a:1 HTTP/1.1\r\nHost: c\r\n\r\n").host, "a:1");
    check("GET http://a/ HTTP/1.1\r\n\r\n", Err(HostMissing));
    check("GET http://a/ HTTP/1.1\r\nHost: c d\r\n\r\n", Err(HostInvalid));
}

#[test]
fn connections() {
    for (version, lines, keep_alive) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "connection: CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: upgrade , close\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: ,x,\tkeep-alive\t\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.0", "X: keep-alive\r\n", false),
    ] {
        let request = only(format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n"));
        assert_eq!(request.keep_alive, keep_alive, "HTTP/{version} {lines:?}");
    }
}

#[test]
fn expectations() {
    let body = "Content-Length: 1\r\n\r\nx";
    for (version, lines, expected) in [
        ("1.1", format!("Expect: 100-continue\r\n{body}"), Ok(true)),
        ("1.1", format!("expect: 100-Continue\r\n{body}"), Ok(true)),
        ("1.1", format!("Accept: 100-continue\r\n{body}"), Ok(false)),
        ("1.0", format!("Expect: 100-continue\r\n{body}"), Ok(false)),
        ("1.0", format!("Expect: nothing\r\n{body}"), Ok(false)),
        ("1.1", "Expect: 100-continue\r\n\r\n".into(), Ok(false)),
        ("1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n".into(), Ok(false)),
        (
            "1.1",
            "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
            Ok(true),
        ),
        ("1.1", format!("Expect: nothing\r\n{body}"), Err(RequestError::ExpectationUnknown)),
        ("1.1", format!("Expect:\r\n{body}"), Err(RequestError::ExpectationUnknown)),
    ] {
        let input = format!("POST / HTTP/{version}\r\nHost: h\r\n{lines}");
        match expected {
            Ok(expects) => assert_eq!(only(&input).expects_continue, expects, "{input:?}"),
            Err(error) => check(input, Err(error)),
        }
    }
}

#[test]
fn lengths() {
    use RequestError::*;
    for (lines, expected) in [
        ("Content-Length: 5", Ok("hello")),
        ("content-LENGTH:\t5 ", Ok("hello")),
        ("Content-Length: 0000000000000000005", Ok("hello")),
        ("Content-Length: 5\r\nContent-Length: 5", Err(ContentLengthRepeated)),
        ("Content-Length: 5\r\nContent-Length: 6", Err(ContentLengthRepeated)),
        ("Content-Length: 5\r\ncontent-length:", Err(ContentLengthRepeated)),
        ("Content-Length: 5, 5", Err(ContentLengthRepeated)),
        ("Content-Length: 5,", Err(ContentLengthRepeated)),
        ("Content-Length:", Err(ContentLengthInvalid)),
        ("Content-Length: +5", Err(ContentLengthInvalid)),
        ("Content-Length: -5", Err(ContentLengthInvalid)),
        ("Content-Length: -0", Err(ContentLengthInvalid)),
        ("Content-Length: 0x5", Err(ContentLengthInvalid)),
        ("Content-Length: 5 5", Err(ContentLengthInvalid)),
        ("Content-Length: 5;a=b", Err(ContentLengthInvalid)),
        ("Content-Length: 5.0", Err(ContentLengthInvalid)),
        ("Content-Length: 5e0", Err(ContentLengthInvalid)),
        ("Content-Length: \"5\"", Err(ContentLengthInvalid)),
        ("Content-Length: 5_0", Err(ContentLengthInvalid)),
        ("Content-Length: \u{665}", Err(ContentLengthInvalid)),
        ("Content-Length: 18446744073709551621", Err(ContentLengthInvalid)),
        ("Content-Length: 00000000000000000005", Err(ContentLengthInvalid)),
        ("Content-Length: 9999999999999999999", Err(BodyTooLarge)),
        ("Content-Length: 10485761", Err(BodyTooLarge)),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", Err(LengthAndEncoding)),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", Err(LengthAndEncoding)),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0", Err(LengthAndEncoding)),
    ] {
        let input = format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\nhello");
        match expected {
            Ok(body) => assert_eq!(only(&input).body, body, "{input:?}"),
            Err(error) => check(input, Err(error)),
        }
    }
    let none = only("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(none.framing, BodyFraming::Length(0));
}

#[test]
fn transfer_codings() {
    use RequestError::*;
    for (lines, expected) in [
        ("Transfer-Encoding: chunked", Ok(())),
        ("transfer-encoding:CHUNKED", Ok(())),
        ("Transfer-Encoding: chunked, chunked", Err(TransferEncodingInvalid)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Err(TransferEncodingInvalid)),
        ("Transfer-Encoding:", Err(TransferEncodingInvalid)),
        ("Transfer-Encoding: ,chunked", Err(TransferEncodingInvalid)),
        ("Transfer-Encoding: chunked,", Err(TransferEncodingInvalid)),
        ("Transfer-Encoding: chunked;q=1", Err(TransferEncodingInvalid)),
        ("Transfer-Encoding: \"chunked\"", Err(TransferEncodingInvalid)),
        ("Transfer-Encoding: chunked x", Err(TransferEncodingInvalid)),
        ("Transfer-Encoding: chunked\u{a0}", Err(TransferEncodingInvalid)),
        ("Transfer-Encoding: gzip", Err(TransferEncodingUnknown)),
        ("Transfer-Encoding: identity", Err(TransferEncodingUnknown)),
        ("Transfer-Encoding: gzip, chunked", Err(TransferEncodingUnknown)),
        ("Transfer-Encoding: chunked, identity", Err(TransferEncodingUnknown)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", Err(TransferEncodingUnknown)),
        ("Transfer-Encoding: xchunked", Err(TransferEncodingUnknown)),
        ("Transfer-Encoding: chunke", Err(TransferEncodingUnknown)),
    ] {
        check(format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n0\r\n\r\n"), expected);
    }
    check(
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Err(TransferEncodingInHttp10),
    );
    // A name that only looks alike is a header like any other.
    let underscore = only("POST / HTTP/1.1\r\nHost: h\r\nTransfer_Encoding: chunked\r\n\r\n");
    assert_eq!(underscore.framing, BodyFraming::None);
}

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn chunks() {
    use RequestError::*;
    for (chunks, expected) in [
        ("0\r\n\r\n", Ok("")),
        ("5\r\nhello\r\n0\r\n\r\n", Ok("hello")),
        ("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", Ok("hello")),
        ("00005\r\nhello\r\n0000\r\n\r\n", Ok("hello")),
        ("0000000000000005\r\nhello\r\n0\r\n\r\n", Ok("hello")),
        ("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", Ok("01234567890123456789")),
        ("5;a\r\nhello\r\n0;b=c\r\n\r\n", Ok("hello")),
        ("5 ; a = b ; c=\"d;\\\"\te\" ;f\r\nhello\r\n0\r\n\r\n", Ok("hello")),
        ("2\r\n\r\n\r\n0\r\n\r\n", Ok("\\r\\n")),
        ("5\r\nhello\r\n0\r\nA: b\r\nC:\r\n\r\n", Ok("hello")),
        ("0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nHost: y\r\n\r\n", Ok("")),
        ("\r\n", Err(ChunkSizeInvalid)),
        ("x\r\n", Err(ChunkSizeInvalid)),
        (" 5\r\nhello\r\n", Err(ChunkSizeInvalid)),
        ("+5\r\nhello\r\n", Err(ChunkSizeInvalid)),
        ("-5\r\nhello\r\n", Err(ChunkSizeInvalid)),
        ("0x5\r\nhello\r\n", Err(ChunkSizeInvalid)),
        ("5_0\r\n", Err(ChunkSizeInvalid)),
        ("5.\r\nhello\r\n", Err(ChunkSizeInvalid)),
        ("5 \r\nhello\r\n", Err(ChunkSizeInvalid)),
        ("5 5\r\n", Err(ChunkSizeInvalid)),
        ("5\0\r\n", Err(ChunkSizeInvalid)),
        (";a\r\n", Err(ChunkSizeInvalid)),
        ("00000000000000005\r\nhello\r\n", Err(ChunkSizeInvalid)),
        ("10000000000000005\r\nhello\r\n", Err(ChunkSizeInvalid)),
        ("ffffffffffffffff\r\n", Err(BodyTooLarge)),
        ("fffffffffffffffff\r\n", Err(ChunkSizeInvalid)),
        ("A00001\r\n", Err(BodyTooLarge)),
        ("5;\r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5;;a\r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5;a=\r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5;a b\r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5;a \r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5;a=\"b\r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5;a=\"b\\\r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5;a=\"b\"c\r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5;a=\0\r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5;\u{7f}\r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5\nhello\r\n0\r\n\r\n", Err(BareLf)),
        ("5;a\nhello\r\n0\r\n\r\n", Err(BareLf)),
        ("5;a=\"\n\"\r\nhello\r\n", Err(BareLf)),
        ("5\r\nhello\n0\r\n\r\n", Err(BareLf)),
        ("5\rhello\r\n", Err(BareCr)),
        ("5;a\rb\r\nhello\r\n", Err(BareCr)),
        ("5\r\nhello\r0\r\n\r\n", Err(BareCr)),
        ("5\r\nhello0\r\n\r\n", Err(ChunkEndInvalid)),
        ("5\r\nhello world\r\n0\r\n\r\n", Err(ChunkEndInvalid)),
        ("5\r\nhell\r\n0\r\n\r\n", Err(BareLf)),
        ("0\r\nA: b\n\r\n", Err(BareLf)),
        ("0\r\n\n", Err(BareLf)),
        ("0\r\n\rx", Err(BareCr)),
        ("0\r\n A: b\r\n\r\n", Err(SpaceBeforeHeaders)),
        ("0\r\nA: b\r\n c\r\n\r\n", Err(ObsFold)),
        ("0\r\nA : b\r\n\r\n", Err(SpaceBeforeColon)),
        ("0\r\nA: \0\r\n\r\n", Err(HeaderValueInvalid)),
        ("0\r\nGET / HTTP/1.1\r\n\r\n", Err(SpaceBeforeColon)),
    ] {
        let input = format!("{CHUNKED}{chunks}");
        match expected {
            Ok(body) => {
                let request = only(&input);
                assert_eq!((request.body.as_str(), request.framing), (body, BodyFraming::Chunked));
                assert_eq!(request.fields.len(), 2, "trailer fields must not get into the head");
            }
            Err(error) => check(input, Err(error)),
        }
    }
}

#[test]
fn pipelined_requests_keep_their_order() {
    let input = format!(
        "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n\
         POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 26\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\
         {CHUNKED}3\r\nabc\r\n2\r\nde\r\n0\r\nT: t\r\n\r\n\
         PUT /4 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\
         \r\nGET /5 HTTP/1.1\r\nHost: h\r\n\r\n"
    );
    let requests = check_with(&Limits::default(), input.as_bytes(), Ok(5));
    let lines: Vec<_> = requests.iter().map(|request| request.line.as_str()).collect();
    assert_eq!(lines, ["GET /1", "POST /2", "POST /", "PUT /4", "GET /5"]);
    let bodies: Vec<_> = requests.iter().map(|request| request.body.as_str()).collect();
    assert_eq!(bodies, ["", "GET /x HTTP/1.1\\r\\nHost: h\\r\\n", "abcde", "", ""]);
}

#[test]
fn nothing_is_read_behind_the_last_request() {
    for last in [
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\n",
    ] {
        for behind in ["", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "\0\r\n"] {
            let outcome = read_every_way(format!("{last}{behind}").as_bytes(), &Limits::default());
            assert_eq!((outcome.requests.len(), outcome.end), (1, Ok(End::Ended)), "{last:?}");
        }
    }
}

#[test]
fn requests_before_an_error_are_served() {
    let good = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let outcome = read_every_way(format!("{good}{good}bad\n{good}").as_bytes(), &Limits::default());
    assert_eq!((outcome.requests.len(), outcome.end), (2, Err(RequestError::MethodInvalid)));
}

#[test]
fn every_prefix_is_partial() {
    let head = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for length in 0..head.len() {
        let end = read([&head.as_bytes()[..length]], &Limits::default(), Buffer::Kept).end;
        assert_eq!(end, Ok(if length == 0 { End::Idle } else { End::InHead }), "{length}");
    }
    let body = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na";
    assert_eq!(read_every_way(body.as_bytes(), &Limits::default()).end, Ok(End::InBody));
    for chunks in ["", "5", "5\r", "5\r\n", "5\r\nhel", "5\r\nhello\r\n0\r\nA", "0\r\n\r"] {
        let input = format!("{CHUNKED}{chunks}");
        assert_eq!(read_every_way(input.as_bytes(), &Limits::default()).end, Ok(End::InBody));
    }
}

#[test]
fn limits_are_reached_but_not_passed() {
    use RequestError::*;
    let limits = Limits {
        head_bytes_max: 100,
        target_bytes_max: 20,
        headers_max: 3,
        body_bytes_max: 10,
        chunk_extension_bytes_max: 5,
        chunk_overhead_bytes_max: 30,
        trailer_bytes_max: 12,
        pipelined_max: 1,
    };
    let check = |input: String, expected: Result<(), RequestError>| {
        check_with(&limits, input.as_bytes(), expected.map(|()| 1));
    };
    let get = "GET / HTTP/1.1\r\nHost: h\r\n";
    let padding = |count| "p".repeat(count);

    let rest = 100 - format!("{get}A: \r\n\r\n").len();
    check(format!("{get}A: {}\r\n\r\n", padding(rest)), Ok(()));
    check(format!("{get}A: {}\r\n\r\n", padding(rest + 1)), Err(HeadTooLarge));
    check(format!("{get}A: {}", padding(1_000)), Err(HeadTooLarge));
    check(format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", padding(19)), Ok(()));
    check(format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", padding(20)), Err(TargetTooLong));
    check(format!("GET /{}", padding(1_000)), Err(TargetTooLong));
    check(format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", padding(32)), Ok(()));
    check(format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", padding(33)), Err(MethodTooLong));
    check(format!("{get}A: b\r\nC: d\r\n\r\n"), Ok(()));
    check(format!("{get}A: b\r\nC: d\r\nE: f\r\n\r\n"), Err(TooManyHeaders));

    let post = "POST / HTTP/1.1\r\nHost: h\r\n";
    check(format!("{post}Content-Length: 10\r\n\r\n0123456789"), Ok(()));
    check(format!("{post}Content-Length: 11\r\n\r\n01234567890"), Err(BodyTooLarge));
    check(format!("{CHUNKED}9\r\n012345678\r\n1\r\n9\r\n0\r\n\r\n"), Ok(()));
    check(format!("{CHUNKED}9\r\n012345678\r\n2\r\n"), Err(BodyTooLarge));
    check(format!("{CHUNKED}b\r\n"), Err(BodyTooLarge));
    check(format!("{CHUNKED}0;abcd\r\n\r\n"), Ok(()));
    check(format!("{CHUNKED}0;abcde\r\n\r\n"), Err(ChunkExtensionTooLong));
    check(format!("{CHUNKED}0;a=\"{}", padding(1_000)), Err(ChunkExtensionTooLong));
    check(format!("{CHUNKED}0\r\nA: 45678\r\n\r\n"), Ok(()));
    check(format!("{CHUNKED}0\r\nA: 456789\r\n\r\n"), Err(TrailerTooLarge));
    check(format!("{CHUNKED}0\r\nA: {}", padding(1_000)), Err(TrailerTooLarge));
    check(format!("{CHUNKED}{}0\r\n\r\n", "1\r\nx\r\n".repeat(7)), Ok(()));
    check(format!("{CHUNKED}{}0\r\n\r\n", "1\r\nx\r\n".repeat(8)), Err(ChunkOverhead));
}

#[test]
fn many_headers_fit() {
    let limits = Limits { headers_max: usize::MAX, ..Limits::default() };
    for (count, expected) in [(127, Ok(1)), (128, Err(RequestError::TooManyHeaders))] {
        let fields = "A: b\r\n".repeat(count);
        let input = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        check_with(&limits, input.as_bytes(), expected);
    }
}

#[test]
fn a_body_in_chunks_does_not_pile_up_its_framing() {
    let limits = Limits::default();
    let (mut bytes, mut table) = (CHUNKED.as_bytes().to_vec(), Vec::new());
    let mut reader = RequestReader::new();
    for count in 1..=1_000 {
        bytes.extend_from_slice(b"0001;a=b\r\nx\r\n");
        assert_eq!(reader.next(&mut bytes, &mut table, &limits), Ok(Next::Partial));
        assert_eq!(bytes.len(), CHUNKED.len() + count);
    }
}

#[test]
fn the_reader_is_small() {
    assert!(size_of::<RequestReader>() <= 160, "{}", size_of::<RequestReader>());
    assert!(size_of::<Request>() <= 80, "{}", size_of::<Request>());
}

mod generated {
    use super::*;
    use proptest::prelude::*;

    /// Pieces that mean something to the grammar, so that random inputs get deep into it.
    fn fragment() -> impl Strategy<Value = Vec<u8>> {
        let known = prop::sample::select(
            [
                "GET / HTTP/1.1\r\n",
                "POST /a?b HTTP/1.1\r\n",
                "GET http://h/ HTTP/1.0\r\n",
                "Host: h\r\n",
                "Host: h\r\n\r\n",
                "Content-Length: 3\r\n",
                "Content-Length: ",
                "Transfer-Encoding: chunked\r\n",
                "Transfer-Encoding: ",
                "Connection: close\r\n",
                "Expect: 100-continue\r\n",
                "A: b\r\n",
                "A",
                ":",
                " ",
                "\t",
                "\r\n",
                "\r\n\r\n",
                "\r",
                "\n",
                "0\r\n\r\n",
                "3\r\nabc\r\n",
                "5;a=\"b\"\r\nhello\r\n",
                "0",
                "1",
                "f",
                ";",
                "\"",
                "abc",
                "/",
                "?",
                "#",
                "%41",
                "*",
                "HTTP/1.1",
                "HTTP/2.0",
                ",",
                "chunked",
            ]
            .as_slice(),
        );
        prop_oneof![
            9 => known.prop_map(|text| text.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 1..4),
        ]
    }

    fn wire() -> impl Strategy<Value = Vec<u8>> {
        let fragments = prop::collection::vec(fragment(), 0..14).prop_map(|all| all.concat());
        let opening = prop::sample::select(
            ["", "GET / HTTP/1.1\r\nHost: h\r\n", "POST / HTTP/1.1\r\nHost: h\r\n", CHUNKED]
                .as_slice(),
        );
        (opening, fragments).prop_map(|(opening, rest)| [opening.as_bytes(), &rest].concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 512,
            // What fails goes into tests/corpus, by hand and with a name.
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn cuts_do_not_matter(input in wire()) {
            read_every_way(&input, &Limits::default());
        }

        #[test]
        fn cuts_do_not_matter_at_the_limits(input in wire(), bound in 0_usize..60) {
            let limits = Limits {
                head_bytes_max: 2 * bound,
                target_bytes_max: bound,
                headers_max: bound / 10,
                body_bytes_max: bound,
                chunk_extension_bytes_max: bound / 4,
                chunk_overhead_bytes_max: bound,
                trailer_bytes_max: bound,
                pipelined_max: 1,
            };
            read_every_way(&input, &limits);
        }

        #[test]
        fn chunks_decode_to_what_was_cut_up(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
        ) {
            let mut input = CHUNKED.as_bytes().to_vec();
            for chunk in &chunks {
                input.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                input.extend_from_slice(chunk);
                input.extend_from_slice(b"\r\n");
            }
            input.extend_from_slice(b"0\r\n\r\n");
            let outcome = read_every_way(&input, &Limits::default());
            prop_assert_eq!(outcome.end, Ok(End::Idle));
            prop_assert_eq!(&outcome.requests[0].body, &text(&chunks.concat()));
        }
    }
}

mod corpus {
    use super::*;
    use std::path::Path;

    /// Reads every file of `tests/corpus/<kind>`, put between `before` and `after`; its extension
    /// says what comes of it.
    fn replay(kind: &str, before: &str, after: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus").join(kind);
        let mut count = 0;
        for file in std::fs::read_dir(&folder).expect("the corpus is part of the sources") {
            let path = file.unwrap().path();
            let wire = std::fs::read(&path).unwrap();
            let input = [before.as_bytes(), &wire, after.as_bytes()].concat();
            let outcome = read_every_way(&input, &Limits::default());
            let found = match outcome.end {
                Ok(End::Idle | End::Ended) => "ok".to_owned(),
                Ok(End::InHead | End::InBody) => "more".to_owned(),
                Err(error) => error.status().to_string(),
            };
            assert_eq!(path.extension().unwrap().to_str(), Some(found.as_str()), "{path:?}");
            count += 1;
        }
        assert!(count > 20, "{count} files in {folder:?}");
    }

    #[test]
    fn heads() {
        replay("head", "", "");
    }

    #[test]
    fn bodies_in_chunks() {
        replay("chunked", CHUNKED, "");
    }

    #[test]
    fn targets() {
        replay("target", "GET ", " HTTP/1.1\r\nHost: h\r\n\r\n");
    }
}
