//! Step 3: the bytes of one connection become requests, one after the other.
//!
//! The reader owns no bytes. It reads the connection's buffer from its own position on, hands out
//! spans into it, and remembers how far it got when something is missing, so that every byte is
//! looked at a fixed number of times. However the bytes are cut, the same requests or the same
//! error come out. After an error nothing behind it is ever read. Hot path.

use crate::error::RequestError;
use crate::h1::chunked::Chunked;
use crate::h1::head;
use crate::h1::scan::Scan;
use crate::header::{HeaderRange, HeaderSpan};
use crate::limits::{EMPTY_LINES_MAX, Limits};
use crate::message::{BodyFraming, Request};
use crate::span::{SPAN_BYTES_MAX, Span};

/// What [`RequestReader::next`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// A whole request. There may be more behind it.
    Request(Request),
    /// The rest of the buffer is no whole request yet.
    Partial,
}

/// What [`RequestReader::read_body`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BodyPart {
    /// So many bytes of the body lie at the front of the buffer, decoded.
    pub length: usize,
    /// The body has ended, and what lies from this offset on belongs to the next request.
    pub end: Option<usize>,
}

/// Reads the requests of one connection.
#[derive(Debug)]
pub struct RequestReader {
    position: usize,
    stage: Stage,
}

/// What comes next on the wire. Offsets inside are relative to the reader's position.
#[derive(Debug)]
enum Stage {
    /// A head; so many empty lines in front of it are skipped.
    Head { scan: Scan, empty_lines: u8 },
    /// A body of known length.
    Length { request: Request, body_start: u32, missing: usize },
    /// A body in chunks.
    Chunked { request: Request, body_start: u32, chunked: Chunked },
    /// A body that nobody wants: it is counted and checked as any other, and dropped as it comes.
    Unwanted { request: Request, body_start: u32, left: Left },
    /// The rest of the body of a request that was handed out with its head.
    Rest { left: Left, keep_alive: bool },
    /// Nothing: the last request said that it is the last.
    Ended,
    /// Nothing, as a rule was broken.
    Failed(RequestError),
}

/// How much of a body is still to come.
#[derive(Clone, Copy, Debug)]
enum Left {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
}

impl Left {
    /// Drops what lies in `bytes` from there on and belongs to the body. Tells whether that was the end of it.
    fn drop_from(
        &mut self,
        bytes: &mut Vec<u8>,
        from: usize,
        limits: &Limits,
    ) -> Result<bool, RequestError> {
        let end = match self {
            Self::Length(left) => {
                let come = (bytes.len() - from) as u64;
                let dropped = come.min(*left);
                *left -= dropped;
                (*left == 0).then_some(from + dropped as usize)
            }
            Self::Chunked(chunked) => chunked.decode(bytes, from, limits)?,
        };
        bytes.drain(from..end.unwrap_or(bytes.len()));
        Ok(end.is_some())
    }
}

impl Stage {
    const NEW: Self = Self::Head { scan: Scan::HEAD, empty_lines: 0 };

    /// What comes after a request. RFC 9112 section 9.6: once one says `close`, nothing behind it may
    /// be processed.
    fn after(keep_alive: bool) -> Self {
        if keep_alive { Self::NEW } else { Self::Ended }
    }
}

impl Default for RequestReader {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestReader {
    /// A reader for a new connection with an empty buffer.
    pub const fn new() -> Self {
        Self { position: 0, stage: Stage::NEW }
    }

