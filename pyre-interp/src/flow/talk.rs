//! What the ends of a flow tell each other, and how they find each other.

use std::sync::Arc;

use super::{Mailbox, Wakes};
use crate::job::ConnectionId;

/// Who takes the pieces of a flow.
#[derive(Clone)]
pub struct Reader {
    /// The connection that they are for.
    pub connection: ConnectionId,
    /// Where its reactor looks.
    pub mailbox: Arc<Mailbox>,
}

impl Reader {
    /// Has its reactor look at the connection.
    pub(super) fn tell(&self) {
        self.mailbox.put(self.connection);
    }
}

/// A sender on an event loop, which is not to wait.
#[derive(Clone)]
pub struct Waker {
    /// Where its loop looks.
    pub wakes: Arc<Wakes>,
    /// What the loop knows it by.
    pub number: u64,
}

impl Waker {
    pub(super) fn wake(&self) {
        self.wakes.put(self.number);
    }
}

/// What became of a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pushed {
    /// It is on its way.
    Taken,
    /// There is no room.
    Full,
    /// More than the answer has said; the answer ends here.
    TooMuch,
    /// It has ended before, or has broken off.
    Ended,
    /// Nobody reads it any more.
    Gone,
}

/// Whether a sender can go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// There is room.
    Some,
    /// Not yet.
    None,
    /// Nobody reads it any more.
    Gone,
}

/// What the reactor has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// Pieces, and there may be more: it is to look again once these are written.
    Pieces,
    /// Nothing. It is told when there is.
    Nothing,
    /// The end, and the pieces before it.
    End,
    /// That the answer breaks off behind these pieces.
    Break,
}
