//! Connections whose client nobody needs to answer any more, although a job of theirs is out: it has
//! gone, or it was told that its time is over. Reactors write them down, lanes look.
//!
//! Looking costs a load as long as nobody has departed. What is written down goes when the job is
//! back, so there are never more entries than jobs out.

use std::collections::HashSet;
use std::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use parking_lot::Mutex;

use crate::job::ConnectionId;

/// The departed of all reactors.
#[derive(Default)]
pub struct Departures {
    count: AtomicUsize,
    /// Changes with every departure.
    version: AtomicU64,
    gone: Mutex<HashSet<ConnectionId>>,
}

impl Departures {
    /// Writes a connection down. Tells whether it is new.
    #[cold]
    pub fn insert(&self, id: ConnectionId) -> bool {
        let mut gone = self.gone.lock();
        let is_new = gone.insert(id);
        self.count.store(gone.len(), Relaxed);
        // Release: whoever sees the version finds the entry. Pairs with `version`.
        self.version.fetch_add(1, Release);
        is_new
    }

    /// Forgets a connection whose job has come back. Tells whether it was written down.
    #[inline]
    pub fn remove(&self, id: ConnectionId) -> bool {
        // Relaxed: the reactor that asks has written down itself what it looks for.
        self.count.load(Relaxed) != 0 && self.forget(id)
    }

    #[cold]
    fn forget(&self, id: ConnectionId) -> bool {
        let mut gone = self.gone.lock();
        let is_known = gone.remove(&id);
        self.count.store(gone.len(), Relaxed);
        is_known
    }

    /// Whether the connection is written down.
    #[inline]
    #[must_use]
    pub fn contains(&self, id: ConnectionId) -> bool {
        // Relaxed: one that is just being written down is found by the next look.
        self.count.load(Relaxed) != 0 && self.gone.lock().contains(&id)
    }

    /// A number that changes with every departure.
    #[inline]
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    /// Those of some connections that are written down.
    #[must_use]
    pub fn among(&self, mut asked: impl FnMut(&ConnectionId) -> bool) -> Vec<ConnectionId> {
        self.gone.lock().iter().filter(|id| asked(id)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_departed_is_known_until_the_job_is_back() {
        let departures = Departures::default();
        let id = |slot| ConnectionId { reactor: 0, slot, generation: 1 };
        assert!(!departures.contains(id(1)));
        let version = departures.version();
        assert!(departures.insert(id(1)));
        assert!(!departures.insert(id(1)));
        assert_ne!(departures.version(), version);
        assert!(departures.contains(id(1)) && !departures.contains(id(2)));
        assert_eq!(departures.among(|id| id.slot < 2), [id(1)]);
        assert!(departures.remove(id(1)));
        assert!(!departures.remove(id(1)));
        assert!(!departures.contains(id(1)));
    }
}