    /// Reads the next request from `bytes[position()..]` and appends its fields to `headers`.
    ///
    /// Call it until it gives [`Next::Partial`]; then call it again when `bytes` has got more at
    /// its end. Behind a request that ends the connection nothing is read, whatever comes. A body in
    /// chunks is decoded inside `bytes`, and what is decoded replaces its chunks
    /// in the buffer; nothing before `position()` is changed. `headers` gets nothing before the
    /// request is whole.
    ///
    /// # Errors
    ///
    /// If the peer broke a rule or a limit. Every later call gives the same error.
    #[inline]
    pub fn next(
        &mut self,
        bytes: &mut Vec<u8>,
        headers: &mut Vec<HeaderSpan>,
        limits: &Limits,
    ) -> Result<Next, RequestError> {
        if let Stage::Head { scan, empty_lines } = &mut self.stage
            && scan.is_fresh()
            && bytes.len() <= SPAN_BYTES_MAX
        {
            if self.position == bytes.len() {
                return Ok(Next::Partial);
            }
            let field_count = headers.len();
            if let Ok((mut request, end)) = head::parse(bytes, self.position, headers, limits) {
                let body_bytes = match request.framing {
                    BodyFraming::None => Some(0),
                    BodyFraming::Length(length) => Some(length as usize),
                    BodyFraming::Chunked => None,
                };
                if let Some(body_bytes) = body_bytes
                    && bytes.len() - end >= body_bytes
                {
                    request.body = Span::new(end, end + body_bytes);
                    self.position = end + body_bytes;
                    *empty_lines = 0;
                    if !request.keep_alive {
                        self.stage = Stage::Ended;
                    }
                    return Ok(Next::Request(request));
                }
            }
            headers.truncate(field_count);
        }
        self.resume(bytes, headers, limits)
    }

    /// The slow way: something is missing, wrong or unusual.
    #[cold]
    #[inline(never)]
    fn resume(
        &mut self,
        bytes: &mut Vec<u8>,
        headers: &mut Vec<HeaderSpan>,
        limits: &Limits,
    ) -> Result<Next, RequestError> {
        let field_count = headers.len();
        let outcome = self.advance(bytes, headers, limits);
        match outcome {
            Ok(Next::Request(_)) => {}
            Ok(Next::Partial) => headers.truncate(field_count),
            Err(error) => {
                headers.truncate(field_count);
                self.stage = Stage::Failed(error);
            }
        }
        outcome
    }

    fn advance(
        &mut self,
        bytes: &mut Vec<u8>,
        headers: &mut Vec<HeaderSpan>,
        limits: &Limits,
    ) -> Result<Next, RequestError> {
        if bytes.len() > SPAN_BYTES_MAX {
            return Err(RequestError::BodyTooLarge);
        }
        if !self.skip_empty_lines(bytes)? {
            return Ok(Next::Partial);
        }
        let start = self.position;
        let field_count = headers.len();
        if let Stage::Head { scan, .. } = &mut self.stage {
            let Some(head_bytes) = scan.advance(&bytes[start..], limits)? else {
                return Ok(Next::Partial);
            };
            let (mut request, end) = parse_scanned(bytes, start, headers, limits)?;
            debug_assert_eq!(end, start + head_bytes, "two readers, two ends");
            request.headers = HeaderRange::default();
            let body_start = (end - start) as u32;
            self.stage = match request.framing {
                BodyFraming::None | BodyFraming::Length(_) => {
                    Stage::Length { request, body_start, missing: 0 }
                }
                BodyFraming::Chunked => {
                    Stage::Chunked { request, body_start, chunked: Chunked::NEW }
                }
            };
        }
        let (body, end) = match &mut self.stage {
            Stage::Length { request, body_start, missing } => {
                let length = match request.framing {
                    BodyFraming::Length(length) => length as usize,
                    BodyFraming::None | BodyFraming::Chunked => 0,
                };
                let body_start = start + *body_start as usize;
                let end = body_start + length;
                *missing = end.saturating_sub(bytes.len());
                if *missing > 0 {
                    return Ok(Next::Partial);
                }
                (Span::new(body_start, end), end)
            }
            Stage::Chunked { body_start, chunked, .. } => {
                let body_start = start + *body_start as usize;
                let from = body_start + chunked.decoded();
                let Some(end) = chunked.decode(bytes, from, limits)? else {
                    return Ok(Next::Partial);
                };
                (Span::new(body_start, body_start + chunked.decoded()), end)
            }
            Stage::Unwanted { body_start, left, .. } => {
                let body_start = start + *body_start as usize;
                if !left.drop_from(bytes, body_start, limits)? {
                    return Ok(Next::Partial);
                }
                (Span::new(body_start, body_start), body_start)
            }
            Stage::Rest { .. } | Stage::Ended => return Ok(Next::Partial),
            Stage::Failed(error) => return Err(*error),
            Stage::Head { .. } => unreachable!("a head is followed by its body"),
        };
        // The fields are read once more rather than kept: a body that comes late must not keep
        // the table of the requests before it.
        headers.truncate(field_count);
        let (mut request, _) = parse_scanned(bytes, start, headers, limits)?;
        request.body = body;
        self.position = end;
        self.stage = Stage::after(request.keep_alive);
        Ok(Next::Request(request))
    }

