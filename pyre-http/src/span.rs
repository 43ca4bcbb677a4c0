//! A piece of a buffer, by offsets: 8 bytes that stay valid when the buffer moves to another thread.

/// The largest buffer that spans can describe, in bytes.
pub const SPAN_BYTES_MAX: usize = u32::MAX as usize;

/// The bytes `start..end` of the buffer that belongs to the message.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// A span of nothing.
    pub const EMPTY: Self = Self { start: 0, end: 0 };

    /// The span of `start..end`, both at most [`SPAN_BYTES_MAX`].
    #[inline]
    pub fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end <= SPAN_BYTES_MAX, "a span of {start}..{end}");
        Self { start: start as u32, end: end as u32 }
    }

    /// The bytes it describes.
    ///
    /// # Panics
    ///
    /// If `bytes` is too short, which means that it is not the buffer the span was made for.
    #[inline]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.end as usize]
    }

    /// How many bytes it describes.
    #[inline]
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether it describes no bytes.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The same bytes after the buffer lost `count` bytes at its front; empty spans stay empty.
    #[inline]
    pub fn moved_down(self, count: usize) -> Self {
        if self == Self::EMPTY {
            return self;
        }
        let count = count as u32;
        Self { start: self.start - count, end: self.end - count }
    }
}
