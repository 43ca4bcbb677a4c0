//! HTTP versions that requests on an HTTP/1 connection can have.

/// An HTTP version; 1.0 sorts before 1.1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Version {
    Http10,
    Http11,
}

impl Version {
    /// The number alone, as in `1.1`.
    #[inline]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
        }
    }
}