    /// Nobody wants the body of the pending request: what has come of it leaves `bytes`, and so does what
    /// comes. [`Self::next`] hands the request out behind the end of its body, which is empty then.
    /// What breaks a rule or a limit is an error as ever.
    pub fn drop_body(&mut self, bytes: &mut Vec<u8>) {
        let Some((&request, body_start, left)) = self.pending_body() else { return };
        bytes.truncate(self.position + body_start as usize);
        self.stage = Stage::Unwanted { request, body_start, left };
    }

    /// The pending request, where its body begins behind the reader's position, and what is left of that.
    fn pending_body(&self) -> Option<(&Request, u32, Left)> {
        match &self.stage {
            Stage::Length { request, body_start, missing } => {
                Some((request, *body_start, Left::Length(*missing as u64)))
            }
            Stage::Chunked { request, body_start, chunked } => {
                Some((request, *body_start, Left::Chunked(*chunked)))
            }
            Stage::Unwanted { request, body_start, left } => Some((request, *body_start, *left)),
            Stage::Head { .. } | Stage::Rest { .. } | Stage::Ended | Stage::Failed(_) => None,
        }
    }

    /// Whether that was said of the pending request.
    #[must_use]
    pub fn drops_body(&self) -> bool {
        matches!(self.stage, Stage::Unwanted { .. })
    }

    /// Hands the pending request out with its head alone: what follows of its body is for
    /// [`Self::read_body`]. Appends its fields to `headers`; `bytes` is cut behind the head, and what has
    /// come of the body, decoded, is returned. None if no request is pending.
    ///
    /// # Errors
    ///
    /// None that [`Self::next`] has not found before.
    pub fn begin_body(
        &mut self,
        bytes: &mut Vec<u8>,
        headers: &mut Vec<HeaderSpan>,
        limits: &Limits,
    ) -> Result<Option<(Request, Vec<u8>)>, RequestError> {
        let Some((_, body_start, left)) = self.pending_body() else { return Ok(None) };
        let start = self.position;
        let body_start = start + body_start as usize;
        let (mut request, _) = parse_scanned(bytes, start, headers, limits)?;
        request.body = Span::new(body_start, body_start);
        let first = bytes.split_off(body_start);
        self.position = body_start;
        self.stage = Stage::Rest { left, keep_alive: request.keep_alive };
        Ok(Some((request, first)))
    }

