//! HTTP/1.0 and 1.1, RFC 9112.
//!
//! A head is read twice at most: by `head` over `httparse`, which is fast and takes more than the
//! RFC allows but for the checks added there, and by `scan`, which is slow and exact, remembers
//! where it stopped, and names what is wrong. `head` accepts what `scan` accepts and nothing else;
//! a fuzz target holds them together.

// Step 3: bytes become requests.
/// Requests from the bytes of a connection, one after the other.
pub mod reader;
/// The quick way to read a head.
pub mod head;
mod scan;
mod framing;
mod chunked;

// Step 9: answers become bytes.
/// Status line, headers and body length into a buffer.
pub mod serialize;
/// Bodies that go out as they are made.
pub mod chunk;
/// Answers that the server gives by itself.
pub mod refuse;

#[cfg(test)]
mod tests;
