//! How an event loop learns which of its senders can go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Waker;
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
        self.ring();
    }

    /// Wakes the loop, if it sleeps.
    fn ring(&self) {
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

/// Event loops that were left something and are to be woken: once each, at the end of the turn of the
/// reactor that has left it.
#[derive(Default)]
pub struct Bells(Vec<Arc<Wakes>>);

impl Bells {
    /// Leaves the number of this waker with its loop.
    pub(super) fn leave(&mut self, waker: &Waker) {
        waker.wakes.numbers.push(waker.number);
        // There is one loop to an interpreter.
        if !self.0.iter().any(|known| Arc::ptr_eq(known, &waker.wakes)) {
            self.0.push(waker.wakes.clone());
        }
    }

    /// Wakes those of them that sleep.
    #[inline]
    pub fn ring(&mut self) {
        if !self.0.is_empty() {
            self.ring_each();
        }
    }

    #[cold]
    fn ring_each(&mut self) {
        for wakes in self.0.drain(..) {
            wakes.ring();
        }
    }
}
