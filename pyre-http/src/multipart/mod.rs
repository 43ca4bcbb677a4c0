//! Forms as `multipart/form-data` (RFC 7578): pushed bytes go in, parts come out, and nothing is copied but
//! heads.
//!
//! Strict where being lenient would let two readers see two forms: lines end with CRLF, each part says
//! what it is, the last boundary is there. Lenient where clients differ: `head.rs` has names.

/// What can be wrong with a form.
pub mod fault;
mod parameters; // what stands behind the semicolons of a header value
/// The boundary, from the `Content-Type` of a request.
pub mod boundary;
/// The head of a part: names, and how clients escape them.
pub mod head;
/// From bytes to events.
pub mod parser;

#[cfg(test)]
mod tests;
