//! The fast way to read a head: the request line in one pass, the fields by `httparse`, then the checks
//! that it does not make.
//!
//! `httparse` lets these through, and each is refused here: lines that end with a bare LF; heads of
//! any length; and everything that takes more than one byte to judge, from `Host` to
//! `Transfer-Encoding`, which is in `framing`. Its own reader of request lines takes some 200
//! instructions more for a small GET: it checks the target for UTF-8, which no target may have
//! beyond ASCII. Hot path.

use crate::error::RequestError;
use crate::h1::framing::Framing;
use crate::header::{HeaderRange, HeaderSpan, is_token_byte};
use crate::limits::{HEADERS_CAP, Limits, METHOD_BYTES_MAX};
use crate::message::Request;
use crate::method::Method;
use crate::span::Span;
use crate::target;
use crate::version::Version;

/// Fields for which there is room at once: as many as most browsers send. What more costs is a second look.
const HEADERS_USUAL: usize = 24;

/// Why a head could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unfit {
    /// It is not whole, or its grammar is wrong; `scan` knows which.
    Syntax,
    /// The meaning is wrong. The grammar may be as well, behind the place in question; then that is
    /// the error to report, as it shows before the head is whole.
    Meaning(RequestError),
}

/// Reads the head at `bytes[start..]`, appends its fields to `table`, and gives the request,
/// without its body, and the offset where the head ends.
///
/// `table` may have got some fields if this fails. Inlined: a small GET then measured 887
/// instructions instead of 920.
#[inline(always)]
pub(super) fn parse(
    bytes: &[u8],
    start: usize,
    table: &mut Vec<HeaderSpan>,
    limits: &Limits,
) -> Result<(Request, usize), Unfit> {
    let head = &bytes[start..];
    let (method, method_bytes) = method(head).ok_or(Unfit::Syntax)?;
    let target_start = start + method_bytes + 1;
    let Some((target, parts)) =
        target::read(&bytes[target_start..], target_start, method).map_err(Unfit::Meaning)?
    else {
        return Err(Unfit::Syntax);
    };
    let (version, fields_start) = version(bytes, target).ok_or(Unfit::Syntax)?;

    let mut usual = [httparse::EMPTY_HEADER; HEADERS_USUAL];
    let mut many;
    let mut outcome = httparse::parse_headers(&bytes[fields_start..], &mut usual);
    if outcome == Err(httparse::Error::TooManyHeaders) {
        many = [httparse::EMPTY_HEADER; HEADERS_CAP];
        outcome = httparse::parse_headers(&bytes[fields_start..], &mut many);
    }
    let Ok(httparse::Status::Complete((fields_bytes, headers))) = outcome else {
        return Err(Unfit::Syntax);
    };
    let end = fields_start + fields_bytes;
    if target.len() > limits.target_bytes_max
        || end - start > limits.head_bytes_max
        || headers.len() > limits.headers_max
        || !bytes[..end].ends_with(b"\r\n\r\n")
    {
        return Err(Unfit::Syntax);
    }

    let first = table.len();
    table.reserve(headers.len());
    let mut framing = Framing::NEW;
    let base = bytes.as_ptr().addr();
    for field in headers {
        let name_start = field.name.as_ptr().addr() - base;
        // Each name follows the end of a line, and only there a LF can be: one byte shows whether
        // the CR is missing.
        if bytes[name_start - 2] != b'\r' {
            return Err(Unfit::Syntax);
        }
        let value_start = field.value.as_ptr().addr() - base;
        let name = Span::new(name_start, name_start + field.name.len());
        let value = Span::new(value_start, value_start + field.value.len());
        table.push(HeaderSpan { name, value });
        framing.note(field.name.as_bytes(), field.value, value).map_err(Unfit::Meaning)?;
    }

    let conclusion = framing.conclude(version, limits).map_err(Unfit::Meaning)?;
    let request = Request {
        method,
        version,
        // No tunnel is ever opened. What a client sends in the hope of one is not for us to read,
        // and whoever filled the tunnel is not the one who opened it.
        keep_alive: conclusion.keep_alive && method != Method::Connect,
        expects_continue: conclusion.expects_continue,
        method_span: Span::new(start, start + method_bytes),
        target,
        path: parts.path,
        query: parts.query,
        // RFC 9112 section 3.2.2: the authority in the target wins over Host.
        host: if parts.authority.is_empty() { framing.host } else { parts.authority },
        headers: HeaderRange { first: first as u32, end: table.len() as u32 },
        body: Span::EMPTY,
        framing: conclusion.body,
    };
    Ok((request, end))
}

/// What the request line says.
#[derive(Clone, Copy, Debug)]
pub struct RequestLine {
    /// The method.
    pub method: Span,
    /// The path, as it was sent.
    pub path: Span,
    /// The version.
    pub version: Version,
}

/// The request line that is next in `bytes` behind empty ones, if it is whole and right. For the logs: the
/// head behind it may be anything.
#[must_use]
pub fn request_line(bytes: &[u8], mut start: usize) -> Option<RequestLine> {
    while let Some(b"\r\n") = bytes.get(start..start + 2) {
        start += 2;
    }
    let (method, method_bytes) = method(bytes.get(start..)?)?;
    let target_start = start + method_bytes + 1;
    let (target, parts) = target::read(&bytes[target_start..], target_start, method).ok()??;
    let (version, _) = version(bytes, target)?;
    Some(RequestLine { method: Span::new(start, start + method_bytes), path: parts.path, version })
}

/// The version behind a target, and where the line ends.
#[inline(always)]
fn version(bytes: &[u8], target: Span) -> Option<(Version, usize)> {
    let start = target.end as usize + 1;
    let end = start + b"HTTP/1.1\r\n".len();
    // RFC 9112 section 2.3: the name of the protocol is case-sensitive.
    match bytes.get(start..end)? {
        b"HTTP/1.1\r\n" => Some((Version::Http11, end)),
        b"HTTP/1.0\r\n" => Some((Version::Http10, end)),
        _ => None,
    }
}

/// The method at the front of a request line, and its length; None if there is none with a space
/// behind it.
#[inline(always)]
fn method(head: &[u8]) -> Option<(Method, usize)> {
    if head.starts_with(b"GET ") {
        return Some((Method::Get, b"GET".len()));
    }
    other_method(head)
}

#[inline(never)]
fn other_method(head: &[u8]) -> Option<(Method, usize)> {
    match head {
        [b'P', b'O', b'S', b'T', b' ', ..] => return Some((Method::Post, 4)),
        [b'P', b'U', b'T', b' ', ..] => return Some((Method::Put, 3)),
        _ => {}
    }
    let length = head.iter().take(METHOD_BYTES_MAX + 1).position(|&byte| !is_token_byte(byte))?;
    (length > 0 && head[length] == b' ').then(|| (Method::of(&head[..length]), length))
}
