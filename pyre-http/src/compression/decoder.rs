//! What a client has compressed (RFC 9110 section 8.4), made plain again, within a bound.

use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, enc::StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, OutBuffer};
use zstd::zstd_safe::{DCtx, InBuffer};

use crate::files::coding::Coding;

/// Grows a buffer by so much at a time.
const STEP_BYTES: usize = 8192;

/// The largest window of zstd, as a logarithm: 8 MiB, as much as clients may ask for (RFC 9659 section 3).
const ZSTD_BITS_MAX: u32 = 23;

/// Why a body cannot be decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// It is not what its coding says, or has no end, or something behind that.
    Wrong,
    /// It is longer than may be.
    TooLong,
}

/// Decodes one body.
pub struct Decoder {
    kind: Kind,
    /// The end has come.
    has_ended: bool,
    /// Something has come.
    has_begun: bool,
    /// More may come out of what was taken.
    may_have_more: bool,
    /// How many bytes may still come out.
    left: usize,
}

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

enum Kind {
    Gzip(Box<Decompress>),
    Brotli(Box<Brotli>),
    Zstandard(DCtx<'static>),
}

impl Decoder {
    /// For a body of which nothing has come, and which may have so many bytes in the end.
    ///
    /// # Panics
    /// Never: the parameter is known.
    #[must_use]
    pub fn new(coding: Coding, bytes_max: usize) -> Self {
        let kind = match coding {
            Coding::Gzip => Kind::Gzip(Box::new(Decompress::new_gzip(15))),
            Coding::Brotli => {
                let alloc = StandardAlloc::default;
                // RFC 7932 section 9.1 has windows of up to 16 MiB; there are larger ones, which nobody sends.
                Kind::Brotli(Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())))
            }
            Coding::Zstandard => {
                let mut context = DCtx::create();
                let window = DParameter::WindowLogMax(ZSTD_BITS_MAX);
                context.set_parameter(window).expect("it is known to every version");
                Kind::Zstandard(context)
            }
        };
        Self { kind, has_ended: false, has_begun: false, may_have_more: false, left: bytes_max }
    }

    /// Appends what a piece stands for, until so many bytes have come out of it. Tells how much of the piece
    /// was taken: if not all of it was, or [`Self::may_have_more`], there is more to come without another one.
    ///
    /// # Errors
    /// What is wrong with it; what came out of it before that is right.
    pub fn push(
        &mut self,
        piece: &[u8],
        most: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, Malformed> {
        let mut room = [0; STEP_BYTES];
        self.has_begun |= !piece.is_empty();
        let (mut taken, mut made) = (0, 0);
        while made < most && (taken < piece.len() || self.may_have_more) {
            if self.has_ended {
                // A body of gzip or zstd may have several members (RFC 1952 section 2.2, RFC 8878 section 3).
                self.begin_again()?;
            }
            let left = &piece[taken..];
            let room = &mut room[..STEP_BYTES.min(most - made)];
            let step = self.step(left, room)?;
            let fits = step.made.min(self.left);
            out.extend_from_slice(&room[..fits]);
            self.left -= fits;
            if fits < step.made {
                return Err(Malformed::TooLong);
            }
            self.has_ended = step.is_end;
            self.may_have_more = !step.is_end && step.made == room.len();
            if !step.is_end && step.taken == 0 && step.made == 0 && !left.is_empty() {
                return Err(Malformed::Wrong);
            }
            taken += step.taken;
            made += step.made;
        }
        Ok(taken)
    }

    /// Whether more may come out of what was taken.
    #[must_use]
    pub fn may_have_more(&self) -> bool {
        self.may_have_more
    }

    /// Nothing follows.
    ///
    /// # Errors
    /// If something should.
    pub fn end(&self) -> Result<(), Malformed> {
        // What has nothing in it stands for nothing.
        if self.has_ended || !self.has_begun { Ok(()) } else { Err(Malformed::Wrong) }
    }

    fn begin_again(&mut self) -> Result<(), Malformed> {
        match &mut self.kind {
            Kind::Gzip(stream) => **stream = Decompress::new_gzip(15),
            // It goes on by itself.
            Kind::Zstandard(_) => {}
            Kind::Brotli(_) => return Err(Malformed::Wrong),
        }
        self.has_ended = false;
        Ok(())
    }

    fn step(&mut self, piece: &[u8], room: &mut [u8]) -> Result<Step, Malformed> {
        match &mut self.kind {
            Kind::Gzip(stream) => {
                let before = (stream.total_in(), stream.total_out());
                let status = stream
                    .decompress(piece, room, FlushDecompress::None)
                    .map_err(|_| Malformed::Wrong)?;
                Ok(Step {
                    taken: (stream.total_in() - before.0) as usize,
                    made: (stream.total_out() - before.1) as usize,
                    is_end: status == Status::StreamEnd,
                })
            }
            Kind::Brotli(state) => {
                let (mut available_in, mut taken) = (piece.len(), 0);
                let (mut available_out, mut made, mut total) = (room.len(), 0, 0);
                let result = BrotliDecompressStream(
                    &mut available_in,
                    &mut taken,
                    piece,
                    &mut available_out,
                    &mut made,
                    room,
                    &mut total,
                    state,
                );
                let is_end = match result {
                    BrotliResult::ResultFailure => return Err(Malformed::Wrong),
                    BrotliResult::ResultSuccess => true,
                    BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => false,
                };
                Ok(Step { taken, made, is_end })
            }
            Kind::Zstandard(context) => {
                let mut input = InBuffer::around(piece);
                let mut output = OutBuffer::around(room);
                let hint = context
                    .decompress_stream(&mut output, &mut input)
                    .map_err(|_| Malformed::Wrong)?;
                Ok(Step { taken: input.pos, made: output.pos(), is_end: hint == 0 })
            }
        }
    }
}

struct Step {
    taken: usize,
    made: usize,
    is_end: bool,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}