    /// Reads on in the body of the request that was handed out with its head, in a buffer with nothing
    /// but what has come since the last call. After its end, requests are read again, from the front
    /// of a buffer that begins there.
    ///
    /// # Errors
    ///
    /// If the peer broke a rule or a limit. Nothing behind it is ever read.
    pub fn read_body(
        &mut self,
        bytes: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<BodyPart, RequestError> {
        let part = match &mut self.stage {
            Stage::Rest { left: Left::Length(left), .. } => {
                let length =
                    usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= length as u64;
                Ok(BodyPart { length, end: (*left == 0).then_some(length) })
            }
            Stage::Rest { left: Left::Chunked(chunked), .. } => {
                let before = chunked.decoded();
                let end = chunked.decode(bytes, 0, limits);
                end.map(|end| BodyPart { length: chunked.decoded() - before, end })
            }
            Stage::Failed(error) => Err(*error),
            _ => Ok(BodyPart { length: 0, end: Some(0) }),
        };
        match (&part, &self.stage) {
            (Err(error), _) => self.stage = Stage::Failed(*error),
            (Ok(BodyPart { end: Some(_), .. }), Stage::Rest { keep_alive, .. }) => {
                self.position = 0;
                self.stage = Stage::after(*keep_alive);
            }
            _ => {}
        }
        part
    }

    /// Skips empty lines in front of a request line, as RFC 9112 section 2.2 asks for, and tells
    /// whether what follows is there.
    fn skip_empty_lines(&mut self, bytes: &[u8]) -> Result<bool, RequestError> {
        let Stage::Head { scan, empty_lines } = &mut self.stage else {
            return Ok(true);
        };
        if !scan.is_fresh() {
            return Ok(true);
        }
        loop {
            match &bytes[self.position..] {
                [b'\r', ..] if *empty_lines == EMPTY_LINES_MAX => {
                    return Err(RequestError::TooManyEmptyLines);
                }
                [] | [b'\r'] => return Ok(false),
                [b'\r', b'\n', ..] => {
                    *empty_lines += 1;
                    self.position += 2;
                }
                [b'\r', ..] => return Err(RequestError::BareCr),
                _ => return Ok(true),
            }
        }
    }

    /// The first byte that belongs to no request handed out so far.
    #[inline]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Tells that `bytes[position()..]` moved to the front of the buffer, be it another one.
    #[inline]
    pub fn rebase(&mut self) {
        if let Stage::Length { request, .. }
        | Stage::Chunked { request, .. }
        | Stage::Unwanted { request, .. } = &mut self.stage
        {
            request.move_down(self.position);
        }
        self.position = 0;
    }

    /// The request whose head is there and whose body is still coming.
    ///
    /// Its fields are in no table yet, and its body is empty.
    #[inline]
    pub fn pending(&self) -> Option<&Request> {
        match &self.stage {
            Stage::Length { request, .. }
            | Stage::Chunked { request, .. }
            | Stage::Unwanted { request, .. } => Some(request),
            Stage::Head { .. } | Stage::Rest { .. } | Stage::Ended | Stage::Failed(_) => None,
        }
    }

    /// As [`Self::pending`], with its fields, which are appended to `headers`.
    pub fn pending_with_fields(
        &self,
        bytes: &[u8],
        headers: &mut Vec<HeaderSpan>,
        limits: &Limits,
    ) -> Option<Request> {
        self.pending()?;
        parse_scanned(bytes, self.position, headers, limits).ok().map(|(request, _)| request)
    }

    /// How many bytes of the pending body were missing at the last call of [`Self::next`]; unknown
    /// for chunks.
    #[inline]
    pub fn body_bytes_missing(&self) -> Option<usize> {
        match &self.stage {
            Stage::Length { missing, .. } => Some(*missing),
            Stage::Unwanted { left: Left::Length(left), .. } => usize::try_from(*left).ok(),
            _ => None,
        }
    }

    /// How many bytes are missing at least of the body that [`Self::read_body`] reads.
    pub fn rest_bytes_min(&self) -> u64 {
        match &self.stage {
            Stage::Rest { left: Left::Length(left), .. } => *left,
            Stage::Rest { left: Left::Chunked(chunked), .. } => chunked.missing_bytes_min(),
            _ => 0,
        }
    }

    /// Whether the last request asked to close the connection: nothing behind it is read.
    #[inline]
    pub fn is_ended(&self) -> bool {
        matches!(&self.stage, Stage::Ended)
    }

    /// Whether it waits for a request of which it has seen nothing.
    #[inline]
    pub fn is_idle(&self) -> bool {
        matches!(&self.stage, Stage::Head { scan, .. } if scan.is_fresh())
    }
}

/// Reads a head that `scan` has found to be whole and right.
fn parse_scanned(
    bytes: &[u8],
    start: usize,
    headers: &mut Vec<HeaderSpan>,
    limits: &Limits,
) -> Result<(Request, usize), RequestError> {
    head::parse(bytes, start, headers, limits).map_err(|unfit| match unfit {
        head::Unfit::Meaning(error) => error,
        head::Unfit::Syntax => {
            debug_assert!(false, "the scanner takes what the parser refuses");
            RequestError::HeaderNameInvalid
        }
    })
}
