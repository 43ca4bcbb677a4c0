//! Reads the same bytes in several ways and demands the same requests, or the same error.

use pyre_http::error::RequestError;
use pyre_http::h1::reader::{Next, RequestReader};
use pyre_http::header::{is_name, is_value};
use pyre_http::limits::Limits;
use pyre_http::message::{BodyFraming, Request};
use pyre_http::span::Span;

/// A request as plain bytes, in the order of its fields.
type Seen = (Vec<Vec<u8>>, [bool; 2], BodyFraming);

/// Limits that short inputs can reach.
pub fn limits() -> Limits {
    Limits {
        head_bytes_max: 400,
        target_bytes_max: 120,
        headers_max: 8,
        body_bytes_max: 200,
        chunk_extension_bytes_max: 20,
        chunk_overhead_bytes_max: 60,
        trailer_bytes_max: 60,
        pipelined_max: 1,
    }
}

/// The requests in these pieces of a stream, and the error that ended it.
pub fn read<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: &Limits,
    moved: bool,
) -> (Vec<Seen>, Option<RequestError>) {
    let mut reader = RequestReader::new();
    let (mut bytes, mut table, mut requests) = (Vec::new(), Vec::new(), Vec::new());
    for piece in pieces {
        bytes.extend_from_slice(piece);
        loop {
            match reader.next(&mut bytes, &mut table, limits) {
                Ok(Next::Request(request)) => {
                    let fields = request.headers_in(&table);
                    let mut parts = parts(&request, &bytes);
                    for field in fields {
                        assert!(is_name(field.name.of(&bytes)));
                        assert!(is_value(field.value.of(&bytes)));
                        parts.push(field.name.of(&bytes).to_vec());
                        parts.push(field.value.of(&bytes).to_vec());
                    }
                    assert!(fields.len() <= limits.headers_max);
                    assert!(request.target.len() <= limits.target_bytes_max);
                    assert!(request.body.len() <= limits.body_bytes_max);
                    let flags = [request.keep_alive, request.expects_continue];
                    requests.push((parts, flags, request.framing));
                }
                Ok(Next::Partial) => break,
                Err(error) => return (requests, Some(error)),
            }
        }
        if moved {
            bytes.drain(..reader.position());
            table.clear();
            reader.rebase();
        }
        if let Some(pending) = reader.pending() {
            assert!(bytes[reader.position()..].starts_with(pending.method_span.of(&bytes)));
        }
        if reader.is_ended() {
            bytes.truncate(reader.position());
        }
        let kept_max = limits.head_bytes_max + limits.body_bytes_max + 4;
        assert!(bytes.len() - reader.position() <= kept_max + piece.len(), "the buffer grows");
    }
    (requests, None)
}

/// As [`read`], for a caller that takes each request with its head, and its body as it comes.
pub fn read_in_parts<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: &Limits,
) -> (Vec<Seen>, Option<RequestError>) {
    let mut reader = RequestReader::new();
    let (mut bytes, mut requests) = (Vec::new(), Vec::new());
    let mut begun: Option<(Seen, Vec<u8>)> = None;
    for piece in pieces {
        bytes.extend_from_slice(piece);
        loop {
            if let Some((_, body)) = &mut begun {
                let part = match reader.read_body(&mut bytes, limits) {
                    Ok(part) => part,
                    Err(error) => return (requests, Some(error)),
                };
                body.extend_from_slice(&bytes[..part.length]);
                assert!(body.len() <= limits.body_bytes_max);
                bytes.drain(..part.end.unwrap_or(bytes.len()));
                let Some(((mut fields, flags, framing), body)) =
                    begun.take_if(|_| part.end.is_some())
                else {
                    break;
                };
                fields[5] = body;
                requests.push((fields, flags, framing));
                continue;
            }
            let mut table = Vec::new();
            let whole = match reader.next(&mut bytes, &mut table, limits) {
                Ok(Next::Request(request)) => Some(request),
                Ok(Next::Partial) => None,
                Err(error) => return (requests, Some(error)),
            };
            let early = match whole {
                Some(_) => None,
                None => reader.begin_body(&mut bytes, &mut table, limits).expect("it is whole"),
            };
            let Some(request) = whole.or(early.as_ref().map(|(request, _)| *request)) else {
                break;
            };
            let mut fields = parts(&request, &bytes);
            for field in request.headers_in(&table) {
                fields.push(field.name.of(&bytes).to_vec());
                fields.push(field.value.of(&bytes).to_vec());
            }
            let flags = [request.keep_alive, request.expects_continue];
            let seen = (fields, flags, request.framing);
            match early {
                Some((_, first)) => begun = Some((seen, first)),
                None => requests.push(seen),
            }
            bytes.drain(..reader.position());
            reader.rebase();
            if begun.is_some() {
                break;
            }
        }
    }
    (requests, None)
}

fn parts(request: &Request, bytes: &[u8]) -> Vec<Vec<u8>> {
    let spans = [
        request.method_span,
        request.target,
        request.path,
        request.query,
        request.host,
        request.body,
    ];
    spans.map(|span: Span| span.of(bytes).to_vec()).into()
}

/// Demands that cuts do not matter: whole, byte by byte, and in two at a place that the input
/// itself decides.
pub fn check_cuts(input: &[u8], limits: &Limits) {
    let whole = read([input], limits, false);
    let sum = input.iter().fold(7_usize, |sum, byte| sum.wrapping_mul(31) + usize::from(*byte));
    let (before, after) = input.split_at(sum % (input.len() + 1));
    assert_eq!(read_in_parts([input], limits), whole, "with its head");
    assert_eq!(read_in_parts(input.chunks(1), limits), whole, "with its head, byte by byte");
    assert_eq!(read_in_parts([before, after], limits), whole, "with its head, in two");
    for moved in [false, true] {
        assert_eq!(read(input.chunks(1), limits, moved), whole, "byte by byte");
        assert_eq!(read([before, after], limits, moved), whole, "in two");
    }
}
