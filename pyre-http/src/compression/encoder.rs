//! Compresses bytes: whole ones, with what a thread keeps for the next ones, or pieces, each of which can be
//! read as soon as it is there.

use brotli::enc::encode::{BrotliEncoderOperation, BrotliEncoderStateStruct};
use brotli::enc::{BrotliEncoderParams, StandardAlloc};
use flate2::{Compress, Compression as Level, FlushCompress, Status};
use zstd::stream::raw::{CParameter, OutBuffer};
use zstd::zstd_safe::{CCtx, InBuffer, zstd_sys::ZSTD_EndDirective};

use super::Compression;
use crate::files::coding::Coding;

/// Grows a buffer by so much at a time.
const STEP_BYTES: usize = 4096;

/// The largest window of a whole body, as a logarithm; browsers read up to 23 of zstd (RFC 9659).
const WINDOW_BITS_MAX: u32 = 22;

/// Windows of bodies in pieces, as logarithms: they lie in memory as long as the answer lasts.
const GZIP_BITS: u8 = 13;
const BROTLI_BITS: i32 = 16;
const ZSTD_BITS: u32 = 15;

/// What is kept for the next bodies: encoders of one thread. Brotli's has no way to begin anew.
#[derive(Default)]
pub struct Encoders {
    gzip: Option<(u8, Compress)>,
    zstd: Option<CCtx<'static>>,
}

impl Encoders {
    /// Appends the whole body, encoded.
    ///
    /// # Panics
    /// Never for want of anything but memory: all codings stand for any bytes.
    pub fn encode(&mut self, terms: &Compression, coding: Coding, body: &[u8], out: &mut Vec<u8>) {
        let level = terms.level(coding);
        match coding {
            Coding::Gzip => {
                let (of_level, stream) =
                    self.gzip.get_or_insert_with(|| (level, gzip(level, WINDOW_BITS_OF_GZIP)));
                if *of_level == level {
                    stream.reset();
                } else {
                    (*of_level, *stream) = (level, gzip(level, WINDOW_BITS_OF_GZIP));
                }
                out.reserve(body.len() / 4 + 64);
                deflate(stream, body, FlushCompress::Finish, out);
            }
            Coding::Brotli => {
                let params = BrotliEncoderParams {
                    quality: level.into(),
                    lgwin: body.len().next_power_of_two().ilog2().clamp(16, WINDOW_BITS_MAX) as i32,
                    size_hint: body.len(),
                    ..BrotliEncoderParams::default()
                };
                let mut stream = brotli(params);
                run_brotli(&mut stream, body, BrotliEncoderOperation::BROTLI_OPERATION_FINISH, out);
            }
            Coding::Zstandard => {
                let context = self.zstd.get_or_insert_with(CCtx::create);
                let start = out.len();
                out.resize(start + zstd::zstd_safe::compress_bound(body.len()), 0);
                let encoded = context
                    .compress(&mut out[start..], body, level.into())
                    .expect("there is room for all of it");
                out.truncate(start + encoded);
            }
        }
    }
}

const WINDOW_BITS_OF_GZIP: u8 = 15;

fn gzip(level: u8, bits: u8) -> Compress {
    Compress::new_gzip(Level::new(level.into()), bits)
}

fn deflate(stream: &mut Compress, mut data: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
    loop {
        if out.capacity() - out.len() < 64 {
            out.reserve(STEP_BYTES.max(data.len() / 4));
        }
        let before = stream.total_in();
        let status = stream.compress_vec(data, out, flush);
        let status = status.expect("a stream that has not ended takes all bytes");
        data = &data[(stream.total_in() - before) as usize..];
        if status == Status::StreamEnd {
            return;
        }
        // A flush is whole when it has left room.
        let is_end = matches!(flush, FlushCompress::Finish);
        if !is_end && data.is_empty() && out.len() < out.capacity() {
            return;
        }
    }
}

/// Compresses one body that comes in pieces.
pub struct Encoder(Kind);

