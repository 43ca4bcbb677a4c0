//! Head and body, appended to the reply. Hot path.

use pyre_ffi::{Attached, Object, Str};
use pyre_http::compression::{Compression, Encoders, Plan};
use pyre_http::h1::serialize::{BodyKind, Connection, Delimited, Heads};
use pyre_http::header::HeaderSpan;
use pyre_http::status::has_body;

use crate::job::KEPT_BUFFER_BYTES_MAX;
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
    let mut without_surrogates = Vec::new();
    let body = body_of(answer, desk, &mut without_surrogates, py);
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

/// The bytes of a body; `room` is for those that are nowhere.
#[inline(always)]
fn body_of<'a>(
    answer: &'a Answer<'_>,
    desk: &'a Desk,
    room: &'a mut Vec<u8>,
    py: Attached<'_>,
) -> &'a [u8] {
    match &answer.body {
        Body::Text(text) => match text.as_ascii() {
            Some(text) => text.as_bytes(),
            None => match text.as_utf8(py) {
                Ok(text) => text.as_bytes(),
                Err(raised) => {
                    raised.clear(py);
                    *room = replaced(text);
                    room
                }
            },
        },
        Body::Bytes(bytes) => bytes.as_slice(),
        Body::Desk => &desk.body,
        // The head of a stream is written by `write_streamed`, that of a WebSocket by its handler.
        Body::Empty | Body::Later(_) => &[],
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

/// What a lane compresses with; what it holds is used again.
#[derive(Default)]
pub(crate) struct Press {
    encoders: Encoders,
    encoded: Vec<u8>,
}

/// From so many bytes on others run meanwhile; `docs/decisions/compression.md` has how long it takes.
const DETACHED_BYTES_MIN: usize = 4 * 1024;

/// As `write`, compressed if this answer and the client that has `asked` with these fields allow it.
#[expect(
    clippy::too_many_arguments,
    reason = "as many as `write` has, and what it is compressed by"
)]
pub(crate) fn write_compressed(
    heads: Heads<'_>,
    reply: &mut Vec<u8>,
    answer: &Answer<'_>,
    desk: &Desk,
    manner: Manner,
    asked: (&[HeaderSpan], &[u8]),
    (terms, press): (&Compression, &mut Press),
    py: Attached<'_>,
) {
    let mut without_surrogates = Vec::new();
    let body = body_of(answer, desk, &mut without_surrogates, py);
    let (status, kind) = (answer.status, answer.kind);
    let plan = Plan::of(terms, status, kind, desk.fields.iter(), Some(body.len()), asked);
    if !plan.varies {
        return write(heads, reply, answer, desk, manner, py);
    }
    let Press { encoders, encoded } = press;
    encoded.clear();
    if let Some(coding) = plan.coding {
        let mut encode = || encoders.encode(terms, coding, body, encoded);
        if body.len() < DETACHED_BYTES_MIN { encode() } else { py.detach(encode) }
    }
    // RFC 9110 section 9.3.2: HEAD learns what GET would get, so it is made for that too.
    let is_encoded = plan.coding.is_some() && (plan.must || encoded.len() < body.len());
    let body = if is_encoded { &encoded[..] } else { body };
    let mut head = heads.begin(reply, status);
    if let Some(kind) = kind
        && has_body(status)
    {
        head.content_type(kind);
    }
    for (name, value) in desk.fields.iter().filter(|(name, _)| !heads.says(name)) {
        head.header(name, &plan.field(name, value, is_encoded));
    }
    head.prepared(plan.missing(desk.fields.iter(), is_encoded).as_bytes());
    let allows_body = head.finish(body.len(), manner.connection);
    if allows_body && !manner.head_only {
        reply.extend_from_slice(body);
    }
    if encoded.capacity() > KEPT_BUFFER_BYTES_MAX {
        *encoded = Vec::new();
    }
}

/// Appends the head of an answer whose body comes in pieces.
#[cold]
#[expect(clippy::too_many_arguments, reason = "a head has as many parts")]
pub(crate) fn write_streamed(
    heads: Heads<'_>,
    reply: &mut Vec<u8>,
    status: u16,
    kind: Option<BodyKind>,
    fields: &Fields,
    plan: Plan,
    delimited: Delimited,
    connection: Connection,
) {
    let mut head = heads.begin(reply, status);
    if let Some(kind) = kind
        && has_body(status)
    {
        head.content_type(kind);
    }
    let is_encoded = plan.coding.is_some();
    for (name, value) in fields.iter().filter(|(name, _)| !heads.says(name)) {
        head.header(name, &plan.field(name, value, is_encoded));
    }
    head.prepared(plan.missing(fields.iter(), is_encoded).as_bytes());
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
