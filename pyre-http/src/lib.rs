//! HTTP as a pure function of bytes: steps 3 and 9 of a request's life.
//!
//! Bytes go in, messages come out, and back. Nothing here opens a socket, reads a clock, starts a
//! thread or knows Python; the current time and every limit are arguments.
#![forbid(unsafe_code)]

// What everything else speaks of.
/// A piece of a buffer, by offsets.
pub mod span;
/// Every bound on what a peer may send, with unit, default and reason.
pub mod limits;
/// What a peer can do wrong, and the status it gets.
pub mod error;

// Small closed vocabularies.
/// Request methods.
pub mod method;
/// HTTP versions.
pub mod version;
/// Status codes: reason phrases, and which of them forbid a body.
pub mod status;

// What a request consists of.
/// Host and port: the authority of a request.
pub mod authority;
/// Request targets: which form, and where path and query are.
pub mod target;
/// Header fields as spans, and which names and values may be sent.
pub mod header;
/// A parsed request.
pub mod message;

/// HTTP/1.0 and 1.1: reading requests, writing replies.
pub mod h1;
/// WebSocket: frames of a connection that was upgraded.
pub mod websocket;

/// Files: which one a path names, whether the client has it, which parts of it are sent.
pub mod files;

/// Compressed content: which answers are, and both ways of doing it.
pub mod compression;

// Formats that handlers ask for.
/// Percent-encoding, query strings and URL-encoded forms.
pub mod form;
/// Forms with files: `multipart/form-data`.
pub mod multipart;
/// Event streams, as `EventSource` reads them.
pub mod event_stream;
/// Which pages of other origins may read answers.
pub mod cors;
/// What heads say to protect who reads them.
pub mod security;
/// Which hosts are served, and where plain http is sent on.
pub mod hosts;
/// What a proxy says of the connection to the client.
pub mod forwarded;
/// The `Cookie` header.
pub mod cookie;
/// Ids of requests, and W3C trace context.
pub mod correlation;
/// HTTP dates.
pub mod date;
