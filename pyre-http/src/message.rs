//! A parsed request: plain numbers and spans into the connection's read buffer, so that buffer and
//! request can go to another thread together.

use crate::header::{HeaderRange, HeaderSpan};
use crate::method::Method;
use crate::span::Span;
use crate::version::Version;

/// Where a request's body ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyFraming {
    /// There is no body.
    None,
    /// It has this many bytes.
    Length(u64),
    /// It came in chunks, and lies decoded in the buffer.
    Chunked,
}

/// A whole request. Every span is one into the buffer it was read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The version, at most 1.1.
    pub version: Version,
    /// Whether the connection goes on after the answer.
    pub keep_alive: bool,
    /// Whether the peer waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The method as sent.
    pub method_span: Span,
    /// The request target as sent.
    pub target: Span,
    /// The path, still percent-encoded: from the first slash to the question mark.
    ///
    /// A target in absolute form without a path reads `/`; the asterisk form reads `*` and goes
    /// with OPTIONS only; it is empty for CONNECT only.
    pub path: Span,
    /// The query without its question mark; empty if there is none.
    pub query: Span,
    /// Host and perhaps port: the authority of a target in absolute form, else the value of `Host`.
    pub host: Span,
    /// Its fields in the header table.
    pub headers: HeaderRange,
    /// The body, decoded.
    pub body: Span,
    /// How the end of the body was marked.
    pub framing: BodyFraming,
}

impl Request {
    /// Its header fields, from the table that the reader filled.
    #[inline]
    pub fn headers_in<'table>(&self, table: &'table [HeaderSpan]) -> &'table [HeaderSpan] {
        &table[self.headers.first as usize..self.headers.end as usize]
    }

    /// The same request after the buffer lost `count` bytes at its front.
    pub(crate) fn move_down(&mut self, count: usize) {
        for span in [
            &mut self.method_span,
            &mut self.target,
            &mut self.path,
            &mut self.query,
            &mut self.host,
            &mut self.body,
        ] {
            *span = span.moved_down(count);
        }
    }
}
