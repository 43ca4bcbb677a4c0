//! The fast way to read a head: one pass, from the first byte to the last.
//!
//! What is accepted here is served without another look, so nothing is let through that `scan` would
//! refuse. What is wrong is not told: that, and a head that is not whole, is for `scan`. Hot path.

use crate::error::RequestError;
use crate::h1::framing::Framing;
use crate::h1::runs::{path, query, token, value};
use crate::header::{HeaderRange, HeaderSpan};
use crate::limits::{HEADERS_CAP, Limits, METHOD_BYTES_MAX};
use crate::message::Request;
use crate::method::Method;
use crate::span::Span;
use crate::target::split;
use crate::version::Version;

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
/// `table` may have got some fields if this fails.
#[inline(always)]
pub(super) fn parse(
    bytes: &[u8],
    start: usize,
    table: &mut Vec<HeaderSpan>,
    limits: &Limits,
) -> Result<(Request, usize), Unfit> {
    let syntax = Unfit::Syntax;
    let line = RequestLine::read(&bytes[start..]).ok_or(syntax)?;
    if line.method.len() > METHOD_BYTES_MAX || line.target.len() > limits.target_bytes_max {
        return Err(syntax);
    }

    let first = table.len();
    let fields_max = limits.headers_max.min(HEADERS_CAP);
    let mut framing = Framing::NEW;
    let mut rest = line.behind;
    let behind = loop {
        if let Some(behind) = rest.strip_prefix(b"\r\n") {
            break behind;
        }
        let field = Field::read(rest).ok_or(syntax)?;
        if table.len() - first == fields_max {
            return Err(syntax);
        }
        let name_start = bytes.len() - rest.len();
        let value_start = name_start + field.value_at;
        let name = Span::new(name_start, name_start + field.name.len());
        let value = Span::new(value_start, value_start + field.value.len());
        table.push(HeaderSpan { name, value });
        framing.note(field.name, field.value, value).map_err(Unfit::Meaning)?;
        rest = field.behind;
    };
    let end = bytes.len() - behind.len();
    if end - start > limits.head_bytes_max {
        return Err(syntax);
    }

    let method = Method::of(line.method);
    let method_span = Span::new(start, start + line.method.len());
    let target_start = method_span.end as usize + 1;
    let target = Span::new(target_start, target_start + line.target.len());
    let path_end = target.start + line.path_bytes as u32;
    let parts = split(line.target, target, path_end, method).map_err(Unfit::Meaning)?;
    let conclusion = framing.conclude(line.version, limits).map_err(Unfit::Meaning)?;
    let request = Request {
        method,
        version: line.version,
        // No tunnel is ever opened. What a client sends in the hope of one is not for us to read,
        // and whoever filled the tunnel is not the one who opened it.
        keep_alive: conclusion.keep_alive && method != Method::Connect,
        expects_continue: conclusion.expects_continue,
        method_span,
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

/// The first line of a head (RFC 9112 section 3).
struct RequestLine<'a> {
    method: &'a [u8],
    target: &'a [u8],
    /// How far into the target its first question mark is, or its end.
    path_bytes: usize,
    version: Version,
    /// What comes behind the line.
    behind: &'a [u8],
}

impl<'a> RequestLine<'a> {
    #[inline(always)]
    fn read(line: &'a [u8]) -> Option<Self> {
        let (method_bytes, end) = token(line)?;
        let (method, rest) = line.split_at(method_bytes);
        if method.is_empty() || end != b' ' {
            return None;
        }
        let rest = &rest[1..];
        let (path_bytes, end) = path(rest)?;
        let query_bytes = if end == b'?' { query(&rest[path_bytes..])?.0 } else { 0 };
        let (target, rest) = rest.split_at(path_bytes + query_bytes);
        if target.is_empty() {
            return None;
        }
        // RFC 9112 section 2.3: the name is case-sensitive, and each number is one digit.
        let (version, behind) = match rest.strip_prefix(b" HTTP/1.1\r\n") {
            Some(behind) => (Version::Http11, behind),
            None => (Version::Http10, rest.strip_prefix(b" HTTP/1.0\r\n")?),
        };
        Some(Self { method, target, path_bytes, version, behind })
    }
}

/// One line of a header section (RFC 9112 section 5).
struct Field<'a> {
    name: &'a [u8],
    /// The value without white space around it, and where in the line it begins.
    value: &'a [u8],
    value_at: usize,
    /// What comes behind the line.
    behind: &'a [u8],
}

impl<'a> Field<'a> {
    #[inline(always)]
    fn read(line: &'a [u8]) -> Option<Self> {
        let (name_bytes, end) = token(line)?;
        // RFC 9112 section 5.1: no white space in front of the colon.
        if name_bytes == 0 || end != b':' {
            return None;
        }
        let (name, rest) = line.split_at(name_bytes);
        let rest = &rest[1..];
        let (length, _) = value(rest)?;
        let (mut value, rest) = rest.split_at(length);
        // RFC 9112 section 2.2 would let a bare LF pass, but then others see other lines than we do.
        let behind = rest.strip_prefix(b"\r\n")?;
        let mut value_at = name_bytes + 1;
        // Of what a value can have, only white space is not above the space.
        while let [..=b' ', rest @ ..] = value {
            value = rest;
            value_at += 1;
        }
        while let [rest @ .., ..=b' '] = value {
            value = rest;
        }
        Some(Self { name, value, value_at, behind })
    }
}
