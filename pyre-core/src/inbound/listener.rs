//! Sockets that wait for connections, each of them one reactor's.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, Ordering};

use mio::event::Source;
use mio::{Interest, Registry, Token};
use pyre_interp::job::Client;

use crate::connection::transport::Transport;

/// One more than the greatest number that a socket of a server has had in this process.
static NUMBERS_END: AtomicI32 = AtomicI32::new(0);

/// All descriptors of sockets of servers are less than this.
pub(crate) fn numbers_end() -> i32 {
    // Relaxed: asked by a process that was forked, which has one thread.
    NUMBERS_END.load(Ordering::Relaxed)
}

/// Notes the number of a new socket.
pub(super) fn note_number(socket: &impl AsRawFd) {
    let end = socket.as_raw_fd() + 1;
    // Next to never a new record.
    if end > NUMBERS_END.load(Ordering::Relaxed) {
        NUMBERS_END.fetch_max(end, Ordering::Relaxed);
    }
}

/// A listening socket that belongs to one reactor.
pub(crate) enum Listener {
    Tcp(mio::net::TcpListener),
    Unix(mio::net::UnixListener),
}

impl Listener {
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => listener.register(registry, token, Interest::READABLE),
            Self::Unix(listener) => listener.register(registry, token, Interest::READABLE),
        }
    }

    /// Stops watching. Closing is not enough where another process has the socket open too: the
    /// poll would go on telling of it.
    pub(crate) fn deregister(&mut self, registry: &Registry) {
        // It fails only if it was not watched.
        let _ = match self {
            Self::Tcp(listener) => listener.deregister(registry),
            Self::Unix(listener) => listener.deregister(registry),
        };
    }

    /// The next connection that waits.
    pub(crate) fn accept(&self) -> io::Result<(Transport, Client)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                note_number(&stream);
                // A pipelining client would otherwise wait for its own delayed acknowledgement.
                // A peer that is gone already makes this fail; reading finds that out.
                let _ = stream.set_nodelay(true);
                Ok((Transport::Tcp(stream), Client::Tcp(peer)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                note_number(&stream);
                Ok((Transport::Unix(stream), Client::Local))
            }
        }
    }
}
