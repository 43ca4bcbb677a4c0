//! How a reactor learns which of its connections have pieces to send.

use std::sync::Arc;

use super::sync::SegQueue;
use crate::job::ConnectionId;
use crate::ring::Doorbell;

/// The connections of one reactor whose flow has something for it.
///
/// A flow outward stands here at most once, one inward at most twice, for room and for its first reader;
/// and a connection whose file is read from a disk at most once: so there are never more than four times as
/// many entries as connections, and one for what is published ([`BOARD`](super::topics::BOARD)).
///
/// # Threads
/// Any number put in; the reactor takes out.
pub struct Mailbox {
    connections: SegQueue<ConnectionId>,
    doorbell: Arc<Doorbell>,
}

impl Mailbox {
    /// The mailbox of the reactor with this doorbell.
    #[must_use]
    pub fn new(doorbell: Arc<Doorbell>) -> Self {
        Self { connections: SegQueue::new(), doorbell }
    }

    /// The flow of this connection has something, or its file can be read. Wakes the reactor if it sleeps.
    pub fn put(&self, connection: ConnectionId) {
        self.connections.push(connection);
        self.doorbell.notify();
    }

    /// The reactor itself is to look again, in its next turn.
    pub fn put_back(&self, connection: ConnectionId) {
        self.connections.push(connection);
    }

    /// The next connection whose flow has something.
    #[must_use]
    pub fn take(&self) -> Option<ConnectionId> {
        self.connections.pop()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether there is none. Asked after sleep was announced, so that none is missed.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }
}
