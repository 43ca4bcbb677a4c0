//! Where the encoder writes: the end of a vector, with room made in advance.
//! Hot path.
//!
//! The bytes beyond the end are zeroed room, so that short text is stored in whole words, with one
//! check of the room for all of it, and in safe code.

use std::ops::Range;

/// Room made at a time, in bytes: enough for most replies, so that they make room once.
const ROOM_BYTES_MIN: usize = 512;

/// A vector that is being appended to. Only when the sink is dropped does it end where it should.
pub(super) struct Sink<'a> {
    bytes: &'a mut Vec<u8>,
    end: usize,
}

impl<'a> Sink<'a> {
    /// Appends to `bytes`.
    pub(super) fn new(bytes: &'a mut Vec<u8>) -> Sink<'a> {
        let end = bytes.len();
        Sink { bytes, end }
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

    /// At least `count` bytes to write into, of which `advance` keeps some.
    #[inline(always)]
    pub(super) fn room(&mut self, count: usize) -> &mut [u8] {
        if self.bytes.len() - self.end < count {
            self.grow(count);
        }
        &mut self.bytes[self.end..]
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
        self.room(text.len())[..text.len()].copy_from_slice(text);
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
        // In step with what is there, so that large values make room a few times only.
        let room = count.max(ROOM_BYTES_MIN).max(self.end / 2);
        self.bytes.resize(self.end + room, 0);
    }
}

impl Drop for Sink<'_> {
    fn drop(&mut self) {
        self.bytes.truncate(self.end);
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
