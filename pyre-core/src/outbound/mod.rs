//! Replies going out, on the reactor: steps 11 and 12 of the life of a request.
//!
//! Steps as those of `inbound`. Sees the same rooms, and neither the reactor nor `inbound`.

pub(crate) mod collect; // 11: replies are taken out of the rings
pub(crate) mod stream; // 12: the next pieces of an answer
pub(crate) mod file; // 12: the next part of a file
pub(crate) mod socket; // 12: the next frames of a WebSocket
pub(crate) mod topics; // 12: what is published, to one of its subscribers
pub(crate) mod flush; // 12: bytes are written, one call per connection and turn