enum Kind {
    Gzip(Compress),
    Brotli(Box<BrotliEncoderStateStruct<StandardAlloc>>),
    Zstandard(CCtx<'static>),
    Ended,
}

impl Encoder {
    /// For a body of which nothing has come.
    ///
    /// # Panics
    /// Never: all levels and windows are known.
    #[must_use]
    pub fn new(terms: &Compression, coding: Coding) -> Self {
        let level = terms.level(coding);
        Self(match coding {
            Coding::Gzip => Kind::Gzip(gzip(level, GZIP_BITS)),
            Coding::Brotli => {
                let params = BrotliEncoderParams {
                    quality: level.into(),
                    lgwin: BROTLI_BITS,
                    ..BrotliEncoderParams::default()
                };
                Kind::Brotli(Box::new(brotli(params)))
            }
            Coding::Zstandard => {
                let mut context = CCtx::create();
                for parameter in [
                    CParameter::CompressionLevel(level.into()),
                    CParameter::WindowLog(ZSTD_BITS),
                    CParameter::HashLog(ZSTD_BITS - 1),
                    CParameter::ChainLog(ZSTD_BITS - 1),
                ] {
                    context.set_parameter(parameter).expect("it is known to every version");
                }
                Kind::Zstandard(context)
            }
        })
    }

    /// Appends what stands for a piece, so that a client can read all of it at once.
    ///
    /// # Panics
    /// Never, as [`Encoders::encode`].
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match &mut self.0 {
            Kind::Gzip(stream) => deflate(stream, piece, FlushCompress::Sync, out),
            Kind::Brotli(stream) => {
                run_brotli(stream, piece, BrotliEncoderOperation::BROTLI_OPERATION_FLUSH, out);
            }
            Kind::Zstandard(context) => {
                run_zstd(context, piece, ZSTD_EndDirective::ZSTD_e_flush, out);
            }
            Kind::Ended => {}
        }
    }

    /// Appends the end. Nothing follows.
    ///
    /// # Panics
    /// Never, as [`Encoders::encode`].
    pub fn end(&mut self, out: &mut Vec<u8>) {
        match std::mem::replace(&mut self.0, Kind::Ended) {
            Kind::Gzip(mut stream) => deflate(&mut stream, &[], FlushCompress::Finish, out),
            Kind::Brotli(mut stream) => {
                run_brotli(&mut stream, &[], BrotliEncoderOperation::BROTLI_OPERATION_FINISH, out);
            }
            Kind::Zstandard(mut context) => {
                run_zstd(&mut context, &[], ZSTD_EndDirective::ZSTD_e_end, out);
            }
            Kind::Ended => {}
        }
    }

    /// Lets go of what it holds. Nothing is to follow.
    pub fn give_up(&mut self) {
        self.0 = Kind::Ended;
    }

    /// What zstd holds, which it has from C.
    #[cfg(test)]
    pub(super) fn zstd_bytes(&self) -> usize {
        match &self.0 {
            Kind::Zstandard(context) => context.sizeof(),
            _ => 0,
        }
    }
}

fn brotli(params: BrotliEncoderParams) -> BrotliEncoderStateStruct<StandardAlloc> {
    let mut stream = BrotliEncoderStateStruct::new(StandardAlloc::default());
    stream.params = params;
    stream
}

fn run_brotli(
    stream: &mut BrotliEncoderStateStruct<StandardAlloc>,
    piece: &[u8],
    operation: BrotliEncoderOperation,
    out: &mut Vec<u8>,
) {
    let (mut left, mut taken) = (piece.len(), 0);
    let mut room = [0; STEP_BYTES];
    loop {
        let (mut free, mut made) = (room.len(), 0);
        let goes_on = stream.compress_stream(
            operation,
            &mut left,
            piece,
            &mut taken,
            &mut free,
            &mut room,
            &mut made,
            &mut None,
            &mut |_, _, _, _| (),
        );
        out.extend_from_slice(&room[..made]);
        debug_assert!(goes_on, "a stream that has not ended takes all bytes");
        if !goes_on || left == 0 && !stream.has_more_output() {
            return;
        }
    }
}

fn run_zstd(
    context: &mut CCtx<'static>,
    piece: &[u8],
    directive: ZSTD_EndDirective,
    out: &mut Vec<u8>,
) {
    let mut input = InBuffer::around(piece);
    let mut room = [0; STEP_BYTES];
    loop {
        let mut output = OutBuffer::around(&mut room[..]);
        let left = context
            .compress_stream2(&mut output, &mut input, directive)
            .expect("a stream that has not ended takes all bytes");
        out.extend_from_slice(output.as_slice());
        if left == 0 && input.pos == piece.len() {
            return;
        }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}
