//! Every bound on what a peer may send. A request is refused at the first byte beyond one of them.

/// The most header fields that [`Limits::headers_max`] can allow: the reader's table on the stack.
pub const HEADERS_CAP: usize = 128;

/// The largest body that [`Limits::body_bytes_max`] can allow, so that spans reach all of it.
pub const BODY_BYTES_CAP: usize = 1 << 31;

/// The longest method that is read at all; RFC 9112 section 3 answers longer ones with 501.
pub const METHOD_BYTES_MAX: usize = 32;

/// Empty lines skipped before a request line. RFC 9112 section 2.2 asks for at least one.
pub const EMPTY_LINES_MAX: u8 = 2;

/// Bounds of one connection's requests, in bytes unless the name says otherwise.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Head of a request: from its first byte to the end of the empty line. Beyond: 431.
    pub head_bytes_max: usize,
    /// Request target. Beyond: 414.
    pub target_bytes_max: usize,
    /// Number of header fields, and of trailer fields; at most [`HEADERS_CAP`]. Beyond: 431.
    pub headers_max: usize,
    /// Body after decoding; at most [`BODY_BYTES_CAP`]. Beyond: 413.
    pub body_bytes_max: usize,
    /// Extensions of one chunk. Nobody uses them but attackers. Beyond: 400.
    pub chunk_extension_bytes_max: usize,
    /// By how much size lines may outweigh the data of a chunked body. Beyond: 400.
    pub chunk_overhead_bytes_max: usize,
    /// Trailer section of a chunked body. Beyond: 431.
    pub trailer_bytes_max: usize,
    /// Number of requests of one connection that may be under way at a time. The reactor keeps to
    /// it by not reading on.
    pub pipelined_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 64 << 10,
            target_bytes_max: 8 << 10,
            headers_max: 100,
            body_bytes_max: 10 << 20,
            chunk_extension_bytes_max: 1 << 10,
            chunk_overhead_bytes_max: 64 << 10,
            trailer_bytes_max: 8 << 10,
            pipelined_max: 256,
        }
    }
}
