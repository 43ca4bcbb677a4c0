//! What a connection speaks: how its bytes become requests, and which of them are with handlers. Hot
//! path.
//!
//! The steps know requests and answers, and no protocol by its name. The next one is a file beside
//! `h1.rs` and a variant here; the compiler then asks for each thing that a step needs to know of it.

pub(crate) use pyre_http::h1::reader::Next;
use pyre_http::limits::Limits;
use pyre_http::message::Request;

use pyre_interp::job::Job;

use crate::connection::exchange::Exchange;
use crate::connection::h1::H1;
use crate::connection::socket::Socket;

/// The protocol of one connection, and where that stands.
#[expect(clippy::large_enum_variant, reason = "nearly every connection speaks HTTP/1.1")]
pub(crate) enum Protocol {
    H1(H1),
    /// Behind a handshake: it has no requests any more.
    WebSocket(Box<Socket>),
}

impl Protocol {
    /// What every connection speaks at first.
    pub(crate) fn new() -> Self {
        Self::H1(H1::new())
    }

    /// Where it finds its requests, as long as there are any.
    #[inline(always)]
    pub(crate) fn requests(&mut self) -> Option<&mut H1> {
        match self {
            Self::H1(h1) => Some(h1),
            Self::WebSocket(_) => None,
        }
    }

    /// How many of the bytes at hand belong to requests that were handed out.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        match self {
            Self::H1(h1) => h1.position(),
            Self::WebSocket(_) => 0,
        }
    }

    /// Whether a body is coming: its deadline is counted from the last progress, that of a head is not.
    pub(crate) fn is_in_body(&self) -> bool {
        match self {
            Self::H1(h1) => h1.is_in_body(),
            Self::WebSocket(_) => false,
        }
    }

    /// How many bytes of a body are known to be missing.
    #[inline]
    pub(crate) fn body_bytes_missing(&self) -> usize {
        match self {
            Self::H1(h1) => h1.body_bytes_missing(),
            Self::WebSocket(socket) => socket.bytes_likely(),
        }
    }

    /// A request whose body is coming. Each is returned once, or once more if the server `leaves` and nobody
    /// wants that body; its fields are appended to those of the job.
    pub(crate) fn coming(
        &mut self,
        leaves: bool,
        job: &mut Job,
        limits: &Limits,
    ) -> Option<Request> {
        match self {
            Self::H1(h1) => h1.coming(leaves, job, limits),
            Self::WebSocket(_) => None,
        }
    }

    /// Nobody wants the body that is coming: it is counted, and takes no room.
    pub(crate) fn drop_body(&mut self, job: &mut Job) {
        match self {
            Self::H1(h1) => h1.drop_body(job),
            Self::WebSocket(_) => {}
        }
    }

    /// Writes that the client is to send the body.
    pub(crate) fn write_continue(&self, out: &mut Vec<u8>) {
        match self {
            Self::H1(_) => H1::write_continue(out),
            Self::WebSocket(_) => {}
        }
    }

    /// The exchange that is out, or goes out next.
    #[inline]
    pub(crate) fn exchange(&mut self) -> &mut Exchange {
        match self {
            Self::H1(h1) => h1.exchange(),
            Self::WebSocket(_) => unreachable!("requests come before the handshake"),
        }
    }

    /// The WebSocket that the connection has become.
    #[inline]
    pub(crate) fn socket(&mut self) -> Option<&mut Socket> {
        match self {
            Self::H1(_) => None,
            Self::WebSocket(socket) => Some(socket),
        }
    }

    /// Whether it has become a WebSocket.
    #[inline]
    pub(crate) fn is_socket(&self) -> bool {
        matches!(self, Self::WebSocket(_))
    }

    /// Whether bytes of the peer are taken while answers are written.
    pub(crate) fn reads_meanwhile(&self) -> bool {
        match self {
            Self::H1(_) => false,
            Self::WebSocket(socket) => socket.wants_reading(),
        }
    }
}
