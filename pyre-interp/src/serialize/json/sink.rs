//! Where the encoder writes: the end of a vector, with room made in advance.
//! Hot path.
//!
//! The bytes beyond the end are zeroed room, so that short text is stored in whole words, with one
//! check of the room for all of it, and in safe code.

use std::ops::Range;

/// Room made at a time, in bytes: enough for many replies.
const ROOM_BYTES: usize = 256;

/// A vector that is being appended to. It gets its bytes back, and ends where it should, when the
/// sink is dropped.
pub(super) struct Sink<'a> {
    home: &'a mut Vec<u8>,
    bytes: Vec<u8>,
    end: usize,
}

impl<'a> Sink<'a> {
    /// Appends to `bytes`.
    pub(super) fn new(bytes: &'a mut Vec<u8>) -> Sink<'a> {
        let end = bytes.len();
        Sink { bytes: std::mem::take(bytes), home: bytes, end }
    }

    /// Where the next byte goes.
    #[inline(always)]
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// What was written there.
    pub(super) fn written(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[..self.end][range]
    }

    /// Forgets what was written from `start` on.
    pub(super) fn rewind(&mut self, start: usize) {
        self.end = self.end.min(start);
    }

    /// `count` bytes to write into, of which `advance` keeps some.
    #[inline(always)]
    pub(super) fn room(&mut self, count: usize) -> &mut [u8] {
        if self.bytes.len() - self.end < count {
            self.grow(count);
        }
        &mut self.bytes[self.end..self.end + count]
    }

    /// Keeps the first `count` bytes of the room.
    #[inline(always)]
    pub(super) fn advance(&mut self, count: usize) {
        self.end += count;
        debug_assert!(self.end <= self.bytes.len(), "only room that was made is kept");
    }

    #[inline(always)]
    pub(super) fn push(&mut self, byte: u8) {
        self.room(1)[0] = byte;
        self.advance(1);
    }

    /// Appends text of any length.
    #[inline]
    pub(super) fn append(&mut self, text: &[u8]) {
        self.room(text.len()).copy_from_slice(text);
        self.advance(text.len());
    }

    /// Appends text of a length known when this is compiled: a store or two.
    #[inline(always)]
    pub(super) fn append_array<const N: usize>(&mut self, text: &[u8; N]) {
        if let Some(target) = self.room(N).first_chunk_mut::<N>() {
            *target = *text;
        }
        self.advance(N);
    }

    #[inline(never)]
    fn grow(&mut self, count: usize) {
        if count <= ROOM_BYTES && self.end < 8 * ROOM_BYTES {
            self.bytes.extend_from_slice(&[0; ROOM_BYTES]);
        } else {
            // In step with what is there, so that large values make room a few times only.
            self.bytes.resize(self.end + count.max(self.end / 2), 0);
        }
    }
}

impl Drop for Sink<'_> {
    #[inline]
    fn drop(&mut self) {
        self.bytes.truncate(self.end);
        *self.home = std::mem::take(&mut self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_ends_where_writing_ended() {
        let mut bytes = b"head ".to_vec();
        let mut sink = Sink::new(&mut bytes);
        sink.push(b'a');
        sink.append(&[b'b'; 2000]);
        sink.append_array(b"cd");
        let start = sink.end();
        sink.room(3)[..3].copy_from_slice(b"ef?");
        sink.advance(2);
        assert_eq!(sink.written(start..start + 2), b"ef");
        sink.push(b'g');
        sink.rewind(start + 1);
        drop(sink);
        assert_eq!(bytes, [&b"head a"[..], &[b'b'; 2000], b"cde"].concat());
    }
}
