//! Compressed content (RFC 9110 section 8.4): which answers are compressed, for whom, and in which coding.

mod answer; // whether an answer may be compressed, and what is said of it
mod decoder; // the way back
mod encoder; // bytes, whole or in pieces
mod terms; // what an app says of it

#[cfg(test)]
mod tests;

pub use answer::Plan;
pub use decoder::{Decoder, Malformed};
pub use encoder::{Encoder, Encoders};
pub use terms::Compression;
