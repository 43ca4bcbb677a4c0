//! Step 1: a socket is accepted and gets a slot.

use std::io;
use std::time::Instant;

use mio::{Registry, Token};
use parking_lot::Mutex;

use crate::connection::state::{Awaiting, Connection};
use crate::connection::table::{Connections, DOORBELL};
use crate::inbound::listener::Listener;
use crate::log::writer;
use crate::settings::bounds::{ACCEPT_PAUSE_MS, ACCEPT_WARNING, ACCEPTS_PER_TURN_MAX};
use crate::shared::counters::Counters;

/// The listeners of one reactor, and whether connections may be waiting in them.
pub(crate) struct Acceptor {
    listeners: Vec<Listener>,
    /// A listener may hold connections: its edge was seen, or the last turn left some.
    pending: bool,
    /// When to try again after the process ran out of descriptors.
    paused_until_ms: Option<u64>,
}

impl Acceptor {
    pub(crate) fn new(mut listeners: Vec<Listener>, registry: &Registry) -> io::Result<Self> {
        for (index, listener) in listeners.iter_mut().enumerate() {
            listener.register(registry, Token(DOORBELL.0 - 1 - index))?;
        }
        Ok(Self { listeners, pending: true, paused_until_ms: None })
    }

    /// Takes note of an event if it is one of the listeners'.
    pub(crate) fn note(&mut self, token: Token) -> bool {
        let is_ours = token.0 >= DOORBELL.0 - self.listeners.len();
        self.pending |= is_ours;
        is_ours
    }

    /// Whether the next turn should not wait before accepting.
    pub(crate) fn has_more(&self) -> bool {
        self.pending && self.paused_until_ms.is_none()
    }

    /// When a pause ends.
    pub(crate) fn resumes_ms(&self) -> Option<u64> {
        self.paused_until_ms
    }

    /// Closes the listening sockets.
    pub(crate) fn close(&mut self, registry: &Registry) {
        for mut listener in self.listeners.drain(..) {
            listener.deregister(registry);
        }
        self.pending = false;
        self.paused_until_ms = None;
    }

    /// Accepts a bounded number of waiting connections.
    pub(crate) fn accept_pending(
        &mut self,
        connections: &mut Connections,
        registry: &Registry,
        counters: &Counters,
    ) {
        if !self.pending {
            return;
        }
        if let Some(until_ms) = self.paused_until_ms {
            if connections.clock.now_ms() < until_ms {
                return;
            }
            self.paused_until_ms = None;
        }
        self.pending = self.accept_up_to(ACCEPTS_PER_TURN_MAX, connections, registry, counters);
    }

    /// Accepts everything that waits, as far as descriptors last.
    pub(crate) fn accept_backlog(
        &mut self,
        connections: &mut Connections,
        registry: &Registry,
        counters: &Counters,
    ) {
        self.paused_until_ms = None;
        while self.accept_up_to(ACCEPTS_PER_TURN_MAX, connections, registry, counters)
            && self.paused_until_ms.is_none()
        {}
    }

    /// Accepts at most so many connections from each listener. Returns whether more may wait.
    fn accept_up_to(
        &mut self,
        count_max: usize,
        connections: &mut Connections,
        registry: &Registry,
        counters: &Counters,
    ) -> bool {
        let mut more = false;
        for index in 0..self.listeners.len() {
            let mut accepted = 0;
            loop {
                if accepted == count_max {
                    more = true;
                    break;
                }
                match self.listeners[index].accept() {
                    Ok((transport, client)) => {
                        counters.accepted.add(1);
                        open(connections, registry, Connection::new(transport, client));
                        accepted += 1;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // The peer was gone before we came, or a signal interrupted: try the next.
                    Err(error) if is_about_one_connection(&error) => accepted += 1,
                    // Out of descriptors or memory. The connection stays in the backlog, and the
                    // edge will not come again: try later, when others may have closed.
                    Err(error) => {
                        counters.accept_failures.add(1);
                        say_why(&error);
                        let until_ms = connections.clock.now_ms() + ACCEPT_PAUSE_MS;
                        self.paused_until_ms = Some(until_ms);
                        return true;
                    }
                }
            }
        }
        more
    }
}

/// Gives a new connection its slot and begins to wait for its first request.
fn open(connections: &mut Connections, registry: &Registry, connection: Connection) {
    let slot = connections.insert(connection);
    let Some(connection) = connections.get(slot) else { return };
    if connection.transport.register(registry, Token(slot as usize)).is_err() {
        // The kernel is out of memory for watches: this connection cannot be served.
        return connections.close(slot);
    }
    // The edge of bytes that came before the registration is not lost: epoll reports what is
    // ready when a socket is added.
    connections.await_next(slot, Awaiting::First);
}

/// When it was last said that nothing can be accepted. What lacks is the process's, so that all its
/// reactors and servers share this.
static SAID: Mutex<Option<Instant>> = Mutex::new(None);

/// Says why connections wait, not too often.
fn say_why(error: &io::Error) {
    let now = Instant::now();
    let mut said = SAID.lock();
    if said.is_some_and(|at| now.duration_since(at) < ACCEPT_WARNING) {
        return;
    }
    *said = Some(now);
    drop(said);
    let remedy = match error.raw_os_error() {
        Some(libc::EMFILE) => ": raise ulimit -n",
        Some(libc::ENFILE) => ": raise fs.file-max of the system",
        _ => "",
    };
    let text = format!("cannot accept connections: {error}{remedy}; new ones wait until it can");
    writer::say("WARNING", "pyre: ", &text);
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
