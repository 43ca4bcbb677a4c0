//! Compressed messages, RFC 7692: what goes over the wire is DEFLATE (RFC 1951) with the end of each
//! message cut off.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::close::Failure;

/// The end of a flush, which is left out on the wire (section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Grows a buffer by so much at a time.
const STEP_BYTES: usize = 4096;

/// Window sizes that both sides of the library support, as logarithms (section 7.1.2).
pub const WINDOW_BITS: std::ops::RangeInclusive<u8> = 9..=15;

/// Makes what a client has compressed plain again.
pub struct Inflater {
    /// Made with the first compressed message: clients agree on compression and then send none.
    stream: Option<Box<Decompress>>,
    takes_over: bool,
}

impl Inflater {
    /// For a peer that compresses with the window it was told, and with or without what it has sent
    /// before (`client_no_context_takeover`).
    #[must_use]
    pub fn new(takes_over: bool) -> Self {
        Self { stream: None, takes_over }
    }

    /// Appends what a piece of a message stands for; `is_end` says that it is the last one.
    ///
    /// # Errors
    /// More than `bytes_max` in all, or no DEFLATE.
    pub fn inflate(
        &mut self,
        piece: &[u8],
        is_end: bool,
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(), Failure> {
        self.feed(piece, out, bytes_max)?;
        if is_end {
            // Section 7.2.2.
            self.feed(&TAIL, out, bytes_max)?;
            if !self.takes_over {
                self.stream = None;
            }
        }
        Ok(())
    }

    fn feed(
        &mut self,
        mut input: &[u8],
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(), Failure> {
        // The largest window reads what was written with any.
        let stream = self.stream.get_or_insert_with(|| Box::new(Decompress::new(false)));
        loop {
            if out.len() == out.capacity() {
                // One byte more than may come shows that there is more.
                let room = (bytes_max + 1).saturating_sub(out.len()).min(STEP_BYTES.max(out.len()));
                out.reserve_exact(room);
            }
            let before = (stream.total_in(), out.len());
            let status = stream
                .decompress_vec(input, out, FlushDecompress::Sync)
                .map_err(|_| Failure::NotDeflated)?;
            input = &input[(stream.total_in() - before.0) as usize..];
            if out.len() > bytes_max {
                return Err(Failure::TooLong);
            }
            match status {
                // Section 7.2.3.4: a last block may end a flush, and something follows.
                Status::StreamEnd if !input.is_empty() => stream.reset(false),
                Status::StreamEnd => return Ok(()),
                Status::Ok | Status::BufError if input.is_empty() && out.len() < out.capacity() => {
                    return Ok(());
                }
                Status::BufError if out.len() == before.1 && out.len() < out.capacity() => {
                    return Err(Failure::NotDeflated);
                }
                Status::Ok | Status::BufError => {}
            }
        }
    }
}

/// Compresses what a server sends.
pub struct Deflater {
    stream: Compress,
    takes_over: bool,
}

impl Deflater {
    /// With a window of `2^bits` bytes, and with or without what was sent before
    /// (`server_no_context_takeover`).
    ///
    /// # Panics
    /// If the bits are not among [`WINDOW_BITS`].
    #[must_use]
    pub fn new(takes_over: bool, bits: u8) -> Self {
        let stream = Compress::new_with_window_bits(Compression::fast(), false, bits);
        Self { stream, takes_over }
    }

    /// Appends the message, compressed.
    ///
    /// # Panics
    /// Never: DEFLATE stands for any bytes.
    pub fn deflate(&mut self, mut data: &[u8], out: &mut Vec<u8>) {
        if data.is_empty() {
            // Section 7.2.3.6. The library writes nothing for a flush behind a flush.
            out.push(0);
            return;
        }
        loop {
            if out.capacity() - out.len() < 64 {
                out.reserve(STEP_BYTES.max(data.len() / 4));
            }
            let before = self.stream.total_in();
            let status = self.stream.compress_vec(data, out, FlushCompress::Sync);
            status.expect("a stream that has not ended takes all bytes");
            data = &data[(self.stream.total_in() - before) as usize..];
            // A flush is whole when it has left room.
            if data.is_empty() && out.len() < out.capacity() {
                break;
            }
        }
        // Section 7.2.1.
        debug_assert!(out.ends_with(&TAIL), "a flush ends so");
        out.truncate(out.len() - TAIL.len());
        if !self.takes_over {
            self.stream.reset();
        }
    }
}
