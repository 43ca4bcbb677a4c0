//! Hot path. Bodies that stand nowhere as a whole: one that is sent in chunks, and one that is counted
//! as it comes.

use std::io::{self, IoSlice, Write};

use crate::heads::{Heads, Kind};

/// Length of a piece; each but the last has a chunk of its own.
const PIECE_BYTES: usize = 64 * 1024;
/// Room for what is read at a time while a body comes.
pub(crate) const INPUT_BYTES: usize = 256 * 1024;
const LINE_END: &[u8] = b"\r\n";
const LAST_END: &[u8] = b"\r\n0\r\n\r\n";

/// An answer in chunks, of which only one piece is kept.
pub(crate) struct Reply {
    piece: Vec<u8>,
    /// Bytes of the body that are in no chunk yet.
    left: u64,
    /// The present chunk: its first line, how much of the piece it has, and how much of it is sent.
    line: Vec<u8>,
    length: usize,
    sent: usize,
}

impl Reply {
    /// Writes the head, and begins the first chunk.
    pub(crate) fn begin(out: &mut Vec<u8>, bytes: u64, heads: &Heads) -> Self {
        heads.begin_chunked(out);
        // Lines of numbers, so that a reader sees what is missing or out of place.
        let piece = (0..PIECE_BYTES / 16).flat_map(|line| format!("{line:015}\n").into_bytes());
        let mut reply =
            Self { piece: piece.collect(), left: bytes, line: Vec::new(), length: 0, sent: 0 };
        reply.begin_chunk();
        reply
    }

    /// Sends until the socket takes no more; true once all is sent.
    pub(crate) fn go_on(&mut self, stream: &mut impl Write) -> io::Result<bool> {
        loop {
            let end = if self.left == 0 { LAST_END } else { LINE_END };
            let mut parts = [
                IoSlice::new(&self.line),
                IoSlice::new(&self.piece[..self.length]),
                IoSlice::new(end),
            ];
            let mut rest = &mut parts[..];
            IoSlice::advance_slices(&mut rest, self.sent);
            match stream.write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if self.sent == self.line.len() + self.length + end.len() {
                if self.left == 0 {
                    return Ok(true);
                }
                self.begin_chunk();
            }
        }
    }

    fn begin_chunk(&mut self) {
        self.length = usize::try_from(self.left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        self.left -= self.length as u64;
        self.line = format!("{:x}\r\n", self.length).into_bytes();
        self.sent = 0;
    }
}

/// A body that is counted and thrown away.
pub(crate) struct Upload {
    bytes: usize,
    left: usize,
    pub(crate) keep_alive: bool,
}

impl Upload {
    pub(crate) fn new(bytes: usize, keep_alive: bool) -> Self {
        Self { bytes, left: bytes, keep_alive }
    }

    /// Takes what belongs to it of so many bytes; says how many that are.
    pub(crate) fn take(&mut self, received: usize) -> usize {
        let taken = received.min(self.left);
        self.left -= taken;
        taken
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.left == 0
    }

    /// Answers with the number of bytes.
    pub(crate) fn answer(&self, out: &mut Vec<u8>, heads: &Heads) {
        heads.ok(out, Kind::Text, itoa::Buffer::new().format(self.bytes).as_bytes());
    }
}
