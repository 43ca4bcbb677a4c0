//! WebSocket, RFC 6455: frames of a connection that has been upgraded, in both directions.
//!
//! Strict: whatever the RFC forbids fails the connection at the first byte that shows it, with the
//! code of section 7.4. Nothing is copied that need not be: a message that is whole in the buffer is
//! unmasked where it is.

/// A request that asks for WebSocket, and what it is answered.
pub mod handshake;
/// Whether messages are compressed, and how.
pub mod extension;

/// The head of a frame: read, checked, written.
pub mod frame;
mod mask;
mod utf8;
/// Compressed messages (RFC 7692).
pub mod deflate;
/// Why a connection ends: codes and reasons.
pub mod close;
/// Frames in: messages, pings, and what a peer does wrong.
pub mod receive;
/// Frames out.
pub mod send;

#[cfg(test)]
mod tests;
