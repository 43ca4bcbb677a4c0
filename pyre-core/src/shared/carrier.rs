//! Which lane carries a reactor, for its keeper to watch.

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::Relaxed};

use crate::shared::counters::Tally;
use crate::sys;

/// Which thread carries a reactor.
#[derive(Default)]
pub(crate) struct Carrier {
    lane: AtomicUsize,
    thread: AtomicI32,
    /// How often the lane was found to wait for a CPU only.
    pub(crate) refusals: Tally,
}

impl Carrier {
    /// It is the calling thread, which runs that lane.
    pub(crate) fn settle(&self, lane: usize) {
        // Relaxed: the keeper reads them only after it has seen the lane leave the reactor.
        self.lane.store(lane, Relaxed);
        self.thread.store(sys::thread_id(), Relaxed);
    }

    pub(crate) fn lane(&self) -> usize {
        self.lane.load(Relaxed)
    }

    pub(crate) fn thread(&self) -> i32 {
        self.thread.load(Relaxed)
    }
}
