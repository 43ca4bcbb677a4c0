//! The head of a frame (RFC 6455 section 5.2).
//!
//! ```text
//! FIN RSV1-3 opcode | MASK length (7 bits) | length (16 or 64 bits more) | key (32 bits) | payload
//! ```

use super::close::Failure;

/// The longest payload of a control frame (RFC 6455 section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

/// The longest head: two bytes, eight of length, four of key.
pub const HEAD_BYTES_MAX: usize = 14;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_AND_3: u8 = 0x30;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
/// Instead of a length: it stands in the next two bytes.
const LENGTH_16: u8 = 126;
/// Instead of a length: it stands in the next eight bytes.
const LENGTH_64: u8 = 127;

/// What a frame is; the numbers are those on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message whose first frame came before.
    Continuation = 0x0,
    /// The first frame of a text.
    Text = 0x1,
    /// The first frame of a message of bytes.
    Binary = 0x2,
    /// The last frame of its direction.
    Close = 0x8,
    /// Asks for a pong with the same payload.
    Ping = 0x9,
    /// The answer to a ping, or unasked.
    Pong = 0xa,
}

impl Opcode {
    /// RFC 6455 section 5.2: an unknown opcode fails the connection.
    fn of(nibble: u8) -> Result<Self, Failure> {
        Ok(match nibble {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return Err(Failure::OpcodeUnknown),
        })
    }

    /// Whether frames of this kind may stand between those of a message (section 5.5).
    #[must_use]
    pub fn is_control(self) -> bool {
        self as u8 >= Self::Close as u8
    }
}

/// The head of a frame from a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// What it is.
    pub opcode: Opcode,
    /// Whether it is the last of its message.
    pub is_final: bool,
    /// Whether the message is compressed, as RFC 7692 section 6 says by RSV1.
    pub is_compressed: bool,
    /// Bytes of the payload.
    pub length: u64,
    /// What the payload is masked with.
    pub key: [u8; 4],
}

impl Head {
    /// Reads the head at the start of the bytes, and gives its length too; `None` if it is not whole.
    ///
    /// # Errors
    /// What is wrong with it by itself, as early as its bytes show it.
    pub fn read(bytes: &[u8], may_compress: bool) -> Result<Option<(Self, usize)>, Failure> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let opcode = Opcode::of(first & OPCODE)?;
        let (is_final, is_compressed) = (first & FIN != 0, first & RSV1 != 0);
        // Section 5.2: bits that no extension has given a meaning must be 0. RFC 7692 section 6.1:
        // RSV1 is of the first frame of a message only.
        let can_be_compressed = may_compress && matches!(opcode, Opcode::Text | Opcode::Binary);
        if first & RSV2_AND_3 != 0 || is_compressed && !can_be_compressed {
            return Err(Failure::ReservedBits);
        }
        // Section 5.5: control frames are not fragmented.
        if opcode.is_control() && !is_final {
            return Err(Failure::ControlFragmented);
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        // Section 5.1: what a client sends is masked.
        if second & MASKED == 0 {
            return Err(Failure::NotMasked);
        }
        let short = second & LENGTH;
        if opcode.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
            return Err(Failure::ControlTooLong);
        }
        let rest = &bytes[2..];
        let (length, length_bytes) = match short {
            LENGTH_16 => match rest.first_chunk() {
                Some(long) => (u64::from(u16::from_be_bytes(*long)), 2),
                None => return Ok(None),
            },
            LENGTH_64 => match rest.first_chunk() {
                Some(long) => (u64::from_be_bytes(*long), 8),
                None => return Ok(None),
            },
            short => (u64::from(short), 0),
        };
        // Section 5.2: the shortest form, and the highest bit is 0.
        let is_shortest = match length_bytes {
            0 => true,
            2 => length >= u64::from(LENGTH_16),
            _ => length > u64::from(u16::MAX) && length >> 63 == 0,
        };
        if !is_shortest {
            return Err(Failure::LengthForm);
        }
        let Some(key) = rest[length_bytes..].first_chunk() else { return Ok(None) };
        let head = Self { opcode, is_final, is_compressed, length, key: *key };
        Ok(Some((head, 2 + length_bytes + key.len())))
    }
}

