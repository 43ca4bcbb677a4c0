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
use crate::target::{is_target_byte, split};
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
#[inline]
pub(super) fn parse(
    bytes: &[u8],
    start: usize,
    table: &mut Vec<HeaderSpan>,
    limits: &Limits,
) -> Result<(Request, usize), Unfit> {
    let mut fields = [const { MaybeUninit::uninit() }; HEADERS_CAP];
    let mut raw = httparse::Request::new(&mut []);
    let Ok(httparse::Status::Complete(head_bytes)) =
        raw.parse_with_uninit_headers(&bytes[start..], &mut fields)
    else {
        return Err(Unfit::Syntax);
    };
    let (Some(method_text), Some(target_text), Some(minor)) = (raw.method, raw.path, raw.version)
    else {
        return Err(Unfit::Syntax);
    };
    let end = start + head_bytes;
    let offset = |text: &[u8]| text.as_ptr().addr() - bytes.as_ptr().addr();
    let span = |text: &[u8]| Span::new(offset(text), offset(text) + text.len());

    let method_span = span(method_text.as_bytes());
    let target = span(target_text.as_bytes());
    if method_span.start as usize != start
        || method_span.len() > METHOD_BYTES_MAX
        || target.len() > limits.target_bytes_max
        || head_bytes > limits.head_bytes_max
        || raw.headers.len() > limits.headers_max
        || !bytes[start..end].ends_with(b"\r\n\r\n")
        || !target_text.bytes().all(is_target_byte)
    {
        return Err(Unfit::Syntax);
    }

    let first = table.len();
    table.reserve(raw.headers.len());
    let mut framing = Framing::NEW;
    for field in raw.headers.iter() {
        let name = span(field.name.as_bytes());
        // Each name follows the end of a line, and only there a LF can be: one byte shows whether
        // the CR is missing.
        if bytes[name.start as usize - 2] != b'\r' {
            return Err(Unfit::Syntax);
        }
        let value = span(field.value);
        table.push(HeaderSpan { name, value });
        framing.note(field.name.as_bytes(), field.value, value).map_err(Unfit::Meaning)?;
    }

    let method = Method::of(method_text.as_bytes());
    let version = if minor == 1 { Version::Http11 } else { Version::Http10 };
    let parts = split(bytes, target, method).map_err(Unfit::Meaning)?;
    let conclusion = framing.conclude(version, limits).map_err(Unfit::Meaning)?;
    let request = Request {
        method,
        version,
        keep_alive: conclusion.keep_alive,
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
