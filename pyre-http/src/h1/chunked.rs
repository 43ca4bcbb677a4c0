//! Chunked bodies (RFC 9112 section 7.1), decoded where they lie: data moves down over the framing,
//! each byte once. It can stop after any byte and go on.

use crate::error::RequestError;
use crate::h1::scan::Scan;
use crate::header::{is_token_byte, is_value_byte};
use crate::limits::{BODY_BYTES_CAP, Limits};

/// What the next byte belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Hexadecimal digits of a size, so many of them read.
    Size(u8),
    /// White space between size and semicolon, which RFC 9112 section 7.1.1 tells us to bear.
    BeforeSemicolon,
    ExtensionStart,
    ExtensionName,
    BeforeEquals,
    ValueStart,
    Value,
    Quoted,
    QuotedEscape,
    AfterQuoted,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer,
}

/// How far a chunked body has been decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunked {
    state: State,
    trailer: Scan,
    /// What the size line says; then what of the chunk is still to come.
    size: u64,
    /// Bytes of body so far.
    decoded: u32,
    /// Bytes of the current chunk's extensions.
    extension: u32,
    /// Bytes of size lines and chunk ends so far.
    framing: u32,
}

impl Chunked {
    pub(super) const NEW: Self = Self {
        state: State::Size(0),
        trailer: Scan::TRAILER,
        size: 0,
        decoded: 0,
        extension: 0,
        framing: 0,
    };

    /// Bytes of body so far.
    #[inline]
    pub(super) fn decoded(&self) -> usize {
        self.decoded as usize
    }

    /// How many bytes are missing at least, on the wire.
    pub(super) fn missing_bytes_min(&self) -> u64 {
        let framing = b"\r\n0\r\n\r\n".len() as u64;
        if self.state == State::Data { self.size + framing } else { 1 }
    }

    /// Decodes `bytes[from..]`, which came behind what earlier calls decoded: what is decoded begins
    /// there as well. Gives the offset behind the body's end on the wire once it is there.
    ///
    /// Without the end, `bytes` is cut to what is decoded.
    pub(super) fn decode(
        &mut self,
        bytes: &mut Vec<u8>,
        from: usize,
        limits: &Limits,
    ) -> Result<Option<usize>, RequestError> {
        let (mut read, mut write) = (from, from);
        while let Some(&byte) = bytes.get(read) {
            if self.state == State::Data {
                let available = bytes.len() - read;
                let length =
                    usize::try_from(self.size).map_or(available, |size| size.min(available));
                if write != read {
                    bytes.copy_within(read..read + length, write);
                }
                read += length;
                write += length;
                self.decoded += length as u32;
                self.size -= length as u64;
                if self.size == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            read += 1;
            if self.step(byte, limits)? {
                return Ok(Some(read));
            }
        }
        bytes.truncate(write);
        Ok(None)
    }

    /// Reads one byte of framing and tells whether the body ends with it.
    fn step(&mut self, byte: u8, limits: &Limits) -> Result<bool, RequestError> {
        use RequestError as Error;
        if self.state == State::Trailer {
            // Fields of the trailer section are checked like those of a head and dropped: RFC 9110
            // section 6.5.1 forbids to merge them into the head.
            if self.trailer.seen() >= limits.trailer_bytes_max {
                return Err(Error::TrailerTooLarge);
            }
            return self.trailer.step(byte, limits);
        }
        self.framing = self.framing.saturating_add(1);
        self.state = match (self.state, byte) {
            (State::Size(16), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                return Err(Error::ChunkSizeInvalid);
            }
            (State::Size(digits), _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                self.size = self.size << 4 | u64::from(digit);
                State::Size(digits + 1)
            }
            (State::Size(1..), b' ' | b'\t') => State::BeforeSemicolon,
            (State::BeforeSemicolon, b' ' | b'\t') => State::BeforeSemicolon,
            (State::Size(1..) | State::BeforeSemicolon, b';') => State::ExtensionStart,
            (State::Size(1..), b'\r') => State::SizeLf,

            // RFC 9112 section 7.1.1. Extensions are ignored, but checked: one that ends with a
            // bare LF, or hides a line end in quotes, has been used to smuggle requests.
            (State::ExtensionStart, b' ' | b'\t') => State::ExtensionStart,
            (State::ExtensionStart | State::ExtensionName, _) if is_token_byte(byte) => {
                State::ExtensionName
            }
            (State::ExtensionName | State::BeforeEquals, b' ' | b'\t') => State::BeforeEquals,
            (State::ExtensionName | State::BeforeEquals, b'=') => State::ValueStart,
            (State::ValueStart, b' ' | b'\t') => State::ValueStart,
            (State::ValueStart, b'"') => State::Quoted,
            (State::ValueStart | State::Value, _) if is_token_byte(byte) => State::Value,
            (State::Quoted, b'"') => State::AfterQuoted,
            (State::Quoted, b'\\') => State::QuotedEscape,
            (State::Quoted | State::QuotedEscape, _) if is_value_byte(byte) => State::Quoted,
            (State::Value | State::AfterQuoted, b' ' | b'\t') => State::AfterQuoted,
            (
                State::ExtensionName | State::BeforeEquals | State::Value | State::AfterQuoted,
                b';',
            ) => State::ExtensionStart,
            (State::ExtensionName | State::Value | State::AfterQuoted, b'\r') => State::SizeLf,

            (State::SizeLf, b'\n') => return self.begin_chunk(limits).map(|()| false),
            (State::SizeLf | State::DataLf, _) if byte != b'\n' => return Err(Error::BareCr),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, _) => State::Size(0),
            (_, b'\n') => return Err(Error::BareLf),
            (State::DataCr, _) => return Err(Error::ChunkEndInvalid),
            (State::Size(_) | State::BeforeSemicolon, _) => return Err(Error::ChunkSizeInvalid),
            _ => return Err(Error::ChunkExtensionInvalid),
        };
        if self.state == State::Size(0) {
            self.size = 0;
            self.extension = 0;
        }
        if !matches!(self.state, State::Size(_) | State::SizeLf | State::DataLf) {
            self.extension += 1;
            if self.extension as usize > limits.chunk_extension_bytes_max {
                return Err(Error::ChunkExtensionTooLong);
            }
        }
        Ok(false)
    }

    /// After the line with the size: checks it and goes on to the data, or to the trailer section.
    fn begin_chunk(&mut self, limits: &Limits) -> Result<(), RequestError> {
        if self.size == 0 {
            self.state = State::Trailer;
            return Ok(());
        }
        let room = limits.body_bytes_max.min(BODY_BYTES_CAP) as u64 - u64::from(self.decoded);
        if self.size > room {
            return Err(RequestError::BodyTooLarge);
        }
        let overhead_max = limits.chunk_overhead_bytes_max as u64 + u64::from(self.decoded);
        if u64::from(self.framing) > overhead_max {
            return Err(RequestError::ChunkOverhead);
        }
        self.state = State::Data;
        Ok(())
    }
}
