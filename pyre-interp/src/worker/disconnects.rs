//! Connections whose client nobody needs to answer any more, although a job of theirs is out: it has
//! gone, or it was told that its time is over. Reactors write them down, lanes look. At the end of a
//! server that gives up what still runs, it is all of them.
//!
//! Looking costs a load as long as nobody has disconnected. What is written down goes when the job is
//! back, so there are never more entries than jobs out.

use std::collections::HashSet;
use std::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use parking_lot::Mutex;

use crate::job::ConnectionId;

/// The disconnected of all reactors.
#[derive(Default)]
pub struct Disconnects {
    count: AtomicUsize,
    /// Changes with every disconnect.
    version: AtomicU64,
    gone: Mutex<Gone>,
}

#[derive(Default)]
struct Gone {
    some: HashSet<ConnectionId>,
    all: bool,
}

impl Gone {
    /// What `Disconnects::count` is to say: 0 if there is nothing to look for.
    fn count(&self) -> usize {
        self.some.len() + usize::from(self.all)
    }
}

impl Disconnects {
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
    #[inline(always)]
    #[must_use]
    pub fn contains(&self, id: ConnectionId) -> bool {
        // Relaxed: one that is just being written down is found by the next look.
        self.count.load(Relaxed) != 0 && self.is_among(id)
    }

    #[cold]
    #[inline(never)]
    fn is_among(&self, id: ConnectionId) -> bool {
        let gone = self.gone.lock();
        gone.all || gone.some.contains(&id)
    }

    /// A number that changes with every disconnect.
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
    fn who_disconnected_is_known_until_the_job_is_back() {
        let disconnects = Disconnects::default();
        let id = |slot| ConnectionId { reactor: 0, slot, generation: 1 };
        assert!(!disconnects.contains(id(1)));
        let version = disconnects.version();
        assert!(disconnects.insert(id(1)));
        assert!(!disconnects.insert(id(1)));
        assert_ne!(disconnects.version(), version);
        assert!(disconnects.contains(id(1)) && !disconnects.contains(id(2)));
        assert_eq!(disconnects.among(|id| id.slot < 2), [id(1)]);
        assert!(disconnects.remove(id(1)));
        assert!(!disconnects.remove(id(1)));
        assert!(!disconnects.contains(id(1)));
    }

    #[test]
    fn in_the_end_all_have_disconnected() {
        let disconnects = Disconnects::default();
        let id = |slot| ConnectionId { reactor: 0, slot, generation: 1 };
        disconnects.insert(id(1));
        disconnects.insert_all();
        assert!(disconnects.remove(id(1)) && disconnects.remove(id(2)));
        assert!(disconnects.contains(id(1)) && disconnects.contains(id(3)));
        assert!(disconnects.among(|_| true).is_empty());
    }
}
