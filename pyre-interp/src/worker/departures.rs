//! Connections whose client nobody needs to answer any more, although a job of theirs is out: it has
//! gone, or it was told that its time is over. Reactors write them down, lanes look. At the end of a
//! server that gives up what still runs, it is all of them.
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
    gone: Mutex<Gone>,
}

#[derive(Default)]
struct Gone {
    some: HashSet<ConnectionId>,
    all: bool,
}

impl Gone {
    /// What `Departures::count` is to say: 0 if there is nothing to look for.
    fn count(&self) -> usize {
        self.some.len() + usize::from(self.all)
    }
}

impl Departures {
    /// Writes a connection down. Tells whether it is new.
    #[cold]
    pub fn insert(&self, id: ConnectionId) -> bool {
        let mut gone = self.gone.lock();
        let is_new = gone.some.insert(id);
        self.count.store(gone.count(), Relaxed);
        // Release: whoever sees the version finds the entry. Pairs with `version`.
        self.version.fetch_add(1, Release);
        is_new
    }

    /// Writes down every connection, also those to come: of what they have asked for, nothing more is
    /// begun.
    pub fn insert_all(&self) {
        let mut gone = self.gone.lock();
        gone.all = true;
        self.count.store(gone.count(), Relaxed);
        self.version.fetch_add(1, Release);
    }

    /// Forgets a connection whose job has come back. Tells whether it was written down.
    #[inline]
    pub fn remove(&self, id: ConnectionId) -> bool {
        // Relaxed: the reactor that asks has written down itself what it looks for; of the end of
        // everything it may learn later.
        self.count.load(Relaxed) != 0 && self.forget(id)
    }

    #[cold]
    fn forget(&self, id: ConnectionId) -> bool {
        let mut gone = self.gone.lock();
        let is_known = gone.some.remove(&id) || gone.all;
        self.count.store(gone.count(), Relaxed);
        is_known
    }

    /// Whether the connection is written down.
    #[inline]
    #[must_use]
    pub fn contains(&self, id: ConnectionId) -> bool {
        // Relaxed: one that is just being written down is found by the next look.
        self.count.load(Relaxed) != 0 && {
            let gone = self.gone.lock();
            gone.all || gone.some.contains(&id)
        }
    }

    /// A number that changes with every departure.
    #[inline]
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    /// Those of some connections that are written down each by itself.
    #[must_use]
    pub fn among(&self, mut asked: impl FnMut(&ConnectionId) -> bool) -> Vec<ConnectionId> {
        self.gone.lock().some.iter().filter(|id| asked(id)).copied().collect()
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

    #[test]
    fn in_the_end_all_have_departed() {
        let departures = Departures::default();
        let id = |slot| ConnectionId { reactor: 0, slot, generation: 1 };
        departures.insert(id(1));
        departures.insert_all();
        assert!(departures.remove(id(1)) && departures.remove(id(2)));
        assert!(departures.contains(id(1)) && departures.contains(id(3)));
        assert!(departures.among(|_| true).is_empty());
    }
}
