//! Why a connection ends (RFC 6455 section 7).

use super::frame::CONTROL_BYTES_MAX;

/// What the peer has done wrong. The connection fails: it gets a close frame with the code, and nothing
/// of what it sends is read any more (section 7.1.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// An opcode that the RFC leaves free.
    OpcodeUnknown,
    /// A bit that no extension has given a meaning, or the one of compression where it must not be.
    ReservedBits,
    /// A control frame that is not final.
    ControlFragmented,
    /// A control frame with more than 125 bytes.
    ControlTooLong,
    /// A frame of a client without a mask.
    NotMasked,
    /// A length that is not in its shortest form, or has its highest bit set.
    LengthForm,
    /// A continuation of nothing.
    ContinuationOfNothing,
    /// A new message inside of another one.
    MessageInMessage,
    /// The payload of a close frame has one byte, or a code that must not be sent.
    CloseInvalid,
    /// Text, or the reason of a close frame, that is no UTF-8.
    NotUtf8,
    /// A message longer than the limit, also once it is inflated.
    TooLong,
    /// Compressed bytes that are none.
    NotDeflated,
}

impl Failure {
    /// The code that the peer gets (section 7.4.1).
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::NotUtf8 => 1007,
            Self::TooLong => 1009,
            _ => 1002,
        }
    }

    /// A few words for the peer and for a log line.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::OpcodeUnknown => "unknown opcode",
            Self::ReservedBits => "reserved bit set",
            Self::ControlFragmented => "fragmented control frame",
            Self::ControlTooLong => "control frame too long",
            Self::NotMasked => "frame without a mask",
            Self::LengthForm => "length not in its shortest form",
            Self::ContinuationOfNothing => "continuation of no message",
            Self::MessageInMessage => "message inside of another one",
            Self::CloseInvalid => "invalid close frame",
            Self::NotUtf8 => "text is not UTF-8",
            Self::TooLong => "message too long",
            Self::NotDeflated => "invalid compressed data",
        }
    }
}

/// What a close frame says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Close {
    /// The code; `None` if there is none (section 7.1.5 calls that 1005).
    pub code: Option<u16>,
    /// The reason, often empty.
    pub reason: String,
}

impl Close {
    /// The longest reason, in bytes.
    pub const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

    /// Reads the payload of a close frame (section 5.5.1).
    ///
    /// # Errors
    /// One byte, a code that must not be sent, a reason that is no UTF-8.
    pub fn read(payload: &[u8]) -> Result<Self, Failure> {
        if payload.is_empty() {
            return Ok(Self::default());
        }
        let Some((code, reason)) = payload.split_first_chunk() else {
            return Err(Failure::CloseInvalid);
        };
        let code = u16::from_be_bytes(*code);
        if !may_be_sent(code) {
            return Err(Failure::CloseInvalid);
        }
        let reason = std::str::from_utf8(reason).map_err(|_| Failure::NotUtf8)?;
        Ok(Self { code: Some(code), reason: reason.to_owned() })
    }
}

/// Whether a code may stand in a close frame (section 7.4): those that are registered for it, and those
/// of libraries and programs.
#[must_use]
pub const fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_of_close_frames() {
        assert_eq!(Close::read(b""), Ok(Close::default()));
        let close = Close { code: Some(1000), reason: "bye €".to_owned() };
        assert_eq!(Close::read(&[&[3, 0xe8][..], "bye €".as_bytes()].concat()), Ok(close));
        assert_eq!(Close::read(b"\x03"), Err(Failure::CloseInvalid));
        assert_eq!(Close::read(b"\x03\xe8\xff"), Err(Failure::NotUtf8));
        let sent: Vec<u16> = (0..=u16::MAX).filter(|code| may_be_sent(*code)).collect();
        assert_eq!(sent.len(), 4 + 8 + 2000);
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            assert_eq!(Close::read(&u16::to_be_bytes(code)), Err(Failure::CloseInvalid), "{code}");
        }
    }
}
