//! How an event loop learns which of its senders can go on.

use std::sync::Arc;

use super::sync::SegQueue;
use crate::ring::Roster;

/// Senders on one event loop that something has happened to: there is room again, or nobody reads.
///
/// A sender stands here once for room that it has asked for, and once more when the other end goes.
///
/// # Threads
/// Reactors put in; the thread of the loop takes out.
pub struct Wakes {
    numbers: SegQueue<u64>,
    roster: Arc<Roster>,
}

impl Wakes {
    /// Those of the loop whose lane sits in this roster.
    #[must_use]
    pub fn new(roster: Arc<Roster>) -> Self {
        Self { numbers: SegQueue::new(), roster }
    }

    /// Has the loop look after the sender of this number.
    pub(super) fn put(&self, number: u64) {
        self.numbers.push(number);
        self.roster.notify();
    }

    /// The next sender to look after.
    #[must_use]
    pub fn take(&self) -> Option<u64> {
        self.numbers.pop()
    }

    /// Whether there is none. Asked after sleep was announced, so that none is missed.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
}
