//! One connected socket, TCP or Unix. TLS will be a third kind with the same methods.

use std::fs::File;
use std::io::{self, Write};
use std::net::Shutdown;
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use crate::sys;

/// A non-blocking stream of bytes to and from a peer.
pub(crate) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Transport {
    /// Watches both directions, edge-triggered: one registration for the life of the socket.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(stream) => stream.register(registry, token, interest),
            Self::Unix(stream) => stream.register(registry, token, interest),
        }
    }

    /// Appends what has arrived to `buffer`, as far as it has room; 0 is the end of the stream.
    #[inline(always)]
    pub(crate) fn receive(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => sys::receive(stream, buffer, usize::MAX),
            Self::Unix(stream) => sys::receive(stream, buffer, usize::MAX),
        }
    }

    /// How many bytes have arrived and wait to be received.
    pub(crate) fn received_bytes(&self) -> usize {
        match self {
            Self::Tcp(stream) => sys::received_bytes(stream),
            Self::Unix(stream) => sys::received_bytes(stream),
        }
    }

    /// How many bytes were sent that the peer's system has not taken yet.
    pub(crate) fn sent_bytes(&self) -> usize {
        match self {
            Self::Tcp(stream) => sys::sent_bytes(stream),
            Self::Unix(stream) => sys::sent_bytes(stream),
        }
    }

    /// Sends as much of `bytes` as the socket takes now.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    /// Sends as much of a part of a file as the socket takes now; 0 if the file ends there.
    pub(crate) fn send_file(&self, file: &File, at: u64, bytes: usize) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => sys::send_file(stream, file, at, bytes),
            Self::Unix(stream) => sys::send_file(stream, file, at, bytes),
        }
    }

    /// Sends as much of these bytes as the socket takes now; tells how many. Whether the peer has gone shows
    /// to whoever reads from it, or sends the rest.
    pub(crate) fn send_some(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.send(&bytes[sent..]) {
                Ok(more) if more > 0 => sent += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => break,
            }
        }
        sent
    }

    /// Has the peer see a reset when this is closed, and not an end. A Unix socket has none.
    pub(crate) fn reset_on_close(&self) {
        if let Self::Tcp(stream) = self {
            // It fails only if the peer has gone already.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    /// Tells the peer that nothing follows; what it sends can still be read.
    pub(crate) fn finish_sending(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}
