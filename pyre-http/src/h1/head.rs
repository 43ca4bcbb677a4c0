//! The fast way to read a head: `httparse`, then the checks it does not make.
//!
//! `httparse` lets these through, and each is refused here: empty lines in front without bound;
//! lines that end with a bare LF; targets with `#` or bytes beyond ASCII; methods, targets and heads
//! of any length; and everything that takes more than one byte to judge, from `Host` to
//! `Transfer-Encoding`, which is in `framing`. Hot path.

use std::mem::MaybeUninit;

use crate::error::RequestError;
use crate::h1::framing::Framing;
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
/// `table` may have got some fields if this fails. Inlined: a small GET then measured 887
/// instructions instead of 920.
#[inline(always)]
pub(super) fn parse(
    bytes: &[u8],
    start: usize,
    table: &mut Vec<HeaderSpan>,
    limits: &Limits,
) -> Result<(Request, usize), Unfit> {
    let mut fields = [const { MaybeUninit::uninit() }; HEADERS_CAP];
    let mut raw = httparse::Request::new(&mut []);
    let (
        Ok(httparse::Status::Complete(head_bytes)),
        httparse::Request { method: Some(name), path: Some(target), version: Some(minor), headers },
    ) = (raw.parse_with_uninit_headers(&bytes[start..], &mut fields), raw)
    else {
        return Err(Unfit::Syntax);
    };
    let base = bytes.as_ptr().addr();
    let end = start + head_bytes;
    if name.as_ptr().addr() - base != start
        || name.len() > METHOD_BYTES_MAX
        || target.len() > limits.target_bytes_max
        || head_bytes > limits.head_bytes_max
        || headers.len() > limits.headers_max
        || !bytes[..end].ends_with(b"\r\n\r\n")
    {
        return Err(Unfit::Syntax);
    }

    let first = table.len();
    table.reserve(headers.len());
    let mut framing = Framing::NEW;
    for field in &*headers {
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

    let method = Method::of(name.as_bytes());
    let version = if minor == 1 { Version::Http11 } else { Version::Http10 };
    let method_span = Span::new(start, start + name.len());
    let target_start = target.as_ptr().addr() - base;
    let target_span = Span::new(target_start, target_start + target.len());
    let parts = split(target.as_bytes(), target_span, method).map_err(Unfit::Meaning)?;
    let conclusion = framing.conclude(version, limits).map_err(Unfit::Meaning)?;
    let request = Request {
        method,
        version,
        // No tunnel is ever opened. What a client sends in the hope of one is not for us to read,
        // and whoever filled the tunnel is not the one who opened it.
        keep_alive: conclusion.keep_alive && method != Method::Connect,
        expects_continue: conclusion.expects_continue,
        method_span,
        target: target_span,
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
