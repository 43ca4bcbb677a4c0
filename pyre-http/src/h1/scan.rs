//! A strict grammar for heads and trailer sections, one byte at a time, so that it can stop anywhere
//! and go on. It decides whenever `head` cannot: when bytes are missing, and when something is
//! wrong. It stops at the first byte that breaks a rule, so the same bytes give the same error
//! however they arrive.

use crate::error::RequestError;
use crate::header::{is_token_byte, is_value_byte};
use crate::limits::{HEADERS_CAP, Limits, METHOD_BYTES_MAX};
use crate::target::is_target_byte;

/// What the next byte belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    MethodStart,
    Method,
    TargetStart,
    Target,
    /// This many bytes of `HTTP/1.1` are there.
    Version(u8),
    RequestLineCr,
    RequestLineLf,
    LineStart,
    Name,
    Value,
    LineLf,
    EndLf,
}

/// How far a head, or a trailer section, has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    state: State,
    major: u8,
    field_count: u8,
    /// Bytes read so far.
    seen: u32,
    /// Where the target began.
    target_start: u32,
}

impl Scan {
    /// Before the first byte of a request line.
    pub(super) const HEAD: Self =
        Self { state: State::MethodStart, major: 0, field_count: 0, seen: 0, target_start: 0 };

    /// Before the first field of a trailer section.
    pub(super) const TRAILER: Self = Self { state: State::LineStart, ..Self::HEAD };

    /// Whether it has read nothing yet.
    #[inline]
    pub(super) fn is_fresh(&self) -> bool {
        self.seen == 0
    }

    /// How many bytes it has read.
    #[inline]
    pub(super) fn seen(&self) -> usize {
        self.seen as usize
    }

    /// Reads what is new in `head`, which begins where the head begins, and tells its length if
    /// its end is there.
    pub(super) fn advance(
        &mut self,
        head: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, RequestError> {
        for &byte in &head[self.seen as usize..] {
            if self.seen as usize >= limits.head_bytes_max {
                return Err(RequestError::HeadTooLarge);
            }
            if self.step(byte, limits)? {
                return Ok(Some(self.seen as usize));
            }
        }
        Ok(None)
    }

    /// Reads one byte and tells whether it is the last one.
    #[inline]
    pub(super) fn step(&mut self, byte: u8, limits: &Limits) -> Result<bool, RequestError> {
        let is_end = self.judge(byte, limits)?;
        self.seen += 1;
        Ok(is_end)
    }

    fn judge(&mut self, byte: u8, limits: &Limits) -> Result<bool, RequestError> {
        use RequestError as Error;
        self.state = match (self.state, byte) {
            (State::MethodStart, b'\n') => return Err(Error::BareLf),
            (State::MethodStart, _) if is_token_byte(byte) => State::Method,
            (State::Method, b' ') => State::TargetStart,
            (State::Method, _) if is_token_byte(byte) => {
                if self.seen as usize >= METHOD_BYTES_MAX {
                    return Err(Error::MethodTooLong);
                }
                State::Method
            }
            (State::MethodStart | State::Method, _) => return Err(Error::MethodInvalid),

            (State::Target, b' ') => State::Version(0),
            (State::TargetStart, _) if is_target_byte(byte) => {
                self.target_start = self.seen;
                State::Target
            }
            (State::Target, _) if is_target_byte(byte) => {
                if (self.seen - self.target_start) as usize >= limits.target_bytes_max {
                    return Err(Error::TargetTooLong);
                }
                State::Target
            }
            (State::TargetStart | State::Target, _) => return Err(Error::TargetInvalid),

            // RFC 9112 section 2.3: the name is case-sensitive, and each number is one digit.
            (State::Version(at), _) => {
                match at {
                    5 if byte.is_ascii_digit() => self.major = byte,
                    7 if byte.is_ascii_digit() => {
                        if self.major != b'1' || byte > b'1' {
                            return Err(Error::VersionUnsupported);
                        }
                    }
                    0..5 | 6 if byte == b"HTTP/?."[usize::from(at)] => {}
                    _ => return Err(Error::VersionInvalid),
                }
                if at == 7 { State::RequestLineCr } else { State::Version(at + 1) }
            }
            (State::RequestLineCr, b'\r') => State::RequestLineLf,
            (State::RequestLineCr, b'\n') => return Err(Error::BareLf),
            (State::RequestLineCr, _) => return Err(Error::VersionInvalid),

            // RFC 9112 section 2.2: a line may be taken to end with a bare LF, but then others
            // see other lines than we do, and a bare CR must not be taken for an end.
            (State::RequestLineLf | State::LineLf, b'\n') => State::LineStart,
            (State::EndLf, b'\n') => return Ok(true),
            (State::RequestLineLf | State::LineLf | State::EndLf, _) => return Err(Error::BareCr),

            (State::LineStart, b'\r') => State::EndLf,
            (State::LineStart | State::Name | State::Value, b'\n') => return Err(Error::BareLf),
            // RFC 9112 section 2.2 and section 5.2.
            (State::LineStart, b' ' | b'\t') if self.field_count == 0 => {
                return Err(Error::SpaceBeforeHeaders);
            }
            (State::LineStart, b' ' | b'\t') => return Err(Error::ObsFold),
            (State::LineStart, _) if is_token_byte(byte) => {
                if usize::from(self.field_count) >= limits.headers_max.min(HEADERS_CAP) {
                    return Err(Error::TooManyHeaders);
                }
                self.field_count += 1;
                State::Name
            }
            (State::Name, b':') => State::Value,
            (State::Name, _) if is_token_byte(byte) => State::Name,
            // RFC 9112 section 5.1.
            (State::Name, b' ' | b'\t') => return Err(Error::SpaceBeforeColon),
            (State::LineStart | State::Name, _) => return Err(Error::HeaderNameInvalid),
            (State::Value, b'\r') => State::LineLf,
            (State::Value, _) if is_value_byte(byte) => State::Value,
            (State::Value, _) => return Err(Error::HeaderValueInvalid),
        };
        Ok(false)
    }
}
