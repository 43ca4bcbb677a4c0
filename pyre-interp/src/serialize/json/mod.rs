//! JSON both ways, straight between Python objects and bytes (RFC 8259).
//!
//! Decoding takes what `json.loads` takes, but for `NaN`, `Infinity` and numbers beyond a float
//! (RFC 8259 knows none of them), text that is not UTF-8, nesting deeper than [`DEPTH_MAX`] and
//! integers of more than 4300 digits. Its messages are those of `json.JSONDecodeError`.
//!
//! Encoding gives what `json.dumps` gives with `ensure_ascii=False` and without spaces, takes more
//! types, refuses `NaN` and infinities, and names the place of what it cannot encode:
//! `$.users[0].score`.

/// How deep arrays and objects may nest, both ways: what can be decoded can be encoded.
pub const DEPTH_MAX: usize = 256;

/// The UTF-8 byte order mark, which RFC 8259 section 8.1 lets a reader ignore.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// How far string text goes without care.
mod scan;

// Bytes to objects.
/// The number grammar.
mod number;
/// Strings with escapes.
mod unescape;
/// Names of objects, which repeat from text to text.
mod keys;
/// Arrays, objects and what is in them.
mod decode;
/// What is wrong with a text, and where.
mod error;

// Objects to bytes.
/// Where they go.
mod sink;
/// Strings, quoted and escaped.
mod text;
/// Floats.
mod decimal;
/// How deep, and in what.
mod level;
/// `$.users[0].score`
mod path;
/// Why not, and where.
mod failure;
/// How to encode what is no built-in type.
mod types;
/// Built-in types, and the walk.
mod encode;

#[cfg(test)]
mod tests;

pub use decode::{DecodeFailure, decode};
pub use encode::{EncodeCache, encode};
pub use error::{DecodeError, Position, Reason};
pub use keys::KeyCache;