/// Appends the head of a frame from a server, which is not masked (section 5.1).
pub fn write_head(
    out: &mut Vec<u8>,
    opcode: Opcode,
    is_final: bool,
    is_compressed: bool,
    length: usize,
) {
    let first = (if is_final { FIN } else { 0 }) | (if is_compressed { RSV1 } else { 0 });
    let first = first | opcode as u8;
    if length < usize::from(LENGTH_16) {
        out.extend_from_slice(&[first, length as u8]);
    } else if let Ok(length) = u16::try_from(length) {
        out.extend_from_slice(&[first, LENGTH_16]);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.extend_from_slice(&[first, LENGTH_64]);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [1, 2, 3, 4];

    fn frame(first: u8, length: &[u8]) -> Vec<u8> {
        [&[first][..], length, &KEY].concat()
    }

    #[test]
    fn a_head_is_read_when_its_last_byte_is_there() {
        for (length_bytes, length) in [
            (&[0x80 | 5][..], 5),
            (&[0x80 | 126, 0, 126], 126),
            (&[0x80 | 126, 0xff, 0xff], 0xffff),
            (&[0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0], 0x10000),
            (&[0x80 | 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], u64::MAX >> 1),
        ] {
            let bytes = frame(0x82, length_bytes);
            for end in 0..bytes.len() {
                assert_eq!(Head::read(&bytes[..end], false), Ok(None), "{end} of {bytes:?}");
            }
            let (head, used) = Head::read(&bytes, false).unwrap().unwrap();
            let expected = Head {
                opcode: Opcode::Binary,
                is_final: true,
                is_compressed: false,
                length,
                key: KEY,
            };
            assert_eq!((head, used), (expected, bytes.len()));
        }
    }

    #[test]
    fn what_a_head_must_not_be() {
        let short = &[0x80 | 1][..];
        let long = &[0x80 | 126, 0, 125][..];
        for (bytes, failure) in [
            (frame(0x83, short), Failure::OpcodeUnknown),
            (frame(0x8f, short), Failure::OpcodeUnknown),
            (frame(0xa1, short), Failure::ReservedBits),
            (frame(0x91, short), Failure::ReservedBits),
            (frame(0xc1, short), Failure::ReservedBits),
            (frame(0x08, short), Failure::ControlFragmented),
            (frame(0x09, short), Failure::ControlFragmented),
            (frame(0x81, &[1]), Failure::NotMasked),
            (frame(0x89, &[0x80 | 126, 0, 126]), Failure::ControlTooLong),
            (frame(0x81, long), Failure::LengthForm),
            (frame(0x81, &[0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]), Failure::LengthForm),
            (frame(0x81, &[0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0]), Failure::LengthForm),
        ] {
            assert_eq!(Head::read(&bytes, false), Err(failure), "{bytes:?}");
        }
        // With compression: of the first frame of a message, and of no other.
        assert!(Head::read(&frame(0xc1, short), true).unwrap().unwrap().0.is_compressed);
        for first in [0xc0, 0xc8, 0xc9, 0xca] {
            assert_eq!(Head::read(&frame(first, short), true), Err(Failure::ReservedBits));
        }
    }

    #[test]
    fn what_is_written_has_the_shortest_length() {
        for (length, expected) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65535, &[0x81, 126, 0xff, 0xff]),
            (65536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            write_head(&mut out, Opcode::Text, true, false, length);
            assert_eq!(out, expected);
        }
        let mut out = Vec::new();
        write_head(&mut out, Opcode::Binary, false, true, 1);
        assert_eq!(out, [0x42, 1]);
    }
}
