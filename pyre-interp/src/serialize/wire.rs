//! Head and body, appended to the reply. Hot path.

use pyre_ffi::{Attached, Object, Str};
use pyre_http::h1::serialize::{BodyKind, Connection, Delimited, Heads};
use pyre_http::status::has_body;

use crate::serialize::answer::{Answer, Body, Desk};
use crate::serialize::fields::Fields;

/// How an answer is written, whatever it is.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) connection: Connection,
    /// The request was HEAD: everything but the body (RFC 9110 section 9.3.2).
    pub(crate) head_only: bool,
}

/// Appends an answer to the reply.
#[inline(always)]
pub(crate) fn write(
    heads: Heads<'_>,
    reply: &mut Vec<u8>,
    answer: &Answer<'_>,
    desk: &Desk,
    manner: Manner,
    py: Attached<'_>,
) {
    let without_surrogates;
    let body: &[u8] = match &answer.body {
        Body::Text(text) => match text.as_ascii() {
            Some(text) => text.as_bytes(),
            None => match text.as_utf8(py) {
                Ok(text) => text.as_bytes(),
                Err(raised) => {
                    raised.clear(py);
                    without_surrogates = replaced(text);
                    &without_surrogates
                }
            },
        },
        Body::Bytes(bytes) => bytes.as_slice(),
        Body::Desk => &desk.body,
        // The head of a stream is written by `write_streamed`, that of a WebSocket by its handler.
        Body::Empty | Body::Later(_) => &[],
    };
    match answer.kind {
        Some(kind) if answer.status == 200 && desk.fields.is_empty() => {
            heads.write_ok(reply, kind, body.len(), manner.connection);
            if !manner.head_only {
                reply.extend_from_slice(body);
            }
        }
        kind => write_any(heads, reply, answer.status, kind, body, desk, manner),
    }
}

fn write_any(
    heads: Heads<'_>,
    reply: &mut Vec<u8>,
    status: u16,
    kind: Option<BodyKind>,
    body: &[u8],
    desk: &Desk,
    manner: Manner,
) {
    let mut head = heads.begin(reply, status);
    if let Some(kind) = kind
        && has_body(status)
    {
        head.content_type(kind);
    }
    for (name, value) in desk.fields.iter().filter(|(name, _)| !heads.says(name)) {
        head.header(name, value);
    }
    let allows_body = head.finish(body.len(), manner.connection);
    if allows_body && !manner.head_only {
        reply.extend_from_slice(body);
    }
}

/// Appends the head of an answer whose body comes in pieces.
#[cold]
pub(crate) fn write_streamed(
    heads: Heads<'_>,
    reply: &mut Vec<u8>,
    status: u16,
    kind: Option<BodyKind>,
    fields: &Fields,
    delimited: Delimited,
    connection: Connection,
) {
    let mut head = heads.begin(reply, status);
    if let Some(kind) = kind
        && has_body(status)
    {
        head.content_type(kind);
    }
    for (name, value) in fields.iter().filter(|(name, _)| !heads.says(name)) {
        head.header(name, value);
    }
    if has_body(status) {
        head.finish_streamed(delimited, connection);
    } else {
        head.finish(0, connection);
    }
}

/// The text as UTF-8, with U+FFFD for lone surrogates, which UTF-8 cannot carry.
#[cold]
fn replaced(text: &Object<Str>) -> Vec<u8> {
    text.view().to_string_lossy().into_bytes()
}
