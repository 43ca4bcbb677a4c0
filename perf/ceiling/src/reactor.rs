//! Hot path. One thread: poll, accept, and let every ready connection take its turn.
//!
//! All sockets are registered once, edge-triggered, for reading and writing.

use std::io;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

use crate::connection::{Connection, Turn};
use crate::heads::Heads;

const EVENTS_PER_POLL: usize = 1024;
const LISTEN_BACKLOG: i32 = 1024;
const LISTENER: Token = Token(usize::MAX);

/// A listener of its own and the connections it accepted.
pub(crate) struct Reactor {
    poll: Poll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    heads: Heads,
}

impl Reactor {
    /// Listens on `address`, which other reactors of this process may share (`SO_REUSEPORT`).
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(LISTEN_BACKLOG)?;
        let mut listener = TcpListener::from_std(socket.into());
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let connections = Vec::new();
        Ok(Self { poll, listener, connections, free: Vec::new(), heads: Heads::new() })
    }

    /// The address in use, with the port that the system chose.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the poll fails.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_POLL);
        loop {
            match self.poll.poll(&mut events, None) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            self.heads.set_now(unix_seconds());
            for event in &events {
                if event.token() == LISTENER {
                    self.accept();
                } else {
                    self.turn(event);
                }
            }
        }
    }

    fn accept(&mut self) {
        // An error other than "nothing there" (no file descriptors, a reset before the accept)
        // concerns one client; the next edge tries again.
        while let Ok((mut stream, _)) = self.listener.accept() {
            let slot = self.free.pop().unwrap_or(self.connections.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            let ready = stream
                .set_nodelay(true)
                .and_then(|()| self.poll.registry().register(&mut stream, Token(slot), interest));
            if ready.is_err() {
                if slot < self.connections.len() {
                    self.free.push(slot);
                }
                continue;
            }
            if slot == self.connections.len() {
                self.connections.push(None);
            }
            self.connections[slot] = Some(Connection::new(stream));
        }
    }

    fn turn(&mut self, event: &Event) {
        let slot = event.token().0;
        let Some(connection) = self.connections.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        match connection.turn(event.is_read_closed(), &self.heads) {
            Turn::Open => {}
            Turn::Closed => {
                // Dropping the stream takes it out of the poll.
                self.connections[slot] = None;
                self.free.push(slot);
            }
        }
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
