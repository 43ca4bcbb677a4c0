//! Frames out: what a server sends (RFC 6455 section 5). Each message is one frame.

use super::close::{Close, Failure};
use super::deflate::Deflater;
use super::frame::{CONTROL_BYTES_MAX, Opcode, write_head};
use super::receive::Kind;

impl Kind {
    fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

/// Appends a message as it is.
pub fn message(out: &mut Vec<u8>, kind: Kind, data: &[u8]) {
    write_head(out, kind.opcode(), true, false, data.len());
    out.extend_from_slice(data);
}

/// Appends a message, compressed (RFC 7692 section 7.2.1). `scratch` is for the compressed bytes.
pub fn compressed(
    out: &mut Vec<u8>,
    kind: Kind,
    data: &[u8],
    deflater: &mut Deflater,
    scratch: &mut Vec<u8>,
) {
    scratch.clear();
    deflater.deflate(data, scratch);
    write_head(out, kind.opcode(), true, true, scratch.len());
    out.extend_from_slice(scratch);
}

/// Appends a ping.
///
/// # Panics
/// If the payload is longer than 125 bytes.
pub fn ping(out: &mut Vec<u8>, payload: &[u8]) {
    control(out, Opcode::Ping, payload);
}

/// Appends the answer to a ping.
///
/// # Panics
/// If the payload is longer than 125 bytes.
pub fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    control(out, Opcode::Pong, payload);
}

/// Appends a close frame; of a reason that is too long, what fits in.
pub fn close(out: &mut Vec<u8>, close: &Close) {
    let Some(code) = close.code else { return control(out, Opcode::Close, &[]) };
    let reason = &close.reason[..close.reason.floor_char_boundary(Close::REASON_BYTES_MAX)];
    write_head(out, Opcode::Close, true, false, 2 + reason.len());
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Appends the close frame that tells the peer what it has done wrong.
pub fn failure(out: &mut Vec<u8>, failure: Failure) {
    close(out, &Close { code: Some(failure.code()), reason: failure.reason().to_owned() });
}

fn control(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    assert!(payload.len() <= CONTROL_BYTES_MAX, "a control frame has at most 125 bytes");
    write_head(out, opcode, true, false, payload.len());
    out.extend_from_slice(payload);
}
