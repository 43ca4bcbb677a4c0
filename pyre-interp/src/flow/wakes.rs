//! How an event loop learns which of its senders can go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::sync::SegQueue;
use crate::ring::Roster;

/// What the next flow is known by on its event loop.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

/// Who sends or reads on one event loop, and something has happened to: there is room again, or a piece,
/// or nobody is at the other end.
///
/// Each stands here once for what it has asked for, and once more when the other end goes.
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

    /// A number that no other flow has.
    #[must_use]
    pub fn next_number() -> u64 {
        NEXT_NUMBER.fetch_add(1, Relaxed)
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
