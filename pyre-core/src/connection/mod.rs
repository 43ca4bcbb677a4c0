//! Connections of a reactor: where each stands, what it speaks, its socket, its buffers and its deadline.
//!
//! Sees `metrics`, for what is noted of a request, and what is below that; nothing of where jobs go.

pub(crate) mod table; // all connections, and what goes with each
pub(crate) mod slots; // slots with generations
pub(crate) mod state; // one connection: where it stands
pub(crate) mod protocol; // what it speaks: how bytes become requests, and which are with handlers
mod h1; // HTTP/1.1
pub(crate) mod socket; // WebSocket
pub(crate) mod exchange; // a request that is with a handler
pub(crate) mod upload; // the body of one, if it is still coming
pub(crate) mod transport; // one connected socket, TCP or Unix
pub(crate) mod jobs; // empty jobs, kept for reuse
pub(crate) mod waits; // what connections wait for, and how long
pub(crate) mod timers; // wheel of alarms
